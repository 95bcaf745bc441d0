/* trie: see trie.h. */
#include "model/tokenizer/trie.h"

#include <stdlib.h>

enum { FIRST_BITS = 10 };

/* Where the edge of a key is, or the free slot where it would be: linear probing from the top bits
 * of a product (Knuth's multiplicative hashing). */
static inline TrieEdge *slot_of(const Trie *t, uint32_t key)
{
    uint32_t mask = (1u << t->bits) - 1;
    uint32_t i = (key * 0x9e3779b1u) >> (32 - t->bits);
    while (t->edges[i].child != TRIE_NONE && t->edges[i].key != key)
        i = (i + 1) & mask;
    return &t->edges[i];
}

static inline uint32_t child_of(const Trie *t, uint32_t node, unsigned char byte)
{
    return slot_of(t, node << 8 | byte)->child;
}

void trie_init(Trie *t)
{
    *t = (Trie){.bits = FIRST_BITS, .nodes = TRIE_ROOT + 1, .capacity = 1u << FIRST_BITS};
    t->edges = xcalloc((size_t)1 << t->bits, sizeof *t->edges);
    t->values = xmalloc(t->capacity * sizeof *t->values);
    t->values[TRIE_NONE] = t->values[TRIE_ROOT] = -1;
}

void trie_release(Trie *t)
{
    free(t->edges);
    free(t->values);
    *t = (Trie){0};
}

static void grow_edges(Trie *t)
{
    Trie old = *t;
    t->bits++;
    t->edges = xcalloc((size_t)1 << t->bits, sizeof *t->edges);
    for (size_t i = 0; i < (size_t)1 << old.bits; i++)
        if (old.edges[i].child != TRIE_NONE)
            *slot_of(t, old.edges[i].key) = old.edges[i];
    free(old.edges);
}

static uint32_t add_child(Trie *t, uint32_t node, unsigned char byte)
{
    CHECK(t->nodes < TRIE_MAX_NODES, "a trie of more than %d nodes", TRIE_MAX_NODES);
    if (2 * (size_t)t->nodes >= (size_t)1 << t->bits) /* at most half full */
        grow_edges(t);
    if (t->nodes == t->capacity) {
        t->capacity *= 2;
        t->values = xrealloc(t->values, t->capacity * sizeof *t->values);
    }
    t->values[t->nodes] = -1;
    *slot_of(t, node << 8 | byte) = (TrieEdge){.key = node << 8 | byte, .child = t->nodes};
    return t->nodes++;
}

int32_t trie_insert(Trie *t, const void *key, size_t len, int32_t value)
{
    const unsigned char *p = key;
    uint32_t node = TRIE_ROOT;
    for (size_t i = 0; i < len; i++) {
        uint32_t child = child_of(t, node, p[i]);
        node = child != TRIE_NONE ? child : add_child(t, node, p[i]);
    }
    int32_t before = t->values[node];
    if (before < 0)
        t->values[node] = value;
    return before;
}

size_t trie_longest(const Trie *t, uint32_t node, const unsigned char *text, size_t len,
                    int32_t *value)
{
    size_t longest = 0;
    for (size_t i = 0; i < len; i++) {
        node = child_of(t, node, text[i]);
        if (node == TRIE_NONE)
            break;
        if (t->values[node] >= 0) {
            longest = i + 1;
            *value = t->values[node];
        }
    }
    return longest;
}

uint32_t trie_walk(const Trie *t, const void *prefix, size_t len)
{
    const unsigned char *p = prefix;
    uint32_t node = TRIE_ROOT;
    for (size_t i = 0; i < len && node != TRIE_NONE; i++)
        node = child_of(t, node, p[i]);
    return node;
}

int32_t trie_find(const Trie *t, const void *key, size_t len)
{
    return t->values[trie_walk(t, key, len)];
}
