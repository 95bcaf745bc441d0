/* expand: from the lists of a [[cell]] table to cells, and which of them are wanted. */
#ifndef TARE_BENCH_COMPARE_EXPAND_H
#define TARE_BENCH_COMPARE_EXPAND_H

#include "bench/compare/config.h"
#include "bench/util/config_values.h"

/* A [[cell]] before it is multiplied out. */
typedef struct CellLists {
    const Component *components[CONFIG_MAX_LIST];
    size_t models[CONFIG_MAX_LIST], batch_sizes[CONFIG_MAX_LIST], seq_lens[CONFIG_MAX_LIST];
    size_t num_components, num_models, num_batch_sizes, num_seq_lens;
    int64_t rounds; /* 0 = as the file says */
    char *texts;
    bool fresh_process;
} CellLists;

/* Appends every combination to c->cells, the model slowest, the batch size fastest. -1 where something is
 * missing, or lengths, sizes or texts do not fit the components. */
int compare_expand(CompareConfig *c, CellLists *lists, Err *err);

/* Keeps the cells whose name matches the extended regular expression; -1 when none is left. */
int compare_filter(CompareConfig *c, const char *pattern, Err *err);

#endif
