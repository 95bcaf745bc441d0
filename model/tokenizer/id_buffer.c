/* id_buffer: see id_buffer.h. */
#include "model/tokenizer/id_buffer.h"

#include <stdlib.h>
#include <string.h>

#include "model/tokenizer/bpe.h"

void id_buffer_grow(IdBuffer *b)
{
    b->capacity = b->capacity ? 2 * b->capacity : 64;
    b->ids = xrealloc(b->ids, b->capacity * sizeof *b->ids);
}

void id_buffer_release(IdBuffer *b)
{
    free(b->ids);
    bytes_release(&b->repaired);
    bytes_release(&b->normal);
    bytes_release(&b->prefixed);
    bpe_scratch_free(b->bpe);
    *b = (IdBuffer){0};
}

WordText id_buffer_repair(IdBuffer *b, WordText text)
{
    if (utf8_valid_prefix(text.at, text.len) == text.len)
        return text;
    b->repaired.len = 0;
    utf8_repair(&b->repaired, text.at, text.len);
    return (WordText){(const char *)b->repaired.data, b->repaired.len};
}

void id_buffer_truncate(IdBuffer *b, size_t first, size_t count, size_t limit, bool left)
{
    if (count <= limit)
        return;
    size_t cut = count - limit, at = left ? first : first + limit;
    memmove(b->ids + at, b->ids + at + cut, (b->count - at - cut) * sizeof *b->ids);
    b->count -= cut;
}
