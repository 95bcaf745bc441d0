/* table: rows on stdout, as a table to read or a format to pipe on.
 *
 * csv and json have every column of row/fields.def; table and md the few that a person compares. Result
 * files are written by file.h. */
#ifndef TARE_BENCH_RESULT_TABLE_H
#define TARE_BENCH_RESULT_TABLE_H

#include <stdio.h>

#include "bench/row/row.h"

#define REPORT_FORMATS "table|csv|json|md"

/* format: one of REPORT_FORMATS. Rows that are `planned` have their predictions shown instead of
 * results. */
void report_rows(FILE *out, const char *format, const RowResult *const *rows, size_t count);

/* All columns of a result file as a Markdown table: name, unit, what `tare run` calls it, meaning. */
void report_columns(FILE *out);

/* Writes a cell of a Markdown table, in which a bar would end the cell. */
void markdown_print(FILE *out, const char *text);

#endif
