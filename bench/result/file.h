/* file: NAME.csv, NAME.samples.csv and, of rows that decode, NAME.tokens.csv on disk, safe against
 * a kill at any moment.
 *
 * The one idea: a row's samples reach the disk before its line, and a line is added whole or cut
 * off again, so every line of the CSV can be trusted. Files are rewritten through a temporary file
 * and a rename. The CSV is locked while it is open: one program at a time. */
#pragma once

#include "bench/row/row.h"
#include "bench/row/samples.h"

typedef struct ResultFile {
    const Schema *schema; /* of its records */
    char *path, *samples_path, *tokens_path;
    int fd, samples_fd;
} ResultFile;

/* Refuses the file that another result left at `path`: its "samples", "tokens" or "processes". */
int result_stray(const char *path, const char *what, Err *err);

/* Where a result goes: `out`, or results/NAME.csv where it is NULL; that folder is made. Caller
 * frees. NULL on failure. */
char *result_file_path(const char *out, const char *name, Err *err);

typedef enum ResultOpen {
    RESULT_NEW,       /* an existing result is refused */
    RESULT_OVERWRITE, /* an existing result is replaced */
    RESULT_RESUME,    /* an existing result is read; none is a new one */
} ResultOpen;

/* Creates or opens both files. With RESULT_RESUME and an existing result, *rows and *count are what
 * it holds, without a torn last line; the caller frees *rows and calls result_file_rewrite before
 * anything is added. Otherwise *rows is NULL and the files have their headers. -1: the file cannot
 * be created or locked, exists, has other columns, a broken or repeated row, a row whose row_id is
 * not its own, or an `ok` row without samples. */
int result_file_open(ResultFile *f, const char *path, ResultOpen how, RowResult **rows,
                     size_t *count, Err *err);
void result_file_close(ResultFile *f);

/* For records of another schema, which are not continued: creates both files with their headers. */
int result_file_create(ResultFile *f, const Schema *schema, const char *path, bool overwrite,
                       Err *err);

/* Adds one row or record, its samples first, in which `id` names it. On -1 (a full disk) no part of
 * it is left. */
int result_file_add(ResultFile *f, const void *record, const char *id, const Samples *samples,
                    Err *err);

/* Adds the text to the end of an open file, whole or not at all. -1: a full disk, say. */
int file_append(int fd, const char *path, const char *text, size_t len, bool synced, Err *err);

/* A row and its samples, both borrowed. */
typedef struct ResultLine {
    const RowResult *row;
    const Samples *samples;
} ResultLine;

/* Replaces the contents of both files, each in one piece. On -1 the old files are still there. */
int result_file_write(ResultFile *f, const ResultLine *lines, size_t count, Err *err);

/* The same with the samples that the file already has; those of other rows are dropped. */
int result_file_rewrite(ResultFile *f, const RowResult *const *rows, size_t count, Err *err);
