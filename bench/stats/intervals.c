/* intervals: see intervals.h. */
#include "bench/stats/intervals.h"

#include <math.h>
#include <stdlib.h>

#include "autograd/base.h"
#include "bench/stats/distributions.h"
#include "bench/stats/moments.h"

Interval interval_missing(void)
{
    return (Interval){NAN, NAN, NAN};
}

/* center +- t(df) standard_error. */
static Interval student_interval(double center, double standard_error, double df, double level)
{
    double half = student_quantile(0.5 + level / 2, df) * standard_error;
    return (Interval){center - half, center + half, level};
}

Interval mean_t_interval(const double *x, size_t n, double level)
{
    if (n < 2)
        return interval_missing();
    double standard_error = std_of(x, n) / sqrt((double)n);
    return student_interval(mean_of(x, n), standard_error, (double)(n - 1), level);
}

double quantile_interval_ranks(size_t n, double p, double level, size_t *lo, size_t *hi)
{
    CHECK(p > 0 && p < 1 && level > 0 && level < 1, "quantile %g at level %g", p, level);
    double tail = (1 - level) / 2;
    double below = 0, above = 0; /* P(Bin < lo) and P(Bin >= hi) */
    *lo = 0;
    while (*lo < n && below + binomial_term(*lo, n, p) <= tail)
        below += binomial_term((*lo)++, n, p);
    *hi = n + 1;
    while (*hi > 1 && above + binomial_term(*hi - 1, n, p) <= tail)
        above += binomial_term(--*hi, n, p);
    return 1 - below - above;
}

Interval quantile_interval(const double *x, size_t n, double p, double level)
{
    size_t lo, hi;
    double coverage = quantile_interval_ranks(n, p, level, &lo, &hi);
    if (lo == 0 && hi == n + 1)
        return interval_missing();
    OWNED double *sorted = sorted_copy(x, n);
    Interval ends = {
        .lo = lo >= 1 ? sorted[lo - 1] : NAN,
        .hi = hi <= n ? sorted[hi - 1] : NAN,
        .coverage = coverage,
    };
    return ends;
}

Interval median_interval(const double *x, size_t n, double level)
{
    return quantile_interval(x, n, 0.5, level);
}

/* The upper end of the two-sided interval whose upper tail is as large. */
double quantile_upper_bound(const double *x, size_t n, double p, double confidence)
{
    if (n < samples_for_upper_bound(p, confidence))
        return NAN;
    return quantile_interval(x, n, p, 2 * confidence - 1).hi;
}

Interval wilson_interval(size_t successes, size_t n, double level)
{
    CHECK(successes <= n, "%zu successes of %zu", successes, n);
    if (n == 0)
        return interval_missing();
    double z = normal_quantile(0.5 + level / 2), cases = (double)n;
    double p = (double)successes / cases, scale = 1 + z * z / cases;
    double center = (p + z * z / (2 * cases)) / scale;
    double half = z * sqrt(p * (1 - p) / cases + z * z / (4 * cases * cases)) / scale;
    return (Interval){fmax(center - half, 0), fmin(center + half, 1), level};
}

double mcnemar_exact(size_t only_a, size_t only_b)
{
    size_t fewer = only_a < only_b ? only_a : only_b;
    return fmin(1, 2 * binomial_below(fewer + 1, only_a + only_b, 0.5));
}

TwoLevel two_level_of(const double *x, size_t processes, size_t trials, double level)
{
    TwoLevel t = {mean_of(x, processes * trials), NAN, NAN, interval_missing()};
    if (processes < 2 || trials < 1)
        return t;
    OWNED double *means = xmalloc(processes * sizeof *means),
                 *variances = xmalloc(processes * sizeof *means);
    for (size_t i = 0; i < processes; i++) {
        means[i] = mean_of(x + i * trials, trials);
        variances[i] = pow(std_of(x + i * trials, trials), 2);
    }
    double of_means = pow(std_of(means, processes), 2);
    t.within_variance = mean_of(variances, processes);
    t.between_variance = of_means - t.within_variance / (double)trials;
    t.interval = mean_t_interval(means, processes, level);
    return t;
}

size_t two_level_best_trials(const TwoLevel *t, double process_cost, double trial_cost)
{
    CHECK(process_cost > 0 && trial_cost > 0, "costs %g and %g", process_cost, trial_cost);
    if (!(t->between_variance > 0))
        return 0;
    double ratio = process_cost / trial_cost * t->within_variance / t->between_variance;
    return (size_t)fmax(1, ceil(sqrt(ratio)));
}

/* As few units, each with this variance of its mean, as give an interval of at most `half` either
 * way; 0 where 1000 do not. */
static size_t units_for(double variance, double half, double level)
{
    const size_t most = 1000;
    size_t n = 2;
    while (n < most &&
           student_quantile(0.5 + level / 2, (double)(n - 1)) * sqrt(variance / (double)n) > half)
        n++;
    return n < most ? n : 0;
}

TrialPlan two_level_plan(const TwoLevel *t, double process_cost, double trial_cost,
                         double half_width, double level)
{
    double half = half_width * t->mean;
    size_t trials = two_level_best_trials(t, process_cost, trial_cost);
    double variance = t->within_variance;
    if (trials > 0)
        variance = t->between_variance + t->within_variance / (double)trials;
    size_t units = units_for(variance, half, level);
    if (units == 0)
        return (TrialPlan){0, 0};
    return trials > 0 ? (TrialPlan){units, trials} : (TrialPlan){1, units};
}
