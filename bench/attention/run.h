/* run: one row of an attention study in this process, or the parity of its shape.
 *
 * The one idea: a study starts each in a process of its own (study.h), so peak memory belongs to
 * the row alone, and the comparison, which has both implementations in memory, to neither. */
#pragma once

#include "bench/attention/row.h"
#include "bench/row/samples.h"

/* Warms up, times the trials, fills the results of r and the samples of every run; the status is
 * then ok. -1: memory was refused. */
int attention_run(AttentionRow *r, Samples *samples, Err *err);

/* Compares flash with plain on the row's shape or, where both together do not fit into memory_limit
 * bytes (INT_MISSING: no limit), at half its context, a quarter, ...; fills the columns of parity.
 * -1: they differ by more than rounding, or memory was refused. */
int attention_parity(AttentionRow *r, int64_t memory_limit, Err *err);
