/* stats: see stats.h. */
#include "stats.h"

#include "bootstrap.h"

enum { LARGEST_T_SAMPLE = 30 };

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
        .mean_ci = n <= LARGEST_T_SAMPLE ? mean_t_interval(x, n, CONFIDENCE_LEVEL)
                                         : bca_mean_interval(x, n, CONFIDENCE_LEVEL),
        .median_ci = median_interval(x, n, CONFIDENCE_LEVEL),
    };
}
