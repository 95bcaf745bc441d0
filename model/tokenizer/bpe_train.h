/* bpe_train: learns byte-level BPE merges from a text (Sennrich et al. 2016, on bytes as in
 * Radford et al. 2019): the pair of neighbours that occurs most often becomes a token, until
 * there are as many tokens as asked.
 *
 * The one idea: only different words are kept, with their counts, and a merge touches only the
 * words that have its pair. Of pairs that occur equally often, the one of the smaller first id,
 * then of the smaller second id, is taken: as in the trainer of Hugging Face's `tokenizers`,
 * whose merges these are. The text is cut into lines, each with its LF, and these into words by
 * GPT-2's rule; no token crosses a word. Ids are the 256 bytes in the order of their characters,
 * then the merges. */
#pragma once

#include "model/tokenizer/token_table.h"

enum { BPE_TRAIN_LEAST = 257 }; /* the bytes and one merge */

#define BPE_TRAIN_MAX_WORD ((size_t)INT32_MAX)

typedef struct BpePair {
    int32_t left, right;
} BpePair;

typedef struct BpeTrained {
    TokenTable tokens; /* in the byte alphabet */
    BpePair *merges;   /* in their order */
    size_t num_merges, capacity;
} BpeTrained;

/* Reads bytes that are not UTF-8 as U+FFFD. vocab is from BPE_TRAIN_LEAST to TOKEN_MAX_IDS; a text
 * with fewer pairs gives fewer tokens. -1 for one of more than TOKEN_MAX_IDS different words, or
 * with a word of more than BPE_TRAIN_MAX_WORD bytes. */
int bpe_train(BpeTrained *t, const char *text, size_t len, size_t vocab, Err *err);
/* The same with words of at most `max_word` bytes, which a test makes small. */
int bpe_train_words(BpeTrained *t, const char *text, size_t len, size_t vocab, size_t max_word,
                    Err *err);
void bpe_trained_release(BpeTrained *t);
