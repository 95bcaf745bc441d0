/* rank_tests: see rank_tests.h. */
#include "bench/stats/rank_tests.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "autograd/base.h"
#include "bench/stats/distributions.h"
#include "bench/stats/moments.h"

enum { LARGEST_EXACT_SAMPLE = 20 };

RatioTest ratio_missing(void)
{
    return (RatioTest){NAN, interval_missing(), NAN};
}

double bonferroni_level(double level, size_t comparisons)
{
    return 1 - (1 - level) / (comparisons > 1 ? (double)comparisons : 1);
}

/* From a difference of logarithms to a ratio of times. */
static RatioTest ratio_from_logs(double shift, Interval interval, double p)
{
    return (RatioTest){exp(shift), {exp(interval.lo), exp(interval.hi), interval.coverage}, p};
}

/* Fresh logarithms of n times, or NULL when one is not a positive time. */
static double *logs_of(const double *x, size_t n)
{
    double *y = xmalloc(n * sizeof *y);
    for (size_t i = 0; i < n; i++) {
        if (!(x[i] > 0 && isfinite(x[i]))) {
            free(y);
            return NULL;
        }
        y[i] = log(x[i]);
    }
    return y;
}

/* Two-sided sign test: as many above zero as below? Zeros say nothing. */
static double sign_test_p(const double *d, size_t n)
{
    size_t above = 0, below = 0;
    for (size_t i = 0; i < n; i++) {
        above += d[i] > 0;
        below += d[i] < 0;
    }
    return mcnemar_exact(above, below); /* the same binomial question */
}

RatioTest paired_ratio(const double *a, const double *b, size_t rounds, double level)
{
    OWNED double *from = logs_of(a, rounds), *d = logs_of(b, rounds);
    RatioTest test = ratio_missing();
    if (from && d && rounds > 0) {
        for (size_t i = 0; i < rounds; i++)
            d[i] -= from[i];
        Interval interval = median_interval(d, rounds, level);
        test = ratio_from_logs(median_of(d, rounds), interval, sign_test_p(d, rounds));
    }
    return test;
}

/* Fresh table of P(U = u), u = 0..nm: the coefficients of the Gaussian binomial (n + m choose n),
 * made by multiplying with (1 - q^(m+i)) and dividing by (1 - q^i). Whole numbers below 2^53 for n,
 * m <= 20, so exact until the last division. */
static double *mann_whitney_distribution(size_t n, size_t m)
{
    size_t top = n * m;
    double *ways = xcalloc(top + 1, sizeof *ways), all = 0;
    ways[0] = 1;
    for (size_t i = 1; i <= n; i++) {
        for (size_t u = top + 1; u-- > m + i;)
            ways[u] -= ways[u - (m + i)];
        for (size_t u = i; u <= top; u++)
            ways[u] += ways[u - i];
    }
    for (size_t u = 0; u <= top; u++)
        all += ways[u];
    for (size_t u = 0; u <= top; u++)
        ways[u] /= all;
    return ways;
}

/* What the samples say: U = pairs with b > a, ties counting one half, and U's standard deviation
 * when A and B are alike: nm/12 [(N+1) - sum(t^3-t) / (N(N-1))] over ties of t among all N. */
typedef struct RankSum {
    double u, sigma;
    bool ties;
} RankSum;

static RankSum rank_sum_of(const double *a, size_t n, const double *b, size_t m)
{
    RankSum r = {0};
    OWNED double *all = xmalloc((n + m) * sizeof *all);
    double ties = 0, count = (double)(n + m);
    for (size_t i = 0; i < n; i++)
        all[i] = a[i];
    for (size_t j = 0; j < m; j++)
        all[n + j] = b[j];
    OWNED double *sorted = sorted_copy(all, n + m);
    for (size_t from = 0, to; from < n + m; from = to) {
        for (to = from + 1; to < n + m && sorted[to] == sorted[from];)
            to++;
        double t = (double)(to - from);
        ties += t * t * t - t;
    }
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < m; j++)
            r.u += b[j] > a[i] ? 1 : b[j] == a[i] ? 0.5 : 0;
    r.ties = ties > 0;
    r.sigma = sqrt((double)n * (double)m / 12 * (count + 1 - ties / (count * (count - 1))));
    return r;
}

/* The two-sided p of u, and k: the number of differences to count in from either end. */
typedef struct RankDecision {
    double p, coverage;
    size_t k; /* 0 when no interval has the level */
} RankDecision;

static RankDecision decide_exactly(double u, size_t n, size_t m, double level)
{
    OWNED double *probability = mann_whitney_distribution(n, m);
    size_t top = n * m, least = (size_t)fmin(u, (double)top - u);
    RankDecision d = {0};
    for (size_t i = 0; i <= least; i++)
        d.p += 2 * probability[i];
    d.p = fmin(d.p, 1);
    double tail = (1 - level) / 2, below = 0; /* below = P(U < k) */
    while (d.k < top / 2 && below + probability[d.k] <= tail)
        below += probability[d.k++];
    d.coverage = 1 - 2 * below;
    return d;
}

static RankDecision decide_normally(RankSum r, size_t n, size_t m, double level)
{
    double middle = (double)n * (double)m / 2, z = normal_quantile(0.5 + level / 2);
    double distance = fmax(fabs(r.u - middle) - 0.5, 0);
    double k = floor(middle + 0.5 - z * r.sigma);
    return (RankDecision){.p = r.sigma > 0 ? 2 * normal_cdf(-distance / r.sigma) : 1,
                          .coverage = level,
                          .k = k >= 1 ? (size_t)k : 0};
}

/* Fresh, ascending: all n m differences b - a. */
static double *sorted_differences(const double *a, size_t n, const double *b, size_t m)
{
    double *d = xmalloc(n * m * sizeof *d);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < m; j++)
            d[i * m + j] = b[j] - a[i];
    double *sorted = sorted_copy(d, n * m);
    free(d);
    return sorted;
}

static RatioTest rank_shift(const double *a, size_t n, const double *b, size_t m, double level)
{
    RankSum r = rank_sum_of(a, n, b, m);
    bool exact = n <= LARGEST_EXACT_SAMPLE && m <= LARGEST_EXACT_SAMPLE && !r.ties;
    RankDecision d = exact ? decide_exactly(r.u, n, m, level) : decide_normally(r, n, m, level);
    OWNED double *differences = sorted_differences(a, n, b, m);
    Interval interval = interval_missing();
    if (d.k > 0)
        interval = (Interval){differences[d.k - 1], differences[n * m - d.k], d.coverage};
    double shift = percentile_of_sorted(differences, n * m, 0.5);
    return ratio_from_logs(shift, interval, d.p);
}

RatioTest rank_ratio(const double *a, size_t n, const double *b, size_t m, double level)
{
    OWNED double *from = logs_of(a, n), *to = logs_of(b, m);
    RatioTest test = ratio_missing();
    if (from && to && n > 0 && m > 0)
        test = rank_shift(from, n, to, m, level);
    return test;
}

static RatioTest welch_shift(const double *a, size_t n, const double *b, size_t m, double level)
{
    double va = pow(std_of(a, n), 2) / (double)n, vb = pow(std_of(b, m), 2) / (double)m;
    double shift = mean_of(b, m) - mean_of(a, n), error = sqrt(va + vb);
    double df = (va + vb) * (va + vb) / (va * va / (double)(n - 1) + vb * vb / (double)(m - 1));
    if (error == 0) /* constant samples: their difference is certain */
        return ratio_from_logs(shift, (Interval){shift, shift, level}, shift == 0);
    double half = student_quantile(0.5 + level / 2, df) * error;
    double p = 2 * student_cdf(-fabs(shift) / error, df);
    return ratio_from_logs(shift, (Interval){shift - half, shift + half, level}, p);
}

RatioTest welch_ratio(const double *a, size_t n, const double *b, size_t m, double level)
{
    OWNED double *from = logs_of(a, n), *to = logs_of(b, m);
    RatioTest test = ratio_missing();
    if (from && to && n >= 2 && m >= 2)
        test = welch_shift(from, n, to, m, level);
    return test;
}

static RatioTest one_sample_shift(const double *d, size_t n, double level)
{
    double shift = mean_of(d, n), error = std_of(d, n) / sqrt((double)n);
    double p = error == 0 ? shift == 0 : 2 * student_cdf(-fabs(shift) / error, (double)(n - 1));
    return ratio_from_logs(shift, mean_t_interval(d, n, level), p);
}

RatioTest paired_t_ratio(const double *a, const double *b, size_t rounds, double level)
{
    OWNED double *from = logs_of(a, rounds), *d = logs_of(b, rounds);
    RatioTest test = ratio_missing();
    if (from && d && rounds >= 2) {
        for (size_t i = 0; i < rounds; i++)
            d[i] -= from[i];
        test = one_sample_shift(d, rounds, level);
    }
    return test;
}
