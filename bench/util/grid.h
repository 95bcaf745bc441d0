/* grid: a config file whose lists multiply into rows, and the product of the lists.
 *
 * The one idea: every key of [defaults] and [sweep] is a field of a Schema with one or more values;
 * a row is one value of each. What a value means, and how a row is called, is the verb's
 * business. */
#pragma once

#include "bench/util/config.h"
#include "bench/util/fields.h"

/* The values of one field; none = the field's default. */
typedef struct Axis {
    char **values;
    size_t count;
    char *place;     /* "sweep.toml:12" or "--set key=value", for messages */
    bool is_default; /* from [defaults] */
} Axis;

/* field_parse, or what judges a value in its place; `record` is zeroed. */
typedef int GridParse(const Field *f, void *record, const char *text, Err *err);

/* What such a file says; the struct that a verb's ConfigFile fills begins with it. */
typedef struct Grid {
    char *path, *name;    /* name: of the result file; the config's own by default */
    const Schema *schema; /* this and parse are ConfigFile.initial's */
    GridParse *parse;
    Axis *axes;          /* as the schema's fields */
    int64_t max_memory;  /* bytes; 0 = auto */
    double max_row_time; /* seconds; INFINITY = no limit */
} Grid;

/* The keys at the top and in [limits]. */
extern const ConfigKey grid_top_keys[1], grid_limit_keys[2];

/* The key of a field, in [defaults] and [sweep] with grid_set for `set`. */
ConfigKey grid_key(const Field *f, ConfigCall set);
int grid_set(const ConfigAt *at, Err *err);

/* A file that fills a Grid, whose keys are the fields of a group of a schema. */
enum { GRID_MOST_KEYS = 24 };
typedef struct GridFile {
    ConfigFile file;
    Grid initial;
    ConfigKey keys[GRID_MOST_KEYS];
    ConfigSection sections[4];
} GridFile;
const ConfigFile *grid_file(GridFile *f, const char *title, const Schema *schema, int group,
                            GridParse *parse);

/* For ConfigFile.check and .release; `grid` is what `out` begins with. */
int grid_finish(void *grid, Err *err);
void grid_release(void *grid);

/* The product: `count` rows of one value for each of `depth` fields. */
enum { MAX_GRID_ROWS = 10000 };
typedef struct GridRows {
    const Grid *grid;
    const Field **order; /* the fields that have values, the slowest first */
    size_t depth, outer, count;
} GridRows;

/* Fields called in `outer` vary slowest, in that order, the first outermost; the others follow in
 * the order of the schema. -1: more than MAX_GRID_ROWS. Release it also then. */
int grid_rows_init(GridRows *p, const Grid *g, const char *const *outer, size_t num_outer,
                   Err *err);
void grid_rows_release(GridRows *p);

/* The value of the d-th field of order in a row. */
const char *grid_value(const GridRows *p, size_t row, size_t d);

/* Appends "/key=value" for each field that has several values and is no outer one. */
void grid_row_suffix(const GridRows *p, size_t row, FieldTEXT name);
