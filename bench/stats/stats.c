/* stats: see stats.h. */
#include "bench/stats/stats.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "autograd/base.h"
#include "bench/stats/bootstrap.h"

enum { SMALLEST_BCA_SAMPLE = 31, LARGEST_BCA_SAMPLE = 2000 };

static Interval mean_interval(const double *x, size_t n)
{
    bool resample = n >= SMALLEST_BCA_SAMPLE && n <= LARGEST_BCA_SAMPLE;
    return resample ? bca_mean_interval(x, n, CONFIDENCE_LEVEL)
                    : mean_t_interval(x, n, CONFIDENCE_LEVEL);
}

Summary summary_of(const double *x, size_t n)
{
    return (Summary){
        .n = n,
        .mean = mean_of(x, n),
        .std = std_of(x, n),
        .cv = cv_of(x, n),
        .median = median_of(x, n),
        .robust_cv = robust_cv_of(x, n),
        .min = min_of(x, n),
        .max = max_of(x, n),
        .p95 = supported_percentile_of(x, n, 0.95),
        .p99 = supported_percentile_of(x, n, 0.99),
        .p95_hi = quantile_upper_bound(x, n, 0.95, CONFIDENCE_LEVEL),
        .p99_hi = quantile_upper_bound(x, n, 0.99, CONFIDENCE_LEVEL),
        .mean_ci = mean_interval(x, n),
        .median_ci = median_interval(x, n, CONFIDENCE_LEVEL),
        .between_cv = NAN,
        .within_cv = NAN,
    };
}

/* Student's of the logarithms: processes differ by factors, and no end is below zero. */
static Interval log_t_interval(const double *x, size_t n)
{
    OWNED double *logs = xmalloc(n * sizeof *logs);
    for (size_t i = 0; i < n; i++)
        logs[i] = log(x[i]);
    Interval ci = mean_t_interval(logs, n, CONFIDENCE_LEVEL);
    ci.lo = exp(ci.lo);
    ci.hi = exp(ci.hi);
    return ci;
}

/* Of the processes' medians. */
static Interval interval_of_medians(const double *medians, size_t processes)
{
    return processes < FEWEST_FOR_RANKS ? log_t_interval(medians, processes)
                                        : median_interval(medians, processes, CONFIDENCE_LEVEL);
}

double *medians_of_processes(const double *x, size_t processes, size_t trials)
{
    double *medians = xmalloc(processes * sizeof *medians);
    for (size_t i = 0; i < processes; i++)
        medians[i] = median_of(x + i * trials, trials);
    return medians;
}

Summary summary_of_processes(const double *x, size_t processes, size_t trials)
{
    Summary s = summary_of(x, processes * trials);
    if (processes < 2)
        return s;
    OWNED double *medians = medians_of_processes(x, processes, trials);
    TwoLevel levels = two_level_of(x, processes, trials, CONFIDENCE_LEVEL);
    s.median = median_of(medians, processes);
    s.median_ci = interval_of_medians(medians, processes);
    s.mean_ci = levels.interval;
    s.p95_hi = s.p99_hi = NAN;
    s.between_cv = sqrt(levels.between_variance > 0 ? levels.between_variance : 0) / s.mean;
    if (isnan(levels.between_variance))
        s.between_cv = NAN;
    s.within_cv = sqrt(levels.within_variance) / s.mean;
    return s;
}
