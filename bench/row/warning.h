/* warning: tells the person who runs a row why not to believe it, in a sentence.
 *
 * The one idea: the columns have the facts; a warning names those that matter and what to do next.
 * It measures nothing. A row that did not run has its reason in status_reason. */
#pragma once

#include "bench/row/row.h"

/* Writes the warning of an `ok` row, or "", and returns whether there is one. Reasons: the row did
 * not settle; slow first runs or outliers moved its mean by more than 2 % (`noise` says why); its
 * threads waited for CPUs; fewer of them could run at once than it was given; its BLAS runs kernels
 * far below the processor. */
bool row_warning(const RowResult *r, FieldTEXT text);

/* Adds why a row of a BLAS far below this processor (machine/blas.h) is slow and what to do; of
 * another row nothing. */
void row_add_blas(const RowResult *r, FieldTEXT text);

/* False where fewer threads could run at once than the row was given. */
bool row_all_threads_ran(const RowResult *r);

/* Whether conclusions may be drawn from a row: it ended ok; it reached a steady state, in runs
 * enough to tell; its threads did not wait for a CPU, and all could run; outliers did not move its
 * mean. A slow start in the mean is no reason: it tells how many warmups it takes.
 * analysis/verdicts.py has the same rule. */
bool row_is_believed(const RowResult *r);
