/* job: joining and leaving a job of several ranks, and the few numbers that they exchange beside
 * tensors.
 *
 * The one idea: what all ranks have to decide alike they decide from the same exchanged numbers.
 * How a job is started is launch.h. */
#pragma once

#include "bench/ranks/thread.h"

/* Joins the job as one of its ranks and takes this rank's part of the host's CPUs. reduce: "ring"
 * or "mpi". -1: no plug-in, a job of another number of ranks, or of another program than rank 0.
 * Then the process ends, and with it the job: its thread is not left in order. */
int job_join(CommThread *t, int64_t ranks, const char *reduce, Err *err);
/* Waits for the other ranks. */
void job_leave(CommThread *t);

/* Makes each value the largest of all ranks, and `low`, unless NULL, the smallest. t NULL: one
 * process, whose values stay. */
void job_largest(CommThread *t, double *values, double *low, size_t n);
/* Makes each value the sum over all ranks, in their order. */
void job_sum(CommThread *t, double *values, size_t n);
/* Whether rank 0, which is this one, was asked to end in order (CHILD_STOP, util/process.h). */
bool job_stop_asked(void);
/* Everybody gets rank 0's bytes. */
void job_share(CommThread *t, void *x, size_t bytes);
