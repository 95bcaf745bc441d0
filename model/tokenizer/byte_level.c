/* byte_level: see byte_level.h. */
#include "model/tokenizer/byte_level.h"

#include <stdlib.h>
#include <string.h>

#include "model/tokenizer/byte_alphabet.h"
#include "model/tokenizer/nfc.h"

/* ---- building ---- */

void byte_level_init(ByteLevel *b)
{
    *b = (ByteLevel){.nfc = false};
    bpe_init(&b->bpe);
    pre_tokenizer_init(&b->pre);
}

void byte_level_release(ByteLevel *b)
{
    added_matcher_release(&b->raw);
    added_matcher_release(&b->normal);
    for (size_t i = 0; i < b->num_added; i++)
        free(b->added[i].content);
    free(b->added);
    bpe_release(&b->bpe);
}

/* Marks of b->bpe.tokens, beside BPE_OUTSIDE. */
enum { MARK_ADDED = 2, MARK_SPECIAL = 4 };

int byte_level_add_token(ByteLevel *b, AddedToken token, Err *err)
{
    TokenTable *tokens = &b->bpe.tokens;
    size_t len = strlen(token.content);
    if (len == 0)
        return 0;
    if (b->num_added == 0) /* from their number, as the library, not from their largest id */
        b->next_id = (int32_t)tokens->count;
    token.id = token_table_find(tokens, token.content, len);
    if (token.id >= 0 && tokens->entries[token.id].mark)
        return 0;
    bool outside = token.id < 0;
    if (outside)
        token.id = b->next_id;
    if (outside &&
        (token.id >= TOKEN_MAX_IDS || !token_table_add(tokens, token.content, len, token.id)))
        return err_set(err, "added token '%.200s' would get the id %d of another token",
                       token.content, token.id);
    tokens->entries[token.id].mark =
        (uint8_t)(MARK_ADDED | (token.special ? MARK_SPECIAL : 0) | (outside ? BPE_OUTSIDE : 0));
    b->next_id = token.id >= b->next_id ? token.id + 1 : b->next_id;
    if (b->num_added == b->max_added) {
        b->max_added = b->max_added ? 2 * b->max_added : 16;
        b->added = xrealloc(b->added, b->max_added * sizeof token);
    }
    token.content = xstrdup(token.content);
    b->added[b->num_added++] = token;
    return 0;
}

static int init_matchers(ByteLevel *b, Err *err)
{
    ByteBuffer pattern = {0};
    int rc = 0;
    added_matcher_init(&b->raw, b->added, b->pre.chars, false);
    added_matcher_init(&b->normal, b->added, b->pre.chars, false);
    for (size_t i = 0; i < b->num_added && rc == 0; i++) {
        const AddedToken *t = &b->added[i];
        size_t len = strlen(t->content);
        pattern.len = 0;
        if (t->normalized && b->nfc)
            nfc_normalize(b->pre.chars, (const unsigned char *)t->content, len, &pattern);
        else
            bytes_append(&pattern, t->content, len);
        rc = added_matcher_add(t->normalized ? &b->normal : &b->raw, i, pattern.data, pattern.len,
                               err);
    }
    bytes_release(&pattern);
    return rc;
}

int byte_level_complete(ByteLevel *b, const char *unk, Err *err)
{
    bpe_complete(&b->bpe);
    if (unk)
        b->bpe.unk = bpe_vocab_id(&b->bpe, unk, strlen(unk));
    for (unsigned byte = 0; byte < 256 && unk && b->bpe.unk < 0; byte++)
        if (b->bpe.byte_ids[byte] < 0)
            return err_set(err, "byte %02x has no token, and neither has unk_token '%.60s'", byte,
                           unk);
    return init_matchers(b, err);
}

/* ---- encoding ---- */

static void encode_words(const ByteLevel *b, const unsigned char *text, size_t len, IdBuffer *out)
{
    if (b->pre.prefix_space && *text != ' ') {
        out->prefixed.len = 0;
        bytes_append(&out->prefixed, " ", 1);
        bytes_append(&out->prefixed, text, len);
        text = out->prefixed.data;
        len = out->prefixed.len;
    }
    for (size_t at = 0, n; at < len; at += n) {
        n = pre_tokenizer_word(&b->pre, text + at, len - at);
        bpe_encode_word(&b->bpe, text + at, n, out);
    }
}

static void encode_pieces(const void *tokenizer, const unsigned char *text, size_t len,
                          IdBuffer *out)
{
    const ByteLevel *b = tokenizer;
    for (size_t at = 0, n; at < len; at += n) {
        n = pre_tokenizer_piece(&b->pre, text + at, len - at);
        encode_words(b, text + at, n, out);
    }
}

static void encode_part(const void *tokenizer, const unsigned char *text, size_t len, IdBuffer *out)
{
    const ByteLevel *b = tokenizer;
    if (b->nfc) {
        out->normal.len = 0;
        nfc_normalize(b->pre.chars, text, len, &out->normal);
        text = out->normal.data;
        len = out->normal.len;
    }
    encode_around(&b->normal, text, len, encode_pieces, b, out);
}

static void push_around(const AroundIds *around, IdBuffer *out)
{
    for (size_t i = 0; i < around->count; i++)
        push_id(out, around->ids[i]);
}

size_t byte_level_encode(const ByteLevel *b, WordText text, bool around, size_t max_length,
                         IdBuffer *out)
{
    size_t before = out->count, special = around ? b->first.count + b->last.count : 0;
    if (around)
        push_around(&b->first, out);
    size_t first = out->count;
    text = id_buffer_repair(out, text);
    encode_around(&b->raw, (const unsigned char *)text.at, text.len, encode_part, b, out);
    if (max_length > 0)
        id_buffer_truncate(out, first, out->count - first,
                           max_length > special ? max_length - special : 0, b->truncate_left);
    if (around)
        push_around(&b->last, out);
    return out->count - before;
}

/* ---- decoding ---- */

bool byte_level_decode(const ByteLevel *b, int32_t id, bool keep_special, ByteBuffer *out)
{
    size_t len;
    const unsigned char *token = token_table_at(&b->bpe.tokens, id, &len);
    if (!token)
        return false;
    if (keep_special || !(b->bpe.tokens.entries[id].mark & MARK_SPECIAL))
        chars_to_bytes(token, len, out);
    return true;
}
