/* config: the TOML file of an attention study, read and multiplied out into rows. Keys and layout
 * are a sweep's (util/grid.h); nothing here runs. */
#pragma once

#include "bench/attention/row.h"
#include "bench/util/grid.h"

typedef struct AttentionConfig {
    Grid grid;
} AttentionConfig;

/* For config_load. Release with config_release. */
const ConfigFile *attention_config_file(void);

/* The rows, named and planned, in the order of the columns, the first outermost. Caller frees
 * *rows. */
int attention_expand(const AttentionConfig *c, AttentionRow **rows, size_t *count, Err *err);
