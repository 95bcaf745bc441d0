/* vocab: see vocab.h. */
#include "model/tokenizer/vocab.h"

#include "model/tokenizer/utf8.h"

#include <stdlib.h>
#include <utf8proc.h>

/* White_Space, which is what the library trims. */
static bool is_space(uint32_t c)
{
    utf8proc_category_t category = utf8proc_category((int32_t)c);
    return category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL ||
           category == UTF8PROC_CATEGORY_ZP || (c >= '\t' && c <= '\r') || c == 0x85;
}

/* Bytes of a line without the white space at its end. */
static size_t trimmed(const char *line, size_t len)
{
    while (len > 0) {
        uint32_t c;
        size_t n = utf8_decode_back((const unsigned char *)line + len, &c);
        if (!is_space(c))
            break;
        len -= n;
    }
    return len;
}

void vocab_init(Vocab *v)
{
    *v = (Vocab){0};
    trie_init(&v->tokens);
    word_table_init(&v->words);
}

int32_t vocab_add(Vocab *v, const char *token, size_t len, int32_t id)
{
    if (id >= v->num_ids)
        v->num_ids = id + 1;
    int32_t before = len ? trie_insert(&v->tokens, token, len, id) : -1;
    if (before < 0 && len > 0 && len <= WORD_TABLE_MAX_LEN)
        word_table_insert(&v->words, (const unsigned char *)token, len, id);
    return before;
}

void vocab_complete(Vocab *v)
{
    v->continued = trie_walk(&v->tokens, "##", 2);
}

static int add_line(Vocab *v, const char *line, size_t len, size_t *empty, const char *path,
                    Err *err)
{
    int32_t id = v->num_ids;
    if (utf8_valid_prefix(line, len) < len)
        return err_set(err, "%s:%d: the line is not UTF-8", path, id + 1);
    len = trimmed(line, len);
    *empty += len == 0;
    int32_t before = vocab_add(v, line, len, id);
    if (before >= 0)
        return err_set(err, "%s:%d: token '%.*s' is already in line %d", path, id + 1,
                       (int)(len < 200 ? len : 200), line, before + 1);
    return 0;
}

int vocab_parse(Vocab *v, const char *text, size_t len, const char *path, Err *err)
{
    size_t empty = 0;
    vocab_init(v);
    for (size_t at = 0; at < len;) {
        const char *stop = memchr(text + at, '\n', len - at);
        size_t n = stop ? (size_t)(stop - text) - at : len - at;
        if (add_line(v, text + at, n, &empty, path, err) != 0) {
            vocab_release(v);
            return -1;
        }
        at += n + 1;
    }
    v->has_gaps = empty > 1;
    vocab_complete(v);
    return 0;
}

int vocab_load(Vocab *v, const char *path, Err *err)
{
    size_t len;
    char *text = file_read(path, VOCAB_MAX_BYTES, &len, err);
    int rc = text ? vocab_parse(v, text, len, path, err) : -1;
    free(text);
    return rc;
}

void vocab_release(Vocab *v)
{
    trie_release(&v->tokens);
    word_table_release(&v->words);
    *v = (Vocab){0};
}

int32_t vocab_id(const Vocab *v, const char *token)
{
    return trie_find(&v->tokens, token, strlen(token));
}
