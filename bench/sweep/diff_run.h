/* diff_run: the rows of a sweep by two programs in turns, for `tare diff --run OLD NEW CONFIG`.
 *
 * The one idea: the process is the unit. A round runs every row once by each program, one process
 * right after the other, in an order drawn from the seed, so whatever drifts drifts for both; what
 * is kept of a process is its median. Judging is result/diff.h's business. */
#pragma once

#include "bench/result/diff.h"
#include "bench/sweep/sweep.h"

typedef struct DiffRun {
    const char *programs[2]; /* paths of the old and the new one */
    size_t processes;        /* a side and row */
    double max_seconds;      /* no process starts later than this; INFINITY = no limit */
    uint64_t order_seed;
    FILE *log; /* progress */
} DiffRun;

/* Fills *d, to be judged as DIFF_PROCESSES, from the selected rows of s. Unit i of both sides is
 * round i. A row that one program fails runs no more: it is in d->skipped, and d->failed counts it.
 * Ends early, and in order, when interrupted() or late, with the rounds that both sides finished.
 * -1: a program that cannot be executed, or no process can be made; release d also then. */
int diff_run(Diff *d, Sweep *s, const DiffRun *run, Err *err);
