/* wordpiece: text to token ids as BERT and DistilBERT expect them (Devlin et al. 2019; greedy
 * longest-match-first as in Wu et al. 2016). The ids equal those of Hugging Face's BertTokenizer
 * built from the same files.
 *
 *   text -> added tokens cut out -> normalised -> words -> pieces -> [CLS] ids [SEP]
 *
 * It does not read files of text and does not know the model's table of embeddings. */
#pragma once

#include "model/tokenizer/id_buffer.h"

typedef struct WordPiece WordPiece;

/* Reads the vocabulary, of model_dir/tokenizer.json where there is one (tokenizer_json.h), else of
 * vocab.txt (vocab.h), and the JSON files of wordpiece_config.h. NULL, with file and line, for a
 * file that cannot be read, text that is not UTF-8, a token that appears twice (the library would
 * silently use the later id), a vocabulary without the unknown token, or without the first and last
 * token of a text.
 *
 * As in the library, white space at the end of a line is no part of the token; an empty line is a
 * token that no text gives; an added token that vocab.txt lacks gets the next free id. */
WordPiece *wordpiece_load(const char *model_dir, Err *err);
void wordpiece_free(WordPiece *w);

/* One more than the largest id. */
size_t wordpiece_num_ids(const WordPiece *w);

/* Appends the ids of a text of any bytes, [CLS] and [SEP] included, and returns how many. Reads
 * bytes that are not UTF-8 as U+FFFD. Cuts the text's own ids, on the side that truncation_side
 * says, so that no more than max_length come out; 0 is no limit, otherwise it is at least 2. */
size_t wordpiece_encode(const WordPiece *w, const char *text, size_t len, size_t max_length,
                        IdBuffer *out);

/* Appends the ids of two texts, [CLS] a [SEP] b [SEP], and returns how many; *second is where, from
 * the first of them, the token types change from 0 to 1. max_length is 0 or at least 3; it cuts the
 * longer text first. */
size_t wordpiece_encode_pair(const WordPiece *w, WordText a, WordText b, size_t max_length,
                             IdBuffer *out, size_t *second);

/* Ids of `batch` texts, padded to the longest on the side that padding_side says:
 * ids[batch][length] and mask[batch][length] (1, or 0 at padding). */
typedef struct TokenBatch {
    int32_t *ids, *mask;
    size_t batch, length, capacity;
    IdBuffer each;
} TokenBatch;

/* Fills a batch, which begins as {0} and may be reused. -1 when the tokenizer has no pad token. */
int wordpiece_encode_batch(const WordPiece *w, const char *const *texts, const size_t *lens,
                           size_t batch, size_t max_length, TokenBatch *out, Err *err);
void token_batch_release(TokenBatch *b);
