/* runner: a sweep under way, shared by sweep.c, which runs its rows, and resume.c, which takes over
 * what is there already. Not for anybody else. */
#pragma once

#include "bench/sweep/journal.h"
#include "bench/sweep/progress.h"
#include "bench/sweep/sweep.h"
#include "bench/sweep/turns.h"

typedef struct Runner {
    Sweep *s;
    const SweepRun *run;
    ResultFile file;
    Progress progress;
    Journal journal;
    int64_t last_order; /* the highest run_order so far, also of the file that is continued */
    int64_t order_seed; /* INT_MISSING = in file order */
    Turn *turns;        /* in the order of execution; `row` is an index of items */
    size_t count;
    Noise noise;
    int64_t first_order; /* rows with a higher run_order ran in this sweep */
    bool rest_due;       /* a row has run */
} Runner;

/* Takes over the rows of the file (NULL: there is none), except failed rows that are selected: they
 * run again; and the processes of rows that the file does not have yet. -1: a broken journal, or a
 * row that the config does not have. */
int runner_take_over(Runner *r, const RowResult *rows, size_t count, Err *err);

/* Writes everything that is in the file once more, in the order of the config. */
int runner_rewrite_file(Runner *r, Err *err);
