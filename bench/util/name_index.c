/* name_index: see name_index.h. */
#include "bench/util/name_index.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "autograd/base.h"

void name_index_add(NameIndex *x, const char *name)
{
    x->at = xgrow(x->at, x->count, sizeof *x->at);
    x->at[x->count] = (IndexedName){name, x->count};
    x->count++;
}

static int compare(const void *a, const void *b)
{
    const IndexedName *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order ? order : x->place < y->place ? -1 : x->place > y->place;
}

void name_index_sort(NameIndex *x)
{
    if (x->count)
        qsort(x->at, x->count, sizeof *x->at, compare);
}

void name_index_release(NameIndex *x)
{
    free(x->at);
    *x = (NameIndex){0};
}

size_t name_index_find(const NameIndex *x, const char *name)
{
    size_t low = 0, high = x->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(x->at[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < x->count && strcmp(x->at[low].name, name) == 0 ? x->at[low].place : SIZE_MAX;
}

bool name_index_repeats(const NameIndex *x, size_t *first, size_t *again)
{
    *again = SIZE_MAX;
    for (size_t i = 1; i < x->count; i++)
        if (strcmp(x->at[i - 1].name, x->at[i].name) == 0 && x->at[i].place < *again) {
            *again = x->at[i].place;
            *first = name_index_find(x, x->at[i].name);
        }
    return *again != SIZE_MAX;
}
