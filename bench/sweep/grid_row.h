/* grid_row: the rows of a verb that reads a grid and is no sweep (`attention`, `comm`): its config
 * multiplied out, which rows are selected, a fresh process for each, the result file, and a table.
 *
 * The one idea: a record begins with a RowResult, so that what is done with it needs the verb's
 * schema and no more. The process is this program's `tare VERB /dev/null --set key=value ...
 * --result-fd N`: a config without lists has one row. Every selected row ends up in the file, also
 * those that do not fit, as soon as it is finished. A sweep's rows are those of spawn.h. */
#pragma once

#include <stdio.h>

#include "bench/result/file.h"
#include "bench/row/row.h"
#include "bench/row/samples.h"
#include "bench/sweep/progress.h"
#include "bench/util/grid.h"
#include "bench/util/table.h"

/* ---- records ---- */

/* For the table of fields of a Struct that begins with `RowResult base`: a key of the config, what
 * came out, and a column of row/fields.def with its meaning there. */
#define GRID_KEY(Struct, kind, name_, member, fallback_, doc_, ...)                                \
    FIELD(Struct, kind, name_, member, .group = FIELD_CONFIG, .unit = "", .doc = (doc_),           \
          .fallback = (fallback_), __VA_ARGS__)
#define GRID_OUT(Struct, kind, name_, member, unit_, doc_)                                         \
    FIELD(Struct, kind, name_, member, .group = FIELD_RESULT, .unit = (unit_), .doc = (doc_))
#define GRID_SHARED(name_)                                                                         \
    {                                                                                              \
        .name = name_                                                                              \
    }
#define BETWEEN(low, high) .min = (low), .max = (high)

/* `s` itself, whose fields are these, after filling the shared ones. */
const Schema *grid_schema(const Schema *s, Field *fields);

/* Defaults, and every result missing. */
void grid_row_init(const Schema *s, void *record);

/* ---- a verb ---- */

struct GridStudy;

typedef struct GridVerb {
    const char *name; /* as in `tare NAME` */
    const ConfigFile *(*file)(void);
    const char *built_in; /* the config where none is named; NULL: one has to be */
    /* Keys that the name of a row tells; they vary slowest, the first outermost. */
    const char *const *named;
    size_t num_named;
    /* Fills what follows from the keys: base.row_id, the name that --filter knows, and
     * predictions. */
    void (*plan)(void *record);
    /* Runs the study into the file `out` by grid_study_run. */
    int (*run)(struct GridStudy *s, const char *out, bool overwrite, FILE *log, Err *err);
    void (*show)(const void *const *records, size_t count, TableFormat format, FILE *out);
    bool warns; /* rows end with their row_warning */
} GridVerb;

typedef struct GridStudy {
    const GridVerb *verb;
    Grid grid;
    void *rows; /* [count] records of grid.schema, in the order of the config */
    bool *selected, *in_file;
    size_t count;
} GridStudy;

/* Reads the config that the command names and selects the rows whose name matches its filter. -1
 * leaves nothing to release. */
int grid_study_init(GridStudy *s, const GridVerb *v, const ConfigCommand *command, Err *err);
void grid_study_release(GridStudy *s);

/* Bytes that a row may need: what the config says, or what there is. */
int64_t grid_study_memory(const GridStudy *s);

/* The i-th record. */
void *grid_study_row(const GridStudy *s, size_t i);

/* How a verb runs its rows; `ctx` is the verb's own. */
typedef struct GridRun {
    void *ctx;
    /* Before the first row: progress has started. NULL = nothing to do. */
    void (*begin)(void *ctx, Progress *p);
    /* Gives row i a status and, where it ran, results and samples. An empty status: it was
     * interrupted. -1: no row can be run at all. */
    int (*row)(void *ctx, size_t i, Samples *samples, Err *err);
    /* Of the rows from `next` on; NULL = not known. */
    TimeLeft (*left)(void *ctx, size_t next);
} GridRun;

/* Runs what is selected into the file `out`. Ends early, and in order, when interrupted(). -1: the
 * result file cannot be used, or a row says so. */
int grid_study_run(GridStudy *s, const GridRun *run, const char *out, bool overwrite, FILE *log,
                   Err *err);

/* The whole of it for a command: the verb's `run` to `out` or results/NAME.csv, progress on stderr,
 * the rows in the file on stdout. Returns an exit code; -1 as grid_study_run. */
int grid_study_command(GridStudy *s, const char *out, bool overwrite, const char *format, Err *err);

/* ---- the fresh process ---- */

/* The command of a record, whose answer goes to the open descriptor fd. Free with argv_free. */
char **grid_row_command(const GridStudy *s, const void *record, int fd);

/* Runs that command, with the config's limit of time, frees it, and adds to the record what the
 * answer has and the record lacks. A failure is the record's status, without samples; where the
 * user interrupted, interrupted() is true and the status empty. -1: no process could be made. */
int grid_row_ask(const GridStudy *s, void *record, char **argv, Samples *samples, Err *err);

/* In that process: writes the answer. */
int grid_row_answer(const GridStudy *s, const void *record, const Samples *samples, int fd,
                    Err *err);
