/* tokenizer: text to token ids and back, whichever tokenizer a model has: WordPiece of BERT and
 * DistilBERT (wordpiece.h) or byte-level BPE of decoders (byte_level.h).
 *
 * The directory decides: model.type of tokenizer.json, else vocab.txt, else vocab.json and
 * merges.txt. */
#pragma once

#include <jansson.h>

#include "model/tokenizer/id_buffer.h"

typedef struct Tokenizer Tokenizer;

/* NULL, with file and part, for a file that cannot be read and for a part that is not built. */
Tokenizer *tokenizer_load(const char *model_dir, Err *err);
void tokenizer_free(Tokenizer *t);

/* The same of a byte-level tokenizer.json in memory; `place` begins messages. A model's tokenizer,
 * whether it is a directory or a GGUF file, is model/files/model_tokenizer.h's. */
Tokenizer *tokenizer_of_json(const json_t *tokenizer, const char *place, Err *err);

/* One more than the largest id. */
size_t tokenizer_num_ids(const Tokenizer *t);

/* Appends the ids of a text of any bytes, with those that begin and end every text, and returns how
 * many. Reads bytes that are not UTF-8 as U+FFFD. Cuts the text's own ids so that no more than
 * max_length come out, as far as they go; 0 is no limit, WordPiece takes 2 at least. One `out` a
 * thread: it keeps what it has learnt of the last tokenizer. */
size_t tokenizer_encode(const Tokenizer *t, const char *text, size_t len, size_t max_length,
                        IdBuffer *out);

/* The same without the ids that begin and end every text. Byte-level BPE only. */
size_t tokenizer_encode_bare(const Tokenizer *t, const char *text, size_t len, IdBuffer *out);

/* The id that begins every text, -1 if there is none. Byte-level BPE only. */
int32_t tokenizer_first_id(const Tokenizer *t);

/* Whether ids can be turned into text: byte-level BPE. */
bool tokenizer_decodes(const Tokenizer *t);

/* Appends the bytes of one id, nothing for a special token unless keep_special. A character may be
 * split over several ids. False where no token has the id. */
bool tokenizer_decode(const Tokenizer *t, int32_t id, bool keep_special, ByteBuffer *out);

/* The id of a token by its text, such as "<|im_end|>"; -1 if there is none. Byte-level BPE only. */
int32_t tokenizer_id(const Tokenizer *t, const char *token);
