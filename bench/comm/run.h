/* run: one row of a study of communication, from inside one of its ranks.
 *
 * The one idea: every round begins with an array that rank and element determine, in whole numbers
 * whose sums are exact whoever adds them up, and ends with every element compared with what it
 * should be. Only the operation itself is timed, behind a barrier. */
#pragma once

#include "bench/comm/row.h"
#include "bench/row/samples.h"

/* *rank: which one this process is; rank 0 alone answers. r->base.status is ok at the end. -1: no
 * such job, no memory, or a wrong element. */
int comm_row_run(CommRow *r, Samples *samples, int *rank, Err *err);
