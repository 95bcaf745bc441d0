/* warning: what a finished row says against itself, in a sentence for the person who runs it.
 *
 * The one idea: the columns have the facts; a warning names those that matter and what to do next. It
 * finds nothing new, and rows that did not run have their reason in their status. */
#ifndef TARE_BENCH_ROW_WARNING_H
#define TARE_BENCH_ROW_WARNING_H

#include "bench/row/row.h"

/* Writes the warning of an `ok` row, "" where there is none: it did not settle; slow first runs moved its
 * mean by more than 2 %, or outliers did (`noise` says why); its threads waited for CPUs. Returns whether
 * there is one. */
bool row_warning(const RowResult *r, FieldTEXT text);

#endif
