/* bootstrap: intervals by resampling, the same on every machine.
 *
 * The one idea: the generator is xoshiro256** (Blackman & Vigna 2021) started from a fixed seed, so
 * an interval is a pure function of its samples. Used where Student's t is not: more than 30
 * samples, and ratios of nested samples. It does not choose between methods; stats.h does. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "bench/stats/intervals.h"

typedef struct Xoshiro {
    uint64_t state[4];
} Xoshiro;

Xoshiro xoshiro_from_seed(uint64_t seed);
uint64_t xoshiro_next(Xoshiro *r);
/* Uniform in 0..bound-1, bound > 0: the high half of a 128-bit product; its bias is below
 * bound / 2^64. */
size_t xoshiro_below(Xoshiro *r, size_t bound);

enum { BOOTSTRAP_RESAMPLES = 10000 };

/* Bias-corrected and accelerated interval of the mean (Efron 1987) from BOOTSTRAP_RESAMPLES
 * resamples: z0 = quantile of the share of resampled means below the mean, acceleration from the
 * jackknife, ends at the adjusted percentiles. The plain percentiles where z0 or the acceleration
 * is undefined (all samples equal). Missing for n < 2. */
Interval bca_mean_interval(const double *x, size_t n, double level);

/* Interval of the geometric mean, from the BCa interval of the logarithms' mean. Missing for fewer
 * than 2 ratios; all must be positive. */
Interval geometric_mean_interval(const double *ratio, size_t n, double level);

/* A row measured in several processes: x[process * trials + trial]. Borrows x. */
typedef struct Nested {
    const double *x;
    size_t processes, trials;
} Nested;

/* Percentile interval of mean(numerator) / mean(denominator), each side resampled as it arose:
 * processes with replacement, then trials inside each (Kalibera & Jones 2013; libkalibera's
 * bootstrap_quotient). Missing unless both sides have 2 processes or more. */
Interval nested_ratio_interval(Nested numerator, Nested denominator, double level);
