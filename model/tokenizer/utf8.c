/* utf8: see utf8.h. */
#include "model/tokenizer/utf8.h"

#include <stdlib.h>
#include <string.h>

void bytes_reserve(ByteBuffer *b, size_t more)
{
    if (b->capacity - b->len >= more)
        return;
    size_t need = b->len + more;
    b->capacity = need > 2 * b->capacity ? need : 2 * b->capacity;
    b->data = xrealloc(b->data, b->capacity);
}

void bytes_append(ByteBuffer *b, const void *data, size_t len)
{
    bytes_reserve(b, len);
    if (len)
        memcpy(b->data + b->len, data, len);
    b->len += len;
}

void bytes_release(ByteBuffer *b)
{
    free(b->data);
    *b = (ByteBuffer){0};
}

size_t utf8_valid_prefix(const void *text, size_t len)
{
    const unsigned char *p = text;
    size_t at = 0;
    bool well_formed = true;
    while (at < len) {
        uint64_t eight;
        while (at + sizeof eight <= len) { /* ASCII, eight bytes at a time */
            memcpy(&eight, p + at, sizeof eight);
            if (eight & 0x8080808080808080u)
                break;
            at += sizeof eight;
        }
        if (at == len)
            break;
        size_t n = utf8_piece(p + at, len - at, &well_formed);
        if (!well_formed)
            break;
        at += n;
    }
    return at;
}

void utf8_repair(ByteBuffer *out, const void *text, size_t len)
{
    const unsigned char *p = text;
    for (size_t at = 0; at < len;) {
        size_t n = utf8_valid_prefix(p + at, len - at);
        bytes_append(out, p + at, n);
        at += n;
        if (at < len) {
            bool well_formed;
            at += utf8_piece(p + at, len - at, &well_formed);
            bytes_append(out, "\xef\xbf\xbd", 3);
        }
    }
}
