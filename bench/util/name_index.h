/* name_index: from a name to its place in a list, in logarithmic time.
 *
 * The one idea: a sorted array. Names are borrowed and must outlive the index. It keeps nothing
 * else than names and places. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

typedef struct IndexedName {
    const char *name;
    size_t place;
} IndexedName;

typedef struct NameIndex {
    IndexedName *at;
    size_t count;
} NameIndex;

/* Adds a name; its place is the number of names added before. */
void name_index_add(NameIndex *x, const char *name);
/* Sorts. Call it once, after the last name was added and before the first is looked for. */
void name_index_sort(NameIndex *x);
void name_index_release(NameIndex *x);

/* The first place of the name, or SIZE_MAX. */
size_t name_index_find(const NameIndex *x, const char *name);

/* Whether a name was added twice: the earliest repetition and the place that it repeats. */
bool name_index_repeats(const NameIndex *x, size_t *first, size_t *again);
