/* tokenizer: see tokenizer.h. */
#include "model/tokenizer/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "model/tokenizer/bpe_json.h"
#include "model/tokenizer/tokenizer_json.h"
#include "model/tokenizer/wordpiece.h"

struct Tokenizer {
    WordPiece *words; /* NULL: byte-level */
    ByteLevel bytes;
};

Tokenizer *tokenizer_load(const char *model_dir, Err *err)
{
    json_t *json = tokenizer_json_open(model_dir, err);
    if (!json)
        return NULL;
    Tokenizer *t = xcalloc(1, sizeof *t);
    bool bytes = bpe_json_is_for(model_dir, json), ok;
    if (bytes)
        ok = bpe_json_load(&t->bytes, model_dir, json, err) == 0;
    else
        ok = (t->words = wordpiece_load(model_dir, err));
    json_decref(json);
    if (ok)
        return t;
    free(t);
    return NULL;
}

Tokenizer *tokenizer_of_json(const json_t *tokenizer, const char *place, Err *err)
{
    Tokenizer *t = xcalloc(1, sizeof *t);
    if (bpe_json_read(&t->bytes, tokenizer, place, err) == 0)
        return t;
    free(t);
    return NULL;
}

void tokenizer_free(Tokenizer *t)
{
    if (!t)
        return;
    if (t->words)
        wordpiece_free(t->words);
    else
        byte_level_release(&t->bytes);
    free(t);
}

size_t tokenizer_num_ids(const Tokenizer *t)
{
    return t->words ? wordpiece_num_ids(t->words) : t->bytes.bpe.tokens.num_ids;
}

size_t tokenizer_encode(const Tokenizer *t, const char *text, size_t len, size_t max_length,
                        IdBuffer *out)
{
    return t->words ? wordpiece_encode(t->words, text, len, max_length, out)
                    : byte_level_encode(&t->bytes, (WordText){text, len}, true, max_length, out);
}

size_t tokenizer_encode_bare(const Tokenizer *t, const char *text, size_t len, IdBuffer *out)
{
    CHECK(!t->words, "WordPiece has no such encoding");
    return byte_level_encode(&t->bytes, (WordText){text, len}, false, 0, out);
}

int32_t tokenizer_first_id(const Tokenizer *t)
{
    CHECK(!t->words, "WordPiece begins with [CLS]");
    return t->bytes.first.count > 0 ? t->bytes.first.ids[0] : -1;
}

bool tokenizer_decodes(const Tokenizer *t)
{
    return !t->words;
}

bool tokenizer_decode(const Tokenizer *t, int32_t id, bool keep_special, ByteBuffer *out)
{
    CHECK(!t->words, "WordPiece does not decode");
    return byte_level_decode(&t->bytes, id, keep_special, out);
}

int32_t tokenizer_id(const Tokenizer *t, const char *token)
{
    CHECK(!t->words, "WordPiece does not look up tokens");
    return token_table_find(&t->bytes.bpe.tokens, token, strlen(token));
}
