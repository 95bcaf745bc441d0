/* result: fills the columns of a row from its samples: statistics, steady state, noise, rates and
 * judgement.
 *
 * The one idea: result_fill is a pure function, so a result can be filled again from samples on
 * disk. First trial and steady state look at all runs, every other figure at timed trials only.
 * Of several processes the process is the unit (stats/stats.h).
 * Definitions are in stats/stats.h, stats/steady.h and stats/outliers.h. */
#pragma once

#include "bench/machine/plausible.h"
#include "bench/row/row.h"
#include "bench/row/samples.h"

/* Fills the columns that follow from the samples, r->config and r->model_flops. At least one timed
 * trial. resolution_ns: the clock's step, below which times do not differ. */
void result_fill(RowResult *r, const Samples *s, double resolution_ns);

/* Adds what process number `process` (from 1, in their order) of a row answered: its runs to `all`,
 * numbered on, and to *r what belongs to processes alone: memory, threads, warmups. result_fill is
 * due after the last one. A process that failed is the row's failure, and its runs are dropped. */
void result_add_process(RowResult *r, Samples *all, const RowResult *one, const Samples *samples,
                        int64_t process);

/* Fills predicted_tokens_per_s of a row of prefill or decode by the two peaks. */
void result_predict(RowResult *r, double gb_per_s, double gflops_per_s);

/* Fills peak_gflops_per_s and peak_fraction of an `ok` row by the guard's peaks, and makes it
 * implausible where it is. -1: the peaks could not be measured, the columns stay empty. */
int result_judge(RowResult *r, Guard *g, Err *err);
