/* fingerprint: do two rows come from the same machine and the same build?
 *
 * The one idea: one list of columns, for diff, merge and --resume alike. What a difference means is
 * decided there. */
#pragma once

#include "bench/row/row.h"

/* The columns that say which machine and which build a time belongs to. */
#define FINGERPRINT_COLUMNS                                                                        \
    "isa|blas|cpu_model|cpus_allowed|cpu_quota|governor|build|git_commit|schema"

/* Whether the row has a value to compare. A row that did not run has no BLAS, a row of an older
 * version no newer columns. An empty quota or governor is a value. */
bool fingerprint_knows(const Field *f, const RowResult *r);

/* Whether both rows have a value and the values differ. */
bool fingerprint_differs(const Field *f, const RowResult *a, const RowResult *b);

/* Appends "cpu_model: 'A' and 'B'" to text for every column of the list "a|b|c" that differs and is
 * not in text yet. */
void fingerprint_add(FieldTEXT text, const char *columns, const RowResult *a, const RowResult *b);
