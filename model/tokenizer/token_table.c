/* token_table: see token_table.h. */
#include "model/tokenizer/token_table.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_BITS = 8 };

/* FNV-1a (Fowler, Noll, Vo), its high bits mixed into the low ones. */
static size_t hash_of(const unsigned char *s, size_t len)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < len; i++)
        h = (h ^ s[i]) * 0x100000001b3u;
    return (size_t)(h ^ h >> 29);
}

void token_table_init(TokenTable *t)
{
    *t = (TokenTable){.bits = FIRST_BITS};
    t->slots = xmalloc(sizeof *t->slots << t->bits);
    memset(t->slots, -1, sizeof *t->slots << t->bits);
}

void token_table_release(TokenTable *t)
{
    bytes_release(&t->pool);
    free(t->entries);
    free(t->slots);
    *t = (TokenTable){0};
}

/* Where the id of the string is, or would be. */
static int32_t *slot_of(const TokenTable *t, const unsigned char *token, size_t len)
{
    size_t mask = ((size_t)1 << t->bits) - 1, i = hash_of(token, len) & mask;
    for (; t->slots[i] >= 0; i = (i + 1) & mask) {
        const TokenEntry *e = &t->entries[t->slots[i]];
        if (e->len == len && (len == 0 || memcmp(t->pool.data + e->at, token, len) == 0))
            break;
    }
    return &t->slots[i];
}

static void grow_slots(TokenTable *t)
{
    free(t->slots);
    t->bits++;
    t->slots = xmalloc(sizeof *t->slots << t->bits);
    memset(t->slots, -1, sizeof *t->slots << t->bits);
    for (size_t id = 0; id < t->num_ids; id++) {
        const TokenEntry *e = &t->entries[id];
        if (e->taken)
            *slot_of(t, t->pool.data + e->at, e->len) = (int32_t)id;
    }
}

/* Entries that no token has are zero, and never touched: the gap below a far id costs nothing. */
static void reach(TokenTable *t, size_t num_ids)
{
    if (num_ids > t->capacity) {
        t->capacity = num_ids > 2 * t->capacity ? num_ids : 2 * t->capacity;
        TokenEntry *entries = xcalloc(t->capacity, sizeof *entries);
        if (t->num_ids)
            memcpy(entries, t->entries, t->num_ids * sizeof *entries);
        free(t->entries);
        t->entries = entries;
    }
    if (num_ids > t->num_ids)
        t->num_ids = num_ids;
}

bool token_table_add(TokenTable *t, const void *token, size_t len, int32_t id)
{
    CHECK(id >= 0 && id < TOKEN_MAX_IDS && len <= UINT32_MAX, "id %d of %zu bytes", id, len);
    if (token_table_find(t, token, len) >= 0 || ((size_t)id < t->num_ids && t->entries[id].taken))
        return false;
    reach(t, (size_t)id + 1);
    t->entries[id] = (TokenEntry){.at = t->pool.len, .len = (uint32_t)len, .taken = true};
    bytes_append(&t->pool, token, len);
    if (2 * ++t->count > (size_t)1 << t->bits)
        grow_slots(t);
    else
        *slot_of(t, token, len) = id;
    return true;
}

int32_t token_table_find(const TokenTable *t, const void *token, size_t len)
{
    return *slot_of(t, token, len);
}

const unsigned char *token_table_at(const TokenTable *t, int32_t id, size_t *len)
{
    if (id < 0 || (size_t)id >= t->num_ids || !t->entries[id].taken)
        return NULL;
    *len = t->entries[id].len;
    return t->pool.data + t->entries[id].at;
}
