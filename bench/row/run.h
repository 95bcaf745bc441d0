/* run: runs one row in this process and times it.
 *
 * row_run and run_once, read top to bottom, are the definition of what is timed. Spawning, the peaks
 * of the machine and the judgement of the result are done by others (sweep/spawn.h, row/result.h). */
#ifndef TARE_BENCH_ROW_RUN_H
#define TARE_BENCH_ROW_RUN_H

#include "model/model.h"
#include "bench/row/profile.h"
#include "bench/row/row.h"
#include "bench/row/samples.h"

/* The model options of a row. memory_limit: bytes that recompute = auto tries to stay below, 0 = none.
 * The prediction of a row and the row itself both start here. */
ModelOptions row_model_options(const RowConfig *c, size_t memory_limit);

/* Asked for beside the row itself. */
typedef struct RowExtras {
    size_t memory_limit; /* see row_model_options */
    Profile *profile; /* when set, num_trials more runs follow the timed ones and are added to it */
} RowExtras;

/* Runs r->config, which has passed row_config_check, and fills r and the samples of every run in their
 * order; r->status is then ok. -1: the row is not supported here (support.h), memory was refused,
 * or the loss is not a number. */
int row_run(RowResult *r, Samples *samples, const RowExtras *extras, Err *err);

#endif
