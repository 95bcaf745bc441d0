/* word_table: see word_table.h. */
#include "model/tokenizer/word_table.h"

#include <stdlib.h>

enum { FIRST_BITS = 8 };

void word_table_init(WordTable *t)
{
    *t = (WordTable){.bits = FIRST_BITS};
    t->slots = xcalloc((size_t)1 << t->bits, sizeof *t->slots);
}

void word_table_release(WordTable *t)
{
    free(t->slots);
    *t = (WordTable){0};
}

static void grow(WordTable *t)
{
    WordTable old = *t;
    t->bits++;
    t->slots = xcalloc((size_t)1 << t->bits, sizeof *t->slots);
    for (size_t i = 0; i < (size_t)1 << old.bits; i++)
        if (old.slots[i].key.len)
            *word_table_slot(t, old.slots[i].key) = old.slots[i];
    free(old.slots);
}

void word_table_insert(WordTable *t, const unsigned char *word, size_t len, int32_t id)
{
    CHECK(len > 0 && len <= WORD_TABLE_MAX_LEN, "a word of %zu bytes", len);
    if (2 * ++t->count > (size_t)1 << t->bits) /* at most half full */
        grow(t);
    WordKey key = word_key(word, len);
    *word_table_slot(t, key) = (WordSlot){.key = key, .id = id};
}
