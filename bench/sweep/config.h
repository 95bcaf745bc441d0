/* config: a sweep's TOML file, read and multiplied out into rows.
 *
 * The one idea: every key of [defaults] and [sweep] is a config field of row/fields.def with one or
 * more values; rows are their product. Nothing here estimates or runs. */
#pragma once

#include "bench/util/grid.h"
#include "bench/row/config.h"

typedef struct SweepModel {
    char *size;
    RowConfig config; /* its MODEL and SHAPE fields; missing where it does not say */
    bool begun;       /* config holds something */
    char *place;
} SweepModel;

typedef struct SweepConfig {
    Grid grid;          /* axes as row_fields; results have none */
    SweepModel *models; /* the [[model]] entries */
    size_t num_models;
} SweepConfig;

/* For config_load. Release with config_release. */
const ConfigFile *sweep_config_file(void);

typedef struct SweepRow {
    RowConfig config;
    FieldTEXT name; /* row_name, then /key=value for every further key with several values */
} SweepRow;

/* The rows, in the order of the product: model_size (outermost), model_dir, context_length,
 * num_warmups, forward_only, then any other key in the order of the columns. What a row's model is,
 * the first that says it decides: [sweep] and --set, its [[model]], the built-in shape, [defaults],
 * the default. What a model_dir says is beside [defaults] the truth, and anything else that differs
 * is refused. Caller frees *rows. */
int sweep_expand(const SweepConfig *s, SweepRow **rows, size_t *count, Err *err);
