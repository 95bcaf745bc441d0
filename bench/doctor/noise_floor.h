/* noise_floor: the same row against itself, in turns: what this machine shows where there is
 * nothing.
 *
 * The one idea: an A/A test. Two identical rows run in fresh processes, one after the other, in
 * random order a round (compare/rounds.h); whatever difference a comparison finds between them is
 * noise. The same trials say how much of their variance comes from the process, hence how many
 * processes and trials are worth their time. */
#pragma once

#include "bench/stats/intervals.h"
#include "bench/stats/rank_tests.h"
#include "bench/row/row.h"

typedef struct NoiseFloor {
    size_t rounds;
    RatioTest test; /* of the rows' medians, B over A */
    double floor;   /* the furthest end of the test's interval from 1: a fraction of the time; NaN
                           below 6 rounds */
    double detectable; /* the change that as many paired rounds show with 80 % power; NaN below 2 */
    double cv;         /* of the trials of one row, median over the rows */
    TrialPlan plan;    /* for a mean within NOISE_THRESHOLD; set by noise_floor_measure */
    /* Processes in which the probe looked (row/probe.h) and wandered, and how low products fell. */
    size_t looked, wandered;
    double lowest;
    double process_cv; /* what a process adds to the spread of the mean, a fraction; likewise */
} NoiseFloor;

/* From the medians of both sides, a[i] and b[i] of one round, and each row's cv; without a plan. */
NoiseFloor noise_floor_of(const double *a, const double *b, size_t rounds, const double *cv);

/* Runs it on that many threads with a small GPT of its own, some 0.5 s a round. seed: of the order.
 * -1: a row failed, or no process could be made. On interruption it returns early with the rounds
 * done so far. */
int noise_floor_measure(size_t rounds, int64_t threads, uint64_t seed, NoiseFloor *n, Err *err);
