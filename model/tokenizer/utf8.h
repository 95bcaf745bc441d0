/* utf8: growing byte buffers, and repair of text that is not UTF-8. Everything after utf8_repair
 * counts on well-formed text. It knows no properties of characters: see char_table. */
#pragma once

#include "autograd/base.h"

typedef struct ByteBuffer {
    unsigned char *data;
    size_t len, capacity;
} ByteBuffer;

/* Grows the buffer so that `more` bytes fit behind its contents; the address may change. */
void bytes_reserve(ByteBuffer *b, size_t more);
void bytes_append(ByteBuffer *b, const void *data, size_t len);
void bytes_release(ByteBuffer *b);

/* Appends `text` with U+FFFD in place of every ill-formed maximal subpart (Unicode 15, section 3.9,
 * table 3-7), as Python's bytes.decode("utf-8", "replace") does. */
void utf8_repair(ByteBuffer *out, const void *text, size_t len);

/* Bytes of the well-formed prefix of `text`. */
size_t utf8_valid_prefix(const void *text, size_t len);

/* The code point at p of well-formed text; returns its length in bytes. */
static inline size_t utf8_decode(const unsigned char *p, uint32_t *c)
{
    if (p[0] < 0x80) {
        *c = p[0];
        return 1;
    }
    if (p[0] < 0xe0) {
        *c = (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu);
        return 2;
    }
    if (p[0] < 0xf0) {
        *c = (p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
        return 3;
    }
    *c = (p[0] & 0x07u) << 18 | (p[1] & 0x3fu) << 12 | (p[2] & 0x3fu) << 6 | (p[3] & 0x3fu);
    return 4;
}

/* The code point that ends at p, which is after the start of well-formed text; returns its
 * length. */
static inline size_t utf8_decode_back(const unsigned char *p, uint32_t *c)
{
    size_t n = 1;
    while ((p[-(ptrdiff_t)n] & 0xc0) == 0x80)
        n++;
    return utf8_decode(p - n, c);
}

/* Code points of well-formed text. */
static inline size_t utf8_count(const unsigned char *p, size_t len)
{
    size_t count = 0;
    for (size_t i = 0; i < len; i++)
        count += (p[i] & 0xc0) != 0x80;
    return count;
}
