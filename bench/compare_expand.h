/* compare_expand: from the lists of a [[cell]] table to cells, and which of them are wanted. */
#ifndef TARE_COMPARE_EXPAND_H
#define TARE_COMPARE_EXPAND_H

#include "compare_config.h"

enum { COMPARE_MAX_LIST = 64 };

/* A [[cell]] before it is multiplied out. */
typedef struct CellLists {
    const Component *components[COMPARE_MAX_LIST];
    size_t models[COMPARE_MAX_LIST], batch_sizes[COMPARE_MAX_LIST], seq_lens[COMPARE_MAX_LIST];
    size_t num_components, num_models, num_batch_sizes, num_seq_lens;
    int64_t rounds; /* 0 = as the file says */
    bool fresh_process;
} CellLists;

/* Appends every combination to c->cells, the model slowest, the batch size fastest. -1 where the lengths
 * do not fit the components. */
int compare_expand(CompareConfig *c, CellLists *lists, Err *err);

/* Keeps the cells whose name matches the extended regular expression; -1 when none is left. */
int compare_filter(CompareConfig *c, const char *pattern, Err *err);

#endif
