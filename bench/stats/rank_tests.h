/* rank_tests: how much slower is B than A, and could it be chance?
 *
 * The one idea: the effect is a ratio of times, B over A, so every test works on logarithms, and
 * the two headline tests use ranks only: one descheduled trial must not decide. Turning an interval
 * into a verdict, and several rows into one, is verdict.h. Pure functions; times in run order, any
 * one unit. A time that is not positive has no logarithm: every figure is then missing (NaN). */
#pragma once

#include <stddef.h>

#include "bench/stats/intervals.h"

typedef struct RatioTest {
    double ratio;      /* B / A */
    Interval interval; /* of that ratio; missing where the samples are too few for the level */
    double p;          /* two-sided, of "the ratio is 1" */
} RatioTest;

RatioTest ratio_missing(void);

/* The level of each of so many intervals that hold all together at `level` (Bonferroni); of 0 or 1:
 * `level`. */
double bonferroni_level(double level, size_t comparisons);

/* A and B took turns: a[i] and b[i] are of the same round. ratio = exp(median of d), d = ln b - ln
 * a; interval = the sign test's, which is the median interval of d; p = the sign test's, rounds
 * with d = 0 left out. 95 % needs 6 rounds. */
RatioTest paired_ratio(const double *a, const double *b, size_t rounds, double level);

/* A and B ran apart. ratio = exp of the Hodges-Lehmann shift, the median of all n m differences ln
 * b - ln a; p = Mann-Whitney's; interval = the k-th and (nm + 1 - k)-th ordered difference, k the
 * alpha/2 quantile of U. U's exact distribution for n, m <= 20 without ties, else the normal
 * approximation with tie and continuity corrections (Hollander, Wolfe & Chicken 2014, 4.1-4.3). */
RatioTest rank_ratio(const double *a, size_t n, const double *b, size_t m, double level);

/* A and B took turns, each time one process's: Student's t on the d of paired_ratio; ratio of
 * geometric means (Kalibera & Jones 2013). Unlike ranks it can tell something from 5 rounds.
 * Missing for fewer than 2. */
RatioTest paired_t_ratio(const double *a, const double *b, size_t rounds, double level);

/* Secondary: Welch's t test on logarithms; ratio of geometric means. Missing for n or m < 2. */
RatioTest welch_ratio(const double *a, size_t n, const double *b, size_t m, double level);
