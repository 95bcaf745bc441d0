/* csv: result and samples files in and out (RFC 4180 through libcsv).
 *
 * The one idea: a table keeps the line of each record, so that an error can name it. Writing quotes
 * only where needed, ends lines with LF and always writes a header. Opening, locking and safety
 * against a kill are in file.h. */
#pragma once

#include <stdio.h>

#include "bench/row/row.h"
#include "bench/row/samples.h"
#include "bench/util/table.h"

/* A file in memory. Owns everything in it. */
typedef struct CsvTable {
    char *path;
    size_t columns, rows; /* rows: without the header */
    char *text;           /* every cell, each with its NUL, the header's first */
    size_t *cells; /* [(1 + rows) * columns], where each begins in text; the header's first */
    int *lines;    /* [rows], from 1 */
} CsvTable;

/* A line of a samples file. Those of a result file are the rows of row_schema. */
typedef struct SampleLine {
    FieldTEXT row_id;
    Sample sample;
} SampleLine;
extern const Schema sample_line_schema;

/* The same of a tokens file. */
typedef struct TokenLine {
    FieldTEXT row_id;
    TokenTime token;
} TokenLine;
extern const Schema token_line_schema;

enum { CSV_MOST_COLUMNS = 4096 };

/* Reads the text of a file with a header. Lines may end with LF, CR LF or, where it has no LF, CR;
 * a byte-order mark is accepted, blank lines are skipped. An empty file, a duplicate column or more
 * than CSV_MOST_COLUMNS, a record longer or shorter than the header, a stray quote or a NUL byte is
 * an error "path:line: ...". -1 leaves nothing to release. */
int csv_load_text(CsvTable *t, const char *text, size_t len, const char *path, Err *err);
void csv_release(CsvTable *t);

/* Index of a column, or SIZE_MAX. */
size_t csv_column(const CsvTable *t, const char *name);
const char *csv_name(const CsvTable *t, size_t column);
const char *csv_cell(const CsvTable *t, size_t row, size_t column);

/* Reads one record. Skips columns that the schema does not have; columns that the file lacks are
 * missing values. -1, with "path:line: ...": a cell that cannot be read. */
int csv_read_record(const CsvTable *t, size_t row, const Schema *s, void *record, Err *err);

/* NAME.ENDING for NAME.csv. Caller frees. */
char *path_beside(const char *path, const char *ending);

/* NAME.samples.csv and NAME.tokens.csv for NAME.csv. Caller frees. */
char *samples_path(const char *path);
char *tokens_path(const char *path);

/* Write lines of a samples file, and of a tokens file. The caller checks the stream (ferror,
 * fflush). */
void csv_write_samples(FILE *f, const char *id, const Samples *s);
void csv_write_tokens(FILE *f, const char *id, const Samples *s);
