/* byte_level: text to token ids and back, as GPT-2, Llama 3, Qwen2 and SmolLM2 expect them. The ids
 * equal those of Hugging Face's `tokenizers` from the same files.
 *
 *   text -> added tokens cut out -> normalised -> words (pre_tokenizer) -> ids (bpe), between the
 *   ids that begin and end every text
 *
 * Setting one up is the business of bpe_json. */
#pragma once

#include "model/tokenizer/added_tokens.h"
#include "model/tokenizer/bpe.h"
#include "model/tokenizer/pre_tokenizer.h"

enum { BYTE_LEVEL_MAX_AROUND = 8 };

/* Ids that every text has before or after its own. */
typedef struct AroundIds {
    int32_t ids[BYTE_LEVEL_MAX_AROUND];
    size_t count;
} AroundIds;

typedef struct ByteLevel {
    Bpe bpe; /* its tokens hold the added ones too */
    PreTokenizer pre;
    bool nfc;
    bool truncate_left;
    AroundIds first, last;
    AddedToken *added;
    size_t num_added, max_added;
    int32_t next_id;          /* of the next added token that the vocabulary lacks */
    AddedMatcher raw, normal; /* added tokens found before, after normalisation */
} ByteLevel;

/* Building: init; set the settings, fill b->bpe; add the added tokens; complete. */
void byte_level_init(ByteLevel *b);
void byte_level_release(ByteLevel *b);

/* Adds a token, copying its content, with the id that `tokenizers` gives it: that of the
 * vocabulary, else one after the number of its tokens and the added ones. Passes over an empty or
 * a doubled one. -1 where the id is another's. */
int byte_level_add_token(ByteLevel *b, AddedToken token, Err *err);

/* -1 for added tokens that match the same text, or a byte that gives neither token nor unknown
 * token where `unk` (NULL: none) names one. */
int byte_level_complete(ByteLevel *b, const char *unk, Err *err);

/* As tokenizer_encode (tokenizer.h). */
size_t byte_level_encode(const ByteLevel *b, WordText text, bool around, size_t max_length,
                         IdBuffer *out);

/* As tokenizer_decode. */
bool byte_level_decode(const ByteLevel *b, int32_t id, bool keep_special, ByteBuffer *out);
