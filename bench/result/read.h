/* read: a result file and the samples beside it, checked: what diff, merge and --resume believe.
 *
 * The one idea: rows and trials are joined once, in time that grows with the size of the files, and
 * whatever contradicts itself is refused with its file and line. A row that ran has every trial it
 * claims, in order, each with a positive time. Who may compare what is not decided here. */
#pragma once

#include "bench/row/row.h"
#include "bench/row/samples.h"
#include "bench/util/name_index.h"

typedef struct StoredRow {
    RowResult row;
    Samples samples; /* in the order of the file; none where the row did not run */
    int line;        /* in the result file */
} StoredRow;

typedef struct StoredResult {
    char *path, *samples_path, *tokens_path;
    StoredRow *rows; /* [count], in the order of the file */
    size_t count;
    NameIndex by_id;     /* row_id to place in rows */
    int stray_line;      /* of the first sample without a row, 0 = none: a sweep was killed there */
    FieldTEXT stray_row; /* and the row_id that it names */
} StoredResult;

typedef enum StoredUse {
    STORED_JUDGE,    /* of any version, other tools' too: row_id, status, is_warmup, wall_ns do */
    STORED_CONTINUE, /* of this version only; a torn last line, left by a kill, is dropped */
} StoredUse;

/* Reads NAME.csv, NAME.samples.csv and, where it is there, NAME.tokens.csv, whose lines of rows
 * that are not in NAME.csv are left out. -1: a file that cannot be read or is not a result, a
 * row_id that is empty or stands twice, an unknown status, a time that is not positive, a trial
 * that is missing or stands twice; "file:line: ...". Release with stored_release also after -1. */
int stored_read(StoredResult *s, const char *path, StoredUse use, Err *err);
void stored_release(StoredResult *s);

/* The row of that id, or NULL. */
const StoredRow *stored_find(const StoredResult *s, const char *row_id);
