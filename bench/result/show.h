/* show: rows on standard output, and what their columns mean.
 *
 * csv and json have every column of row/fields.def; table and md the few that a person compares.
 * Result files are written by file.h, tables are laid out by util/table.h. */
#pragma once

#include "bench/row/row.h"
#include "bench/util/table.h"

/* Where the rows are `planned`, table and md have predictions in place of results. */
void show_rows(FILE *out, TableFormat format, const RowResult *const *rows, size_t count);

/* csv and json of records of any schema; false, and nothing printed, for table and md. */
bool show_records(FILE *out, TableFormat format, const Schema *s, const void *const *records,
                  size_t count);

/* All columns of a result file as a Markdown table: name, unit, what `tare run` calls it,
 * meaning. */
void show_columns(FILE *out);
