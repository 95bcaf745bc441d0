/* run: runs one row in this process and times it.
 *
 * The one idea: row_run and run_once, read top to bottom, define what is timed. Not here: the
 * process (sweep/spawn.h), the machine's peaks and the judgement (row/result.h). */
#pragma once

#include "model/model.h"
#include "bench/row/profile.h"
#include "bench/row/row.h"
#include "bench/row/samples.h"

/* The model options of a row, for its prediction and for the row itself. memory_limit: bytes that
 * recompute = auto tries to stay below, 0 = none. */
ModelOptions row_model_options(const RowConfig *c, size_t memory_limit);

typedef struct RowExtras {
    size_t memory_limit; /* see row_model_options */
    bool no_probe;       /* leave row/probe.h out */
    bool is_rank;        /* this process is one of the row's ranks */
    int *rank;           /* unless NULL: which one, for rank 0 alone answers */
    /* unless NULL: num_trials more runs follow the timed ones and are added to it */
    Profile *profile;
} RowExtras;

/* Of several ranks it runs in each, and r is filled in all of them.
 *
 * Runs r->config, which has passed row_config_check, and fills r and the samples of every run in
 * their order; r->status is then ok. -1: the row is not supported here (support.h), memory was
 * refused, or the loss is not a number. */
int row_run(RowResult *r, Samples *samples, const RowExtras *extras, Err *err);
