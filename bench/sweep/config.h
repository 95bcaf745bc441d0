/* config: a sweep's TOML file, read and multiplied out into rows.
 *
 * The one idea: every key of [defaults] and [sweep] is a config field of row/fields.def with one or more
 * values; rows are their product. Whatever is wrong is refused here, with its file and line, before
 * anything runs. Nothing here estimates or runs. */
#ifndef TARE_BENCH_SWEEP_CONFIG_H
#define TARE_BENCH_SWEEP_CONFIG_H

#include "bench/util/options.h"
#include "bench/row/config.h"

/* The values of one config field; none = the field's default. */
typedef struct Axis {
    char **values;
    size_t count;
    char *place; /* "sweep.toml:12" or "--set key=value", for messages */
} Axis;

typedef struct SweepModel {
    RowConfig dimensions; /* its MODEL fields and its model_size */
    char *place;
} SweepModel;

typedef struct SweepConfig {
    char *path, *name;  /* name: of the result file */
    Axis *axes;         /* [num_row_fields], as row_fields; results have none */
    SweepModel *models; /* the [[model]] entries */
    size_t num_models;
    int64_t max_memory;  /* bytes; 0 = auto */
    double max_row_time; /* seconds; INFINITY = no limit */
} SweepConfig;

/* Reads the file, then applies "key=value" settings, which take the place of the file's values; a value
 * is TOML, or a bare word. -1 leaves nothing to release. */
int sweep_load(SweepConfig *s, const char *path, const TextList *settings, Err *err);
int sweep_load_text(SweepConfig *s, const char *text, size_t len, const char *path,
                    const TextList *settings, Err *err);
void sweep_config_release(SweepConfig *s);

typedef struct SweepRow {
    RowConfig config;
    FieldTEXT name; /* row_name, then /key=value for every further key with several values */
} SweepRow;

enum { MAX_SWEEP_ROWS = 10000 };

/* The rows, in the order of the product: model_size (outermost), context_length, num_warmups,
 * forward_only, then any other key in the order of the columns. Caller frees *rows. */
int sweep_expand(const SweepConfig *s, SweepRow **rows, size_t *count, Err *err);

#endif
