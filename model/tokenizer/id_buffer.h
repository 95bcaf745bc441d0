/* id_buffer: the ids that an encoder gives, and its working memory, one for each thread. Begins as
 * {0}; it grows to the longest text and is used again. */
#pragma once

#include "model/tokenizer/utf8.h"

typedef struct BpeScratch BpeScratch; /* model/tokenizer/bpe.h */

typedef struct IdBuffer {
    int32_t *ids;
    size_t count, capacity;
    ByteBuffer repaired, normal, prefixed;
    BpeScratch *bpe; /* made when a byte-level encoder needs it */
} IdBuffer;

void id_buffer_release(IdBuffer *b);
void id_buffer_grow(IdBuffer *b);

static inline void push_id(IdBuffer *out, int32_t id)
{
    if (out->count == out->capacity)
        id_buffer_grow(out);
    out->ids[out->count++] = id;
}

typedef struct WordText {
    const char *at;
    size_t len;
} WordText;

/* The text itself where it is UTF-8, else a copy in the buffer with U+FFFD for what is not. */
WordText id_buffer_repair(IdBuffer *b, WordText text);

/* Keeps `limit` of the `count` ids from `first` on: the last ones where `left`, else the first. */
void id_buffer_truncate(IdBuffer *b, size_t first, size_t count, size_t limit, bool left);
