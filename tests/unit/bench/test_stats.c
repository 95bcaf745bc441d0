/* Stats: distributions, moments, percentiles, intervals and the bootstrap against NumPy, SciPy and
 * exact arithmetic (golden/make_stats_golden.py), and against published test vectors. */
#include <criterion/criterion.h>

#include <math.h>
#include <stdlib.h>

#include "bench/stats/bootstrap.h"
#include "bench/stats/distributions.h"
#include "bench/stats/stats.h"
#include "autograd/base.h"
#include "tests/golden/stats_golden.h"

/* Relative errors: means and sums agree with NumPy to 9e-16, as observed; quantiles and tails of
 * few trials with SciPy to 5e-13; binomial tails at n = 1e5, from differences of log-gammas, to
 * 1e-10. */
static const double ROUNDING = 4e-15;
static const double SPECIAL = 2e-12;
static const double LONG_TAIL = 4e-10;

static void near(double value, double expected, double tolerance, const char *what)
{
    double error = fabs(value - expected) / fmax(fabs(expected), 1e-300);
    cr_expect(error <= tolerance, "%s: %.17g, expected %.17g, relative error %.2g", what, value,
              expected, error);
}

Test(stats, quantiles_of_normal_and_student)
{
    for (size_t i = 0; i < COUNT_OF(quantile_cases); i++) {
        QuantileCase c = quantile_cases[i];
        double value = c.df > 0 ? student_quantile(c.p, c.df) : normal_quantile(c.p);
        near(value, c.value, SPECIAL, "quantile");
        near(c.df > 0 ? student_cdf(value, c.df) : normal_cdf(value), c.p, SPECIAL, "probability");
    }
    cr_expect_eq(normal_quantile(0.5), 0);
}

Test(stats, binomial_tails)
{
    for (size_t i = 0; i < COUNT_OF(binomial_cases); i++) {
        BinomialCase c = binomial_cases[i];
        near(binomial_below(c.k, c.n, c.p), c.below, LONG_TAIL, "binomial tail");
    }
    cr_expect_eq(binomial_below(0, 10, 0.5), 0);
    cr_expect_eq(binomial_below(12, 10, 0.5), 1);
    cr_expect_eq(binomial_below(1, 10, 0), 1);
    cr_expect_eq(binomial_below(10, 10, 1), 0);
}

Test(stats, one_sample_agrees_with_numpy_and_scipy)
{
    for (size_t i = 0; i < COUNT_OF(one_sample); i++) {
        const OneSample *c = &one_sample[i];
        Interval t = mean_t_interval(c->x, c->n, 0.95), m = median_interval(c->x, c->n, 0.95);
        near(mean_of(c->x, c->n), c->mean, ROUNDING, "mean");
        near(std_of(c->x, c->n), c->std, ROUNDING, "std");
        near(geometric_mean_of(c->x, c->n), c->geometric_mean, ROUNDING, "geometric mean");
        near(median_of(c->x, c->n), c->median, ROUNDING, "median");
        near(mad_of(c->x, c->n), c->mad, ROUNDING, "mad");
        near(percentile_of(c->x, c->n, 0.25), c->q1, ROUNDING, "q1");
        near(percentile_of(c->x, c->n, 0.95), c->p95, ROUNDING, "p95");
        near(t.lo, c->t_lo, SPECIAL, "t lo");
        near(t.hi, c->t_hi, SPECIAL, "t hi");
        near(m.lo, c->median_lo, 0, "median lo");
        near(m.hi, c->median_hi, 0, "median hi");
        near(m.coverage, c->median_coverage, SPECIAL, "median coverage");
    }
}

/* Five times in nanoseconds from a bug report: the difference of sums of squares overflows
 * there. */
Test(stats, std_of_large_numbers)
{
    const double ns[] = {12140144300, 12308847400, 12225136900, 12154929400, 11909783400};
    cr_expect_eq(round(std_of(ns, 5)), 148894758);
    const double shifted[] = {1e15 + 1, 1e15 + 2, 1e15 + 3};
    cr_expect_eq(std_of(shifted, 3), 1);
}

Test(stats, mean_survives_cancellation)
{
    const double x[] = {1e16, 1, -1e16, 1};
    cr_expect_eq(mean_of(x, 4), 0.5);
}

Test(stats, reference_table)
{
    size_t n = COUNT_OF(reference_means);
    const double expected[] = {111.09, 188.44, 298.23};
    cr_assert_eq(n, 60u);
    cr_expect_float_eq(mean_of(reference_means, n), 239.93, 0.005);
    cr_expect_float_eq(std_of(reference_means, n), 179.43, 0.005);
    for (int quartile = 1; quartile <= 3; quartile++)
        cr_expect_float_eq(percentile_of(reference_means, n, quartile / 4.0),
                           expected[quartile - 1], 0.0051);
}

Test(stats, percentiles_lie_between_samples)
{
    const double x[] = {10, 9, 8, 7, 6, 5, 4, 3, 2, 1};
    near(percentile_of(x, 10, 0.9), 9.1, ROUNDING, "type 7");
    cr_expect_eq(percentile_of(x, 10, 0), 1);
    cr_expect_eq(percentile_of(x, 10, 1), 10);
    cr_expect(isnan(percentile_of(x, 0, 0.5)));
}

Test(stats, percentiles_stay_empty_for_small_samples)
{
    double x[100];
    for (int i = 0; i < 100; i++)
        x[i] = i;
    cr_expect(isnan(supported_percentile_of(x, 19, 0.95)));
    near(supported_percentile_of(x, 20, 0.95), 18.05, ROUNDING, "p95 of 20");
    cr_expect(isnan(supported_percentile_of(x, 99, 0.99)));
    near(supported_percentile_of(x, 100, 0.99), 98.01, ROUNDING, "p99 of 100");
    cr_expect_not(isnan(supported_percentile_of(x, 10, 0.9)));
    cr_expect(isnan(supported_percentile_of(x, 9, 0.9)));
}

Test(stats, samples_that_bound_a_percentile)
{
    const double p[] = {0.5, 0.9, 0.95, 0.99, 0.999};
    const size_t at_95[] = {5, 29, 59, 299, 2995}, at_99[] = {7, 44, 90, 459, 4603};
    for (size_t i = 0; i < COUNT_OF(p); i++) {
        cr_expect_eq(samples_for_upper_bound(p[i], 0.95), at_95[i]);
        cr_expect_eq(samples_for_upper_bound(p[i], 0.99), at_99[i]);
    }
}

Test(stats, order_statistic_ranks)
{
    for (size_t i = 0; i < COUNT_OF(rank_cases); i++) {
        RankCase c = rank_cases[i];
        size_t lo, hi;
        double coverage = quantile_interval_ranks(c.n, c.p, 0.95, &lo, &hi);
        cr_expect_eq(lo, c.lo, "n %zu p %g: lo %zu, expected %zu", c.n, c.p, lo, c.lo);
        cr_expect_eq(hi, c.hi, "n %zu p %g: hi %zu, expected %zu", c.n, c.p, hi, c.hi);
        near(coverage, c.coverage, SPECIAL, "coverage");
    }
}

Test(stats, an_interval_without_an_end)
{
    double x[20];
    for (int i = 0; i < 20; i++)
        x[i] = i + 1;
    Interval p95 = quantile_interval(x, 20, 0.95, 0.95);
    cr_expect_eq(p95.lo, 17);
    cr_expect(isnan(p95.hi), "20 samples do not bound p95 from above");
    Interval median = median_interval(x, 5, 0.95);
    cr_expect(isnan(median.lo) && isnan(median.hi) && isnan(median.coverage));
}

Test(stats, proportions)
{
    Interval w = wilson_interval(29, 30, 0.95);
    near(w.lo, wilson_29_30_lo, SPECIAL, "wilson lo");
    near(w.hi, wilson_29_30_hi, SPECIAL, "wilson hi");
    cr_expect_eq(wilson_interval(0, 10, 0.95).lo, 0);
    near(wilson_interval(10, 10, 0.95).hi, 1, ROUNDING, "wilson hi of all");
    cr_expect(isnan(wilson_interval(0, 0, 0.95).lo));
    near(mcnemar_exact(3, 11), mcnemar_3_11, SPECIAL, "mcnemar");
    cr_expect_eq(mcnemar_exact(11, 3), mcnemar_exact(3, 11));
    cr_expect_eq(mcnemar_exact(0, 0), 1);
    cr_expect_eq(mcnemar_exact(4, 4), 1);
}

/* The first outputs of the published xoshiro256** from state 1, 2, 3, 4. */
Test(stats, generator)
{
    Xoshiro r = {{1, 2, 3, 4}};
    const uint64_t expected[] = {11520u, 0u, 1509978240u, 1215971899390074240u};
    for (size_t i = 0; i < COUNT_OF(expected); i++)
        cr_expect_eq(xoshiro_next(&r), expected[i]);
    size_t seen[7] = {0};
    for (int i = 0; i < 7000; i++)
        seen[xoshiro_below(&r, 7)]++;
    for (int i = 0; i < 7; i++)
        cr_expect(seen[i] > 880 && seen[i] < 1120, "%d drawn %zu times of 7000", i, seen[i]);
}

Test(stats, bca_interval_of_the_mean)
{
    Interval ci = bca_mean_interval(times_40, COUNT_OF(times_40), 0.95);
    near(ci.lo, bca_lo, SPECIAL, "the same resamples in Python, lo");
    near(ci.hi, bca_hi, SPECIAL, "the same resamples in Python, hi");
    /* SciPy draws others, 100000 of them. An end's own Monte Carlo error at 10000 is
     * sqrt(0.025 0.975 / 10000) / density = 0.1 here. */
    cr_expect_float_eq(ci.lo, bca_scipy_lo, 0.3);
    cr_expect_float_eq(ci.hi, bca_scipy_hi, 0.3);
}

Test(stats, bca_of_equal_samples_falls_back_to_percentiles)
{
    double x[40];
    for (int i = 0; i < 40; i++)
        x[i] = 0.125;
    Interval ci = bca_mean_interval(x, 40, 0.95);
    cr_expect_eq(ci.lo, 0.125);
    cr_expect_eq(ci.hi, 0.125);
    cr_expect(isnan(bca_mean_interval(x, 1, 0.95).lo));
}

Test(stats, geometric_mean_and_its_interval)
{
    const double r[] = {0.5, 2, 1, 1, 4, 0.25};
    cr_expect_float_eq(geometric_mean_of(r, 6), 1, 1e-15);
    Interval ci = geometric_mean_interval(r, 6, 0.95);
    cr_expect(ci.lo > 0.25 && ci.lo < 1 && ci.hi > 1 && ci.hi < 4);
    cr_expect(isnan(geometric_mean_of((double[]){1, 0}, 2)));
    cr_expect(isnan(geometric_mean_of(r, 0)));
}

/* Three processes with means 10, 12, 14 and within each a variance of 2, by hand. */
Test(stats, processes_are_the_unit)
{
    const double x[] = {9, 11, 11, 13, 13, 15};
    TwoLevel t = two_level_of(x, 3, 2, 0.95);
    cr_expect_eq(t.mean, 12);
    near(t.within_variance, 2, ROUNDING, "T1^2");
    near(t.between_variance, 4 - 2.0 / 2, ROUNDING, "T2^2");
    double half = student_quantile(0.975, 2) * sqrt(4.0 / 3);
    near(t.interval.lo, 12 - half, ROUNDING, "lo");
    near(t.interval.hi, 12 + half, ROUNDING, "hi");
    cr_expect_eq(two_level_best_trials(&t, 60, 1), 7u); /* ceil(sqrt(60 2/3)) */
    cr_expect_eq(two_level_best_trials(&t, 1, 60), 1u);
    const double alike[] = {9, 15, 10, 14};
    t = two_level_of(alike, 2, 2, 0.95);
    cr_expect_eq(two_level_best_trials(&t, 60, 1), 0u, "processes add nothing");
    cr_expect(isnan(two_level_of(x, 1, 6, 0.95).interval.lo));
}

Test(stats, a_plan_of_processes_and_trials)
{
    TwoLevel t = {.mean = 100, .within_variance = 4, .between_variance = 1};
    TrialPlan p = two_level_plan(&t, 12, 1, 0.02, 0.95); /* ceil(sqrt(12 4/1)) trials */
    cr_expect_eq(p.trials, 7u);
    cr_expect_eq(p.processes, 4u); /* t sqrt((1 + 4/7)/n): 2.0 at 4, 3.1 at 3 */
    cr_expect_leq(student_quantile(0.975, 3) * sqrt((1 + 4.0 / 7) / 4), 2);
    t.between_variance = 2000;
    cr_expect_eq(two_level_plan(&t, 12, 1, 0.02, 0.95).processes, 0u, "hopeless");
    t.between_variance = -0.1;
    p = two_level_plan(&t, 12, 1, 0.02, 0.95);
    cr_expect_eq(p.processes, 1u);
    cr_expect_eq(p.trials, 7u); /* t 2/sqrt(n): 1.85 at 7, 2.1 at 6 */
}

Test(stats, nested_ratio)
{
    const double old[] = {99, 101, 100, 103, 105, 104, 96, 98, 97};
    double slow[9];
    for (int i = 0; i < 9; i++)
        slow[i] = 1.5 * old[i];
    Interval ci = nested_ratio_interval((Nested){slow, 3, 3}, (Nested){old, 3, 3}, 0.95);
    /* Process means 100, 104, 97: no resampled ratio leaves 1.5 by more than 104/97. */
    cr_expect(ci.lo > 1.5 * 96 / 105 && ci.lo < 1.5 && ci.hi > 1.5 && ci.hi < 1.5 * 105 / 96);
    cr_expect(isnan(nested_ratio_interval((Nested){slow, 1, 9}, (Nested){old, 3, 3}, 0.95).lo));
}

Test(stats, summary_of_ten_trials)
{
    Summary s = summary_of(times_10, 10);
    const OneSample *c = &one_sample[0];
    cr_expect_eq(s.n, 10u);
    near(s.mean, c->mean, ROUNDING, "mean");
    near(s.cv, c->std / c->mean, ROUNDING, "cv");
    near(s.robust_cv, 1.4826 * c->mad / c->median, ROUNDING, "robust cv");
    near(s.mean_ci.lo, c->t_lo, SPECIAL, "t interval");
    near(s.median_ci.hi, c->median_hi, 0, "median interval");
    cr_expect(isnan(s.p95) && isnan(s.p99));
    cr_expect(s.min < s.median && s.median < s.max);
}

Test(stats, summary_uses_the_bootstrap_above_thirty)
{
    near(summary_of(times_40, 40).mean_ci.lo, bca_lo, SPECIAL, "BCa interval");
    Interval t = mean_t_interval(times_40, 30, 0.95);
    cr_expect_eq(summary_of(times_40, 30).mean_ci.lo, t.lo);
}

/* Resampling 100,000 trials 10,000 times would take seconds. */
Test(stats, summary_uses_student_above_two_thousand)
{
    enum { N = 100000 };
    double *x = xmalloc(N * sizeof *x);
    for (size_t i = 0; i < N; i++)
        x[i] = 100 + rng_uniform(3, 1, i);
    Interval t = mean_t_interval(x, N, 0.95), t_2001 = mean_t_interval(x, 2001, 0.95);
    cr_expect_eq(summary_of(x, N).mean_ci.lo, t.lo);
    cr_expect_eq(summary_of(x, 2001).mean_ci.lo, t_2001.lo);
    cr_expect_neq(summary_of(x, 2000).mean_ci.lo, mean_t_interval(x, 2000, 0.95).lo);
    free(x);
}

/* x(59) lies above the 95th percentile with 1 - 0.95^59 = 95.2 %. */
Test(stats, upper_bound_of_a_percentile)
{
    double x[299];
    for (int i = 0; i < 299; i++)
        x[i] = i + 1;
    cr_expect(isnan(quantile_upper_bound(x, 58, 0.95, 0.95)));
    cr_expect_eq(quantile_upper_bound(x, 59, 0.95, 0.95), 59);
    cr_expect_eq(quantile_upper_bound(x, 93, 0.95, 0.95), 92, "one may lie above from 93 on");
    cr_expect(isnan(quantile_upper_bound(x, 298, 0.99, 0.95)));
    cr_expect_eq(quantile_upper_bound(x, 299, 0.99, 0.95), 299);
    Summary s = summary_of(x, 59);
    cr_expect(s.p95_hi == 59 && isnan(s.p99_hi) && isnan(s.p99));
}

Test(stats, summary_of_almost_nothing)
{
    const double x[] = {5};
    Summary one = summary_of(x, 1), none = summary_of(x, 0);
    cr_expect(one.mean == 5 && one.median == 5 && one.min == 5 && one.max == 5);
    cr_expect(isnan(one.std) && isnan(one.cv) && isnan(one.mean_ci.lo) && isnan(one.median_ci.lo));
    cr_expect(isnan(none.mean) && isnan(none.median) && isnan(none.min) && isnan(none.max));
}
