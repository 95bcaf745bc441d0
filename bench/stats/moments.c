/* moments: see moments.h. */
#include "bench/stats/moments.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "autograd/base.h"
#include "bench/stats/distributions.h"

/* Neumaier's variant of Kahan summation, which also survives a term larger than the sum so far. */
typedef struct Sum {
    double total, lost;
} Sum;

static void sum_add(Sum *s, double term)
{
    double total = s->total + term;
    if (fabs(s->total) >= fabs(term))
        s->lost += (s->total - total) + term;
    else
        s->lost += (term - total) + s->total;
    s->total = total;
}

double mean_of(const double *x, size_t n)
{
    if (n == 0)
        return NAN;
    Sum sum = {0};
    for (size_t i = 0; i < n; i++)
        sum_add(&sum, x[i]);
    return (sum.total + sum.lost) / (double)n;
}

double std_of(const double *x, size_t n)
{
    if (n < 2)
        return NAN;
    double mean = mean_of(x, n);
    Sum squares = {0}, rest = {0};
    for (size_t i = 0; i < n; i++) {
        sum_add(&squares, (x[i] - mean) * (x[i] - mean));
        sum_add(&rest, x[i] - mean);
    }
    double rounding = rest.total + rest.lost; /* zero but for the rounding of the mean */
    double sum = squares.total + squares.lost - rounding * rounding / (double)n;
    return sqrt(fmax(sum, 0) / (double)(n - 1));
}

double cv_of(const double *x, size_t n)
{
    return std_of(x, n) / mean_of(x, n);
}

double geometric_mean_of(const double *ratio, size_t n)
{
    if (n == 0)
        return NAN;
    Sum logs = {0};
    for (size_t i = 0; i < n; i++) {
        if (!(ratio[i] > 0))
            return NAN;
        sum_add(&logs, log(ratio[i]));
    }
    return exp((logs.total + logs.lost) / (double)n);
}

double min_of(const double *x, size_t n)
{
    double least = NAN;
    for (size_t i = 0; i < n; i++)
        least = fmin(least, x[i]);
    return least;
}

double max_of(const double *x, size_t n)
{
    double most = NAN;
    for (size_t i = 0; i < n; i++)
        most = fmax(most, x[i]);
    return most;
}

double median_of(const double *x, size_t n)
{
    return percentile_of(x, n, 0.5);
}

double mad_of(const double *x, size_t n)
{
    if (n == 0)
        return NAN;
    double median = median_of(x, n);
    OWNED double *distance = xmalloc(n * sizeof *distance);
    for (size_t i = 0; i < n; i++)
        distance[i] = fabs(x[i] - median);
    return median_of(distance, n);
}

double robust_cv_of(const double *x, size_t n)
{
    return MAD_TO_SIGMA * mad_of(x, n) / median_of(x, n);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double *sorted_copy(const double *x, size_t n)
{
    double *sorted = xmalloc(n * sizeof *sorted);
    if (n > 0) {
        memcpy(sorted, x, n * sizeof *sorted);
        qsort(sorted, n, sizeof *sorted, ascending);
    }
    return sorted;
}

double percentile_of_sorted(const double *sorted, size_t n, double p)
{
    CHECK(p >= 0 && p <= 1, "percentile %g", p);
    if (n == 0)
        return NAN;
    double h = (double)(n - 1) * p;
    size_t below = (size_t)h;
    if (below + 1 >= n)
        return sorted[n - 1];
    return sorted[below] + (h - (double)below) * (sorted[below + 1] - sorted[below]);
}

double percentile_of(const double *x, size_t n, double p)
{
    OWNED double *sorted = sorted_copy(x, n);
    return percentile_of_sorted(sorted, n, p);
}

double supported_percentile_of(const double *x, size_t n, double p)
{
    const double slack = 1e-9; /* 20 * (1 - 0.95) is a little over 1, 10 * (1 - 0.9) under */
    return (double)n * (1 - p) >= 1 - slack ? percentile_of(x, n, p) : NAN;
}

size_t samples_for_upper_bound(double p, double confidence)
{
    CHECK(p > 0 && p < 1 && confidence > 0 && confidence < 1, "p %g, confidence %g", p, confidence);
    size_t n = 1;
    while (binomial_below(1, n, 1 - p) > 1 - confidence)
        n++;
    return n;
}
