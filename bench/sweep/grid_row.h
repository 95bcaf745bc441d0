/* grid_row: the rows of a verb that reads a grid and is no sweep (`attention`, `comm`): which are
 * selected, a fresh process for each, and their table.
 *
 * The one idea: a record begins with a RowResult, so that what is done with it needs the verb's
 * schema and no more. The process is this program's `tare VERB /dev/null --set key=value ...
 * --result-fd N`: a config without lists has one row. A sweep's rows are those of spawn.h. */
#pragma once

#include <stdio.h>

#include "bench/row/row.h"
#include "bench/row/samples.h"
#include "bench/util/table.h"

typedef struct GridVerb {
    const char *name; /* as in `tare NAME` */
    const Schema *(*schema)(void);
    void (*init)(void *record); /* defaults, and every result missing */
    void (*show)(const void *const *records, size_t count, TableFormat format, FILE *out);
} GridVerb;

/* Fills selected [count]: whose name, base.row_id, matches regex (NULL = all). -1: none does, or no
 * regular expression. */
int grid_rows_select(const GridVerb *v, const void *records, size_t count, const char *regex,
                     bool *selected, Err *err);

/* The command of a record, whose answer goes to the open descriptor fd, with further words at the
 * end (NULL = none; ends with NULL). Free with argv_free. */
char **grid_row_command(const GridVerb *v, const void *record, int fd, const char *const *more);

/* Runs that command, frees it, and adds to the record what the answer has and the record lacks. A
 * failure is the record's status, without samples; where the user interrupted, interrupted() is
 * true and the status empty. -1: no process could be made. */
int grid_row_ask(const GridVerb *v, void *record, char **argv, double max_seconds, Samples *samples,
                 Err *err);

/* In that process: writes the answer. */
int grid_row_answer(const GridVerb *v, const void *record, const Samples *samples, int fd,
                    Err *err);

/* Prints the records that are in the file. Returns how many failed or are implausible. */
size_t grid_rows_show(const GridVerb *v, const void *records, size_t count, const bool *in_file,
                      const char *format, FILE *out);
