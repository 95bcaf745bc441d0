/* stats: see stats.h. */
#include "bench/stats/stats.h"

#include <stdbool.h>

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
    };
}
