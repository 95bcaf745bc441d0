/* bpe: see bpe.h. */
#include "model/tokenizer/bpe.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "model/tokenizer/byte_alphabet.h"
#include "model/tokenizer/word_table.h"

enum {
    FIRST_BITS = 8,
    CACHE_BITS = 14, /* slots of 32 bytes: half a mebibyte a thread */
    CACHE_IDS = 3,   /* of a word that is remembered */
    SCAN_MAX = 48,   /* bytes of a word that is scanned for each merge */
};

#define NO_RANK UINT32_MAX

typedef struct CacheSlot {
    uint64_t head, tail; /* word_key */
    uint8_t len, count;  /* len 0: free */
    int32_t ids[CACHE_IDS];
} CacheSlot;

/* A place in a long word: a symbol and its neighbours. */
typedef struct Symbol {
    int32_t id;
    int32_t before, after; /* -1: none */
    uint32_t rank;         /* of the merge with the one after */
} Symbol;

struct BpeScratch {
    uint64_t serial; /* whose ids are remembered */
    CacheSlot cache[1 << CACHE_BITS];
    ByteBuffer chars;
    Symbol *symbols;
    uint64_t *heap; /* rank << 32 | place, the smallest first */
    size_t heap_count, capacity;
};

/* ---- building ---- */

void bpe_init(Bpe *b)
{
    static atomic_uint_fast64_t serial;
    *b = (Bpe){.unk = -1, .bits = FIRST_BITS, .serial = atomic_fetch_add(&serial, 1) + 1};
    token_table_init(&b->tokens);
    b->merges = xmalloc(sizeof *b->merges << b->bits);
    memset(b->merges, -1, sizeof *b->merges << b->bits);
}

void bpe_release(Bpe *b)
{
    token_table_release(&b->tokens);
    free(b->merges);
    *b = (Bpe){0};
}

/* Where the merge of a pair is, or would be. */
static inline BpeMerge *merge_slot(const Bpe *b, int32_t left, int32_t right)
{
    size_t mask = ((size_t)1 << b->bits) - 1;
    uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    size_t i = (key * 0x9e3779b97f4a7c15u) >> (64 - b->bits);
    while (b->merges[i].left >= 0 && (b->merges[i].left != left || b->merges[i].right != right))
        i = (i + 1) & mask;
    return &b->merges[i];
}

static void grow_merges(Bpe *b)
{
    BpeMerge *old = b->merges;
    size_t count = (size_t)1 << b->bits++;
    b->merges = xmalloc(sizeof *b->merges << b->bits);
    memset(b->merges, -1, sizeof *b->merges << b->bits);
    for (size_t i = 0; i < count; i++)
        if (old[i].left >= 0)
            *merge_slot(b, old[i].left, old[i].right) = old[i];
    free(old);
}

static int32_t token_or_error(const Bpe *b, const char *token, size_t len, Err *err)
{
    int32_t id = token_table_find(&b->tokens, token, len);
    if (id < 0)
        err_set(err, "merge of '%.*s', which is not in the vocabulary",
                (int)(len < 100 ? len : 100), token);
    return id;
}

int bpe_add_merge(Bpe *b, const char *left, size_t left_len, const char *right, size_t right_len,
                  Err *err)
{
    ByteBuffer both = {0};
    bytes_append(&both, left, left_len);
    bytes_append(&both, right, right_len);
    BpeMerge m = {.rank = (uint32_t)b->num_merges};
    bool known = (m.left = token_or_error(b, left, left_len, err)) >= 0 &&
                 (m.right = token_or_error(b, right, right_len, err)) >= 0 &&
                 (m.id = token_or_error(b, (const char *)both.data, both.len, err)) >= 0;
    bytes_release(&both);
    if (!known)
        return -1;
    if (4 * ++b->num_merges > 3u << b->bits)
        grow_merges(b);
    *merge_slot(b, m.left, m.right) = m;
    return 0;
}

int32_t bpe_vocab_id(const Bpe *b, const void *token, size_t len)
{
    int32_t id = token_table_find(&b->tokens, token, len);
    return id >= 0 && b->tokens.entries[id].mark & BPE_OUTSIDE ? -1 : id;
}

void bpe_complete(Bpe *b)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        unsigned char utf8[2];
        size_t len = byte_to_char((unsigned char)byte, utf8);
        b->byte_ids[byte] = bpe_vocab_id(b, utf8, len);
    }
}

/* ---- one word ---- */

static BpeScratch *scratch_of(const Bpe *b, IdBuffer *out)
{
    if (!out->bpe)
        out->bpe = xcalloc(1, sizeof *out->bpe);
    if (out->bpe->serial != b->serial) {
        memset(out->bpe->cache, 0, sizeof out->bpe->cache);
        out->bpe->serial = b->serial;
    }
    return out->bpe;
}

void bpe_scratch_free(BpeScratch *s)
{
    if (!s)
        return;
    bytes_release(&s->chars);
    free(s->symbols);
    free(s->heap);
    free(s);
}

/* Writes the id of each byte; unk for one without, where there is unk, and one for several in a row
 * where fuse_unk says so. Returns how many. */
static size_t first_symbols(const Bpe *b, const unsigned char *word, size_t len, int32_t *ids)
{
    size_t n = 0;
    bool unknown = false;
    for (size_t i = 0; i < len; i++) {
        int32_t id = b->byte_ids[word[i]];
        bool again = id < 0 && unknown && b->fuse_unk;
        unknown = id < 0;
        if (id < 0)
            id = b->unk;
        if (id >= 0 && !again)
            ids[n++] = id;
    }
    return n;
}

static uint32_t rank_of(const Bpe *b, int32_t left, int32_t right)
{
    const BpeMerge *m = merge_slot(b, left, right);
    return m->left >= 0 ? m->rank : NO_RANK;
}

/* A word of at most SCAN_MAX bytes: finds the lowest rank by looking at all. */
static void merge_by_scan(const Bpe *b, int32_t *ids, size_t n, IdBuffer *out)
{
    uint32_t ranks[SCAN_MAX];
    for (size_t i = 0; i + 1 < n; i++)
        ranks[i] = rank_of(b, ids[i], ids[i + 1]);
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++)
            best = ranks[i] < ranks[best] ? i : best;
        if (ranks[best] == NO_RANK)
            break;
        ids[best] = merge_slot(b, ids[best], ids[best + 1])->id;
        n--;
        memmove(ids + best + 1, ids + best + 2, (n - best - 1) * sizeof *ids);
        memmove(ranks + best, ranks + best + 1, (n - best) * sizeof *ranks);
        if (best + 1 < n)
            ranks[best] = rank_of(b, ids[best], ids[best + 1]);
        if (best > 0)
            ranks[best - 1] = rank_of(b, ids[best - 1], ids[best]);
    }
    for (size_t i = 0; i < n; i++)
        push_id(out, ids[i]);
}

/* ---- long words: a heap of the places where a merge can be ---- */

static void heap_push(BpeScratch *s, uint64_t key)
{
    size_t i = s->heap_count++;
    for (; i > 0 && s->heap[(i - 1) / 2] > key; i = (i - 1) / 2)
        s->heap[i] = s->heap[(i - 1) / 2];
    s->heap[i] = key;
}

static uint64_t heap_pop(BpeScratch *s)
{
    uint64_t top = s->heap[0], last = s->heap[--s->heap_count];
    size_t i = 0, child;
    while ((child = 2 * i + 1) < s->heap_count) {
        child += child + 1 < s->heap_count && s->heap[child + 1] < s->heap[child];
        if (s->heap[child] >= last)
            break;
        s->heap[i] = s->heap[child];
        i = child;
    }
    s->heap[i] = last;
    return top;
}

static void look_at(const Bpe *b, BpeScratch *s, int32_t at)
{
    Symbol *symbol = &s->symbols[at];
    symbol->rank =
        symbol->after < 0 ? NO_RANK : rank_of(b, symbol->id, s->symbols[symbol->after].id);
    if (symbol->rank != NO_RANK)
        heap_push(s, (uint64_t)symbol->rank << 32 | (uint32_t)at);
}

/* Joins the symbol with the one after it, which is no more. */
static void join(const Bpe *b, BpeScratch *s, int32_t at)
{
    Symbol *left = &s->symbols[at], *right = &s->symbols[left->after];
    left->id = merge_slot(b, left->id, right->id)->id;
    left->after = right->after;
    right->rank = NO_RANK;
    if (left->after >= 0)
        s->symbols[left->after].before = at;
    look_at(b, s, at);
    if (left->before >= 0)
        look_at(b, s, left->before);
}

/* A merge pushes two places at most and there are fewer merges than bytes. */
static void reserve_symbols(BpeScratch *s, size_t len)
{
    if (len <= s->capacity)
        return;
    s->capacity = len;
    s->symbols = xrealloc(s->symbols, len * sizeof *s->symbols);
    s->heap = xrealloc(s->heap, 3 * len * sizeof *s->heap);
}

static void merge_by_heap(const Bpe *b, BpeScratch *s, const unsigned char *word, size_t len,
                          IdBuffer *out)
{
    CHECK(len < INT32_MAX, "a word of %zu bytes", len);
    reserve_symbols(s, len);
    int32_t *ids = xmalloc(len * sizeof *ids);
    size_t n = first_symbols(b, word, len, ids);
    s->heap_count = 0;
    for (size_t i = 0; i < n; i++)
        s->symbols[i] = (Symbol){ids[i], (int32_t)i - 1, i + 1 < n ? (int32_t)i + 1 : -1, NO_RANK};
    free(ids);
    for (size_t i = 0; i < n; i++)
        look_at(b, s, (int32_t)i);
    while (s->heap_count > 0) {
        uint64_t key = heap_pop(s);
        if (s->symbols[(uint32_t)key].rank == key >> 32) /* else it has changed since */
            join(b, s, (int32_t)(uint32_t)key);
    }
    for (int32_t at = n > 0 ? 0 : -1; at >= 0; at = s->symbols[at].after)
        push_id(out, s->symbols[at].id);
}

/* ---- words seen before ---- */

static int32_t whole_word(const Bpe *b, BpeScratch *s, const unsigned char *word, size_t len)
{
    s->chars.len = 0;
    bytes_to_chars(word, len, &s->chars);
    return bpe_vocab_id(b, s->chars.data, s->chars.len);
}

static void encode_new(const Bpe *b, BpeScratch *s, const unsigned char *word, size_t len,
                       IdBuffer *out)
{
    int32_t ids[SCAN_MAX], whole = b->whole_words ? whole_word(b, s, word, len) : -1;
    if (whole >= 0)
        push_id(out, whole);
    else if (len <= SCAN_MAX)
        merge_by_scan(b, ids, first_symbols(b, word, len, ids), out);
    else
        merge_by_heap(b, s, word, len, out);
}

static CacheSlot *cache_slot(BpeScratch *s, WordKey k)
{
    uint64_t mixed = (k.head ^ k.len) * 0x9e3779b97f4a7c15u ^ k.tail;
    return &s->cache[(mixed * 0xbf58476d1ce4e5b9u) >> (64 - CACHE_BITS)];
}

void bpe_encode_word(const Bpe *b, const unsigned char *word, size_t len, IdBuffer *out)
{
    BpeScratch *s = scratch_of(b, out);
    if (len > WORD_TABLE_MAX_LEN) {
        encode_new(b, s, word, len, out);
        return;
    }
    WordKey key = word_key(word, len);
    CacheSlot *slot = cache_slot(s, key);
    if (slot->head == key.head && slot->tail == key.tail && slot->len == len) {
        for (size_t i = 0; i < slot->count; i++)
            push_id(out, slot->ids[i]);
        return;
    }
    size_t first = out->count;
    encode_new(b, s, word, len, out);
    if (out->count - first > CACHE_IDS)
        return;
    *slot = (CacheSlot){.head = key.head,
                        .tail = key.tail,
                        .len = (uint8_t)len,
                        .count = (uint8_t)(out->count - first)};
    if (slot->count > 0) /* out->ids is NULL before the first id */
        memcpy(slot->ids, out->ids + first, slot->count * sizeof *slot->ids);
}
