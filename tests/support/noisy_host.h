/* noisy_host: results as a busy host would give them, drawn from a seed, to count how often
 * `tare diff` is wrong.
 *
 * Two levels of noise, of processes and of trials inside them, around a level of the host that
 * drifts (a random walk) and shifts (to another level, for good). Processes of a sweep come round
 * by round, a row after the other; the two programs of --run in turns, in an order that is drawn.
 * ln(time) = ln(ms) + level + process + trial. */
#pragma once

#include "bench/result/diff.h"
#include "bench/stats/bootstrap.h"

typedef struct NoisyHost {
    Xoshiro random;
    double between, within; /* standard deviations of logarithms */
    double drift;           /* standard deviation of a step of the level, one a process */
    double shift;           /* standard deviation of the level's shifts */
    double shift_every;     /* processes from one to the next, on average; 0 = none */
    double level;
} NoisyHost;

typedef struct NoisyPairs {
    size_t rows, processes, trials; /* processes a side and row */
    double factor;                  /* new program's time over the old one's */
    bool run;                       /* by --run, else two files */
    bool probed;                    /* files: the probe saw the level, to 3 % */
    double threshold;
} NoisyPairs;

/* Verdicts on so many pairs. */
typedef struct NoisyVerdicts {
    size_t pairs, seen[VERDICT_REGRESSION + 1];
} NoisyVerdicts;

NoisyVerdicts noisy_verdicts(NoisyHost *h, const NoisyPairs *p, size_t pairs);
