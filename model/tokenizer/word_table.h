/* word_table: whole words of up to 16 bytes and their ids, found in one probe. Nearly all words of
 * a text are tokens themselves, and a trie would walk each byte by byte, a load after a load. The
 * one idea: a short word is two integers and a length, hashed and compared without a loop. */
#pragma once

#include <string.h>

#include "autograd/base.h"

enum { WORD_TABLE_MAX_LEN = 16 };

typedef struct WordKey {
    uint64_t head, tail; /* the first and the last bytes, which overlap where the word is short */
    uint32_t len;        /* 0 marks a free slot */
} WordKey;

typedef struct WordSlot {
    WordKey key;
    int32_t id;
} WordSlot;

typedef struct WordTable {
    WordSlot *slots;
    unsigned bits; /* 2^bits slots */
    size_t count;
} WordTable;

void word_table_init(WordTable *t);
void word_table_release(WordTable *t);

/* Adds a word of 1 to WORD_TABLE_MAX_LEN bytes that the table does not hold. */
void word_table_insert(WordTable *t, const unsigned char *word, size_t len, int32_t id);

static inline WordKey word_key(const unsigned char *p, size_t len)
{
    WordKey k = {.len = (uint32_t)len};
    if (len >= 8) {
        memcpy(&k.head, p, 8);
        memcpy(&k.tail, p + len - 8, 8);
    } else if (len >= 4) {
        memcpy(&k.head, p, 4);
        memcpy(&k.tail, p + len - 4, 4);
    } else {
        k.head = (uint64_t)p[0] << 8 | p[len / 2];
        k.tail = p[len - 1];
    }
    return k;
}

static inline WordSlot *word_table_slot(const WordTable *t, WordKey k)
{
    size_t mask = ((size_t)1 << t->bits) - 1;
    uint64_t mixed = (k.head ^ k.len) * 0x9e3779b97f4a7c15u ^ k.tail;
    size_t i = (mixed * 0xbf58476d1ce4e5b9u) >> (64 - t->bits);
    const WordSlot *s = &t->slots[i];
    while (s->key.len != 0 &&
           (s->key.head != k.head || s->key.tail != k.tail || s->key.len != k.len))
        s = &t->slots[i = (i + 1) & mask];
    return &t->slots[i];
}

/* The id of a word of 1 to WORD_TABLE_MAX_LEN bytes, -1 if the table does not hold it. */
static inline int32_t word_table_find(const WordTable *t, const unsigned char *word, size_t len)
{
    const WordSlot *s = word_table_slot(t, word_key(word, len));
    return s->key.len ? s->id : -1;
}
