/* stats: the summary of one row's timed trials, as the result columns hold it.
 *
 * The one idea: which definition stands behind each figure is decided here, once. The median with
 * its order-statistic interval is the headline of comparisons; the mean has Student's interval up
 * to 30 trials, the BCa bootstrap up to 2000, and above, where the skewness that BCa corrects for
 * has averaged out and 10,000 resamples take seconds, Student's again. Of several processes the
 * process is the unit (Kalibera & Jones 2013). Definitions and sources:
 * moments.h, intervals.h, bootstrap.h. Warm-up is not judged here (steady.h), nothing is dropped
 * (outliers.h). */
#pragma once

#include <stddef.h>

#include "bench/stats/intervals.h"
#include "bench/stats/moments.h"

#define CONFIDENCE_LEVEL 0.95

/* Every figure has the samples' unit but cv, robust_cv (fractions) and the coverages; NaN where n
 * is too small for it: std and cv need 2 samples, p95 20, p99 100, their upper bounds 59 and 299,
 * the median's interval 6. */
typedef struct Summary {
    size_t n;
    double mean, std, cv;
    double median, robust_cv, min, max, p95, p99;
    double p95_hi, p99_hi; /* one-sided upper bounds of the percentiles, by order statistics */
    Interval mean_ci;      /* Student's t for n <= 30 and n > 2000, BCa between */
    Interval median_ci;    /* coverage: what the ranks achieve, at least CONFIDENCE_LEVEL */
    /* Square roots of TwoLevel's variances over the mean; NaN for one process. */
    double between_cv, within_cv;
} Summary;

/* Any n, also 0. */
Summary summary_of(const double *x, size_t n);

/* Several processes with equally many trials, x[process * trials + trial]. Spread, extremes and
 * percentiles are those of all trials; the median is that of the processes' medians; both intervals
 * have the process as their unit: Student's of the means, and of the medians' logarithms below
 * FEWEST_FOR_RANKS processes, where the order statistics have none. A percentile has no bound. One
 * process: summary_of. */
enum { FEWEST_FOR_RANKS = 6 };
Summary summary_of_processes(const double *x, size_t processes, size_t trials);

/* The median of each process of the same x, [processes]; the caller frees. */
double *medians_of_processes(const double *x, size_t processes, size_t trials);
