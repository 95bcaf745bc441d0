/* verdict: from intervals of ratios to words, one row and a whole file.
 *
 * The one idea: there are four verdicts, not two. "No change seen" is either "shown to be within
 * the threshold" (equivalent) or "this data cannot tell" (inconclusive), and only the first is good
 * news. Where the intervals come from is rank_tests.h. */
#pragma once

#include <stddef.h>

#include "bench/stats/intervals.h"

typedef enum Verdict {
    VERDICT_INCONCLUSIVE,
    VERDICT_EQUIVALENT,
    VERDICT_IMPROVEMENT,
    VERDICT_REGRESSION
} Verdict;

/* "inconclusive", "equivalent", "improvement", "regression". */
const char *verdict_name(Verdict v);

/* The least relative change that is called one; a machine's measured noise floor may raise it. */
#define NOISE_THRESHOLD 0.02
/* The share of reported changes that may be false, over all rows together. */
#define FALSE_DISCOVERY_RATE 0.05

/* `ratio` is the interval of new time / old time. Entirely above 1 + threshold: regression;
 * entirely below 1 - threshold: improvement; entirely within [1 - threshold, 1 + threshold]:
 * equivalent (two one-sided tests); otherwise, or with a missing end, inconclusive. */
Verdict verdict_of(Interval ratio, double threshold);

/* The same among several rows: a change with q > FALSE_DISCOVERY_RATE is inconclusive. */
Verdict verdict_among_rows(Interval ratio, double threshold, double q);

/* Benjamini & Hochberg (1995): q[i] = the smallest false-discovery rate at which row i is a
 * discovery, min over p[j] >= p[i] of p[j] count / rank. A NaN p was not tested: it gets NaN and
 * does not count. */
void benjamini_hochberg(const double *p, size_t count, double *q);

/* One verdict for all rows and that on their geometric mean ratio. Regression if any row or the
 * mean is one; else improvement if any row or the mean is one; else equivalent if all rows or the
 * mean are; else, or without rows, inconclusive. */
Verdict verdict_of_file(const Verdict *rows, size_t count, Verdict mean);

/* The relative change that two samples of n and m trials show with 80 % probability at 5 %, given
 * the trials' coefficient of variation: 2.8 cv sqrt(1/n + 1/m); cv 2 %, n = m = 10: 2.5 %. */
double minimum_detectable_effect(double cv, size_t n, size_t m);

/* Trials on each side to show a relative change with that power, 15.7 (cv / effect)^2, rounded
 * up. */
double trials_to_detect(double cv, double effect);
