/* fingerprint: do two rows come from the same machine and the same build?
 *
 * The one idea: one list of columns for whoever puts rows beside each other: diff, merge, --resume. What
 * a difference means is their business. */
#ifndef TARE_BENCH_RESULT_FINGERPRINT_H
#define TARE_BENCH_RESULT_FINGERPRINT_H

#include "bench/row/row.h"

/* The columns that say which machine and which build a time belongs to. */
#define FINGERPRINT_COLUMNS                                                                        \
    "isa|blas|cpu_model|cpus_allowed|cpu_quota|governor|build|git_commit|schema"

/* Whether a row knows the column: one that did not run does not know its BLAS, one of an older version none of
 * the newer columns. That there is no quota or no governor is known, too. */
bool fingerprint_knows(const Field *f, const RowResult *r);

/* Whether both rows know the column and do not agree. */
bool fingerprint_differs(const Field *f, const RowResult *a, const RowResult *b);

/* Adds "cpu_model: 'A' and 'B'" to text for every column of the list "a|b|c" that differs and is not in
 * text yet. */
void fingerprint_add(FieldTEXT text, const char *columns, const RowResult *a, const RowResult *b);

#endif
