/* intervals: confidence intervals for a mean, a quantile, a proportion and nested processes, and
 * the exact test of two classifiers on the same cases.
 *
 * Pure functions of samples in run order. An interval the sample is too small for has NaN ends.
 * Resampling intervals are in bootstrap.h; comparing two samples is in rank_tests.h. */
#pragma once

#include <stddef.h>

/* Ends in the samples' unit. `coverage` is the probability the ends were chosen for: the level
 * asked for, or what the ranks achieve where only whole ranks exist (at least the level). */
typedef struct Interval {
    double lo, hi, coverage;
} Interval;

Interval interval_missing(void);

/* Student's interval of the mean, mean +- t s / sqrt(n). Missing for n < 2. With occasional spikes
 * no interval of the mean covers what it says at n <= 30; the median's does. */
Interval mean_t_interval(const double *x, size_t n, double level);

/* Ranks 1 <= lo and hi <= n (1-based) of the distribution-free interval of quantile p (David &
 * Nagaraja 2003, 7.1): the largest lo with P(Bin(n,p) < lo) <= alpha/2 and the smallest hi with
 * P(Bin(n,p) >= hi) <= alpha/2, alpha = 1 - level. An end that does not exist is lo = 0 or
 * hi = n + 1. Returns the achieved coverage P(lo <= Bin(n,p) < hi). */
double quantile_interval_ranks(size_t n, double p, double level, size_t *lo, size_t *hi);

/* The samples at those ranks; an end that does not exist is NaN. For the median at n = 10 and 95 %:
 * [x(2), x(9)], coverage 0.979; at n < 6 no such interval exists and both ends are missing. */
Interval quantile_interval(const double *x, size_t n, double p, double level);
Interval median_interval(const double *x, size_t n, double level);

/* One-sided upper bound of quantile p: the smallest sample that lies above it with at least this
 * confidence. NaN where none does: below samples_for_upper_bound(p, confidence). */
double quantile_upper_bound(const double *x, size_t n, double p, double confidence);

/* Wilson's (1927) score interval of a proportion, `successes` of n. Missing for n = 0. */
Interval wilson_interval(size_t successes, size_t n, double level);

/* McNemar's exact test: two classifiers saw the same cases, `only_a` were right with the first
 * alone, `only_b` with the second alone. The two-sided p of "equally often right",
 * min(1, 2 P(Bin(only_a + only_b, 1/2) <= min(only_a, only_b))); 1 when they never differ. */
double mcnemar_exact(size_t only_a, size_t only_b);

/* The same row in several processes, x[process * trials + trial]; trials of one process share its
 * memory layout, so the process is the unit (Kalibera & Jones 2013). */
typedef struct TwoLevel {
    double mean;            /* over everything */
    double within_variance; /* T1^2 = S1^2: mean variance of the trials inside a process */
    /* T2^2 = S2^2 - S1^2/trials, S2^2 the variance of the process means: what processes add of
     * themselves; not positive when they add nothing */
    double between_variance;
    Interval interval; /* mean +- t(processes - 1) sqrt(S2^2 / processes) */
} TwoLevel;

/* Variances and interval are missing for fewer than 2 processes or (variances) 2 trials. */
TwoLevel two_level_of(const double *x, size_t processes, size_t trials, double level);

/* Trials a process for the narrowest interval in a given time, when starting a process costs
 * `process_cost` and a trial `trial_cost` (same unit): ceil(sqrt(process_cost/trial_cost
 * T1^2/T2^2)), at least 1. 0 means that processes add no variance: one process is enough. */
size_t two_level_best_trials(const TwoLevel *t, double process_cost, double trial_cost);

/* How often to measure: processes x trials in each. */
typedef struct TrialPlan {
    size_t processes, trials;
} TrialPlan;

/* The plan whose interval of the mean reaches no further than `half_width` (a fraction of the mean)
 * to either side: two_level_best_trials a process, as few processes as will do; one process where
 * they add no variance. {0, 0} where 1000 are too few. t from 2 processes and 2 trials or more. */
TrialPlan two_level_plan(const TwoLevel *t, double process_cost, double trial_cost,
                         double half_width, double level);
