/* trie: a set of byte strings, each with a value. One walk finds the longest member that begins a
 * text. The one idea: all edges of the tree lie in one hash table keyed by (node, byte), so a step
 * is one multiplication and, nearly always, one load. Nothing can be removed. */
#pragma once

#include "autograd/base.h"

enum {
    /* Where one falls to when no member goes on; all its children are TRIE_NONE. */
    TRIE_NONE = 0,
    TRIE_ROOT = 1,
    TRIE_MAX_NODES = 1 << 24, /* a node and a byte are one 32-bit key */
};

typedef struct TrieEdge {
    uint32_t key;   /* parent << 8 | byte */
    uint32_t child; /* TRIE_NONE marks a free slot */
} TrieEdge;

typedef struct Trie {
    TrieEdge *edges;
    unsigned bits;   /* the table has 2^bits slots */
    uint32_t nodes;  /* numbers 0 .. nodes-1 are taken */
    int32_t *values; /* by node; -1 where no member ends */
    size_t capacity; /* of values */
} Trie;

void trie_init(Trie *t);
void trie_release(Trie *t);

/* Adds a string with a value >= 0. Returns the value the string already had, and changes nothing,
 * or -1. The sum of all lengths must stay below TRIE_MAX_NODES. */
int32_t trie_insert(Trie *t, const void *key, size_t len, int32_t value);

/* Length of the longest string below `node` that begins text, 0 if there is none, and its value.
 * `node` is TRIE_ROOT for whole members, or from trie_walk for what may follow a prefix. */
size_t trie_longest(const Trie *t, uint32_t node, const unsigned char *text, size_t len,
                    int32_t *value);

/* The node that a prefix leads to from the root. */
uint32_t trie_walk(const Trie *t, const void *prefix, size_t len);

/* The value of a whole string, -1 if it is not a member. */
int32_t trie_find(const Trie *t, const void *key, size_t len);
