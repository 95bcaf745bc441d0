/* token_table: strings and their ids, both ways. A hash table of ids over a pool of strings, at
 * most half full; nothing can be removed. It knows nothing of what the strings mean. */
#pragma once

#include "model/tokenizer/utf8.h"

enum { TOKEN_MAX_IDS = 1 << 24 };

typedef struct TokenEntry {
    size_t at; /* in the pool */
    uint32_t len;
    bool taken;   /* false: no token has this id */
    uint8_t mark; /* the caller's, 0 at first */
} TokenEntry;

typedef struct TokenTable {
    ByteBuffer pool;
    TokenEntry *entries; /* by id */
    size_t num_ids;      /* one more than the largest */
    size_t capacity, count;
    int32_t *slots; /* -1: free */
    unsigned bits;  /* 2^bits slots */
} TokenTable;

void token_table_init(TokenTable *t);
void token_table_release(TokenTable *t);

/* Adds a string of any bytes under an id from 0 to TOKEN_MAX_IDS - 1. False, and nothing is
 * changed, where the string or the id is taken. */
bool token_table_add(TokenTable *t, const void *token, size_t len, int32_t id);

/* The id of a string, -1 if it is not there. */
int32_t token_table_find(const TokenTable *t, const void *token, size_t len);

/* The string of an id; NULL if no token has it. */
const unsigned char *token_table_at(const TokenTable *t, int32_t id, size_t *len);
