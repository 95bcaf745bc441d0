/* Rank tests: against SciPy and exact arithmetic (golden/make_stats_golden.py), and at the
 * edges where there is nothing to test. */
#include <criterion/criterion.h>

#include <math.h>

#include "autograd/base.h"
#include "bench/stats/rank_tests.h"
#include "bench/stats/verdict.h"
#include "tests/golden/stats_golden.h"

/* Relative errors observed against SciPy: 1e-15 for ratios and intervals, 2e-13 for p values. */
static const double ROUNDING = 4e-15;
static const double TAIL = 1e-12;

static void near(double value, double expected, double tolerance, const char *what)
{
    double error = fabs(value - expected) / fabs(expected);
    cr_expect(error <= tolerance, "%s: %.17g, expected %.17g, relative error %.2g", what, value,
              expected, error);
}

/* Samples: exact distribution, normal approximation, ties. */
Test(rank_tests, two_samples_agree_with_scipy)
{
    for (size_t i = 0; i < COUNT_OF(two_samples); i++) {
        const TwoSamples *c = &two_samples[i];
        RatioTest rank = rank_ratio(c->old, c->n, c->new, c->m, 0.95);
        RatioTest welch = welch_ratio(c->old, c->n, c->new, c->m, 0.95);
        near(rank.ratio, c->ratio, ROUNDING, "Hodges-Lehmann ratio");
        near(rank.interval.lo, c->lo, ROUNDING, "rank lo");
        near(rank.interval.hi, c->hi, ROUNDING, "rank hi");
        near(rank.interval.coverage, c->coverage, ROUNDING, "rank coverage");
        near(rank.p, c->p, TAIL, "Mann-Whitney p");
        near(welch.ratio, c->welch_ratio, ROUNDING, "Welch ratio");
        near(welch.interval.lo, c->welch_lo, ROUNDING, "Welch lo");
        near(welch.interval.hi, c->welch_hi, ROUNDING, "Welch hi");
        near(welch.p, c->welch_p, TAIL, "Welch p");
    }
}

Test(rank_tests, swapping_the_sides_inverts_the_ratio)
{
    RatioTest there = rank_ratio(old_8, 8, new_10, 10, 0.95);
    RatioTest back = rank_ratio(new_10, 10, old_8, 8, 0.95);
    near(back.ratio, 1 / there.ratio, ROUNDING, "ratio");
    near(back.interval.lo, 1 / there.interval.hi, ROUNDING, "lo");
    near(back.p, there.p, ROUNDING, "p");
}

Test(rank_tests, samples_too_small_to_test)
{
    const double a[] = {1, 2, 3}, b[] = {10, 11, 12};
    RatioTest t = rank_ratio(a, 3, b, 3, 0.95);
    near(t.p, 0.1, ROUNDING, "the smallest p there is");
    cr_expect(isnan(t.interval.lo) && isnan(t.interval.hi));
    cr_expect_eq(verdict_of(t.interval, 0.02), VERDICT_INCONCLUSIVE);
    cr_expect(isnan(rank_ratio(a, 0, b, 3, 0.95).ratio));
    cr_expect(isnan(welch_ratio(a, 1, b, 3, 0.95).ratio));
}

/* With 2 degrees of freedom Student's p is 1 - t / sqrt(2 + t^2), so t(0.975) = 0.95 sqrt(2 / (1 -
 * 0.95^2)). The common drift of a round cancels. */
Test(rank_tests, paired_t_in_closed_form)
{
    const double a[] = {1, 10, 0.1}, b[] = {1.1, 12, 0.13};
    double d[3], mean = 0, squares = 0;
    for (int i = 0; i < 3; i++)
        mean += (d[i] = log(b[i] / a[i])) / 3;
    for (int i = 0; i < 3; i++)
        squares += (d[i] - mean) * (d[i] - mean);
    double error = sqrt(squares / 2 / 3), t = mean / error;
    double half = error * 0.95 * sqrt(2 / (1 - 0.95 * 0.95));
    RatioTest test = paired_t_ratio(a, b, 3, 0.95);
    near(test.ratio, cbrt(1.1 * 1.2 * 1.3), ROUNDING, "ratio of geometric means");
    near(test.p, 1 - t / sqrt(2 + t * t), TAIL, "p");
    near(test.interval.lo, exp(mean - half), TAIL, "lo");
    near(test.interval.hi, exp(mean + half), TAIL, "hi");
    cr_expect(isnan(paired_t_ratio(a, b, 1, 0.95).ratio));
}

Test(rank_tests, times_that_are_none)
{
    const double a[] = {1, 2, 0, 3, 4, 5}, b[] = {1, 2, 3, 4, 5, 6};
    cr_expect(isnan(rank_ratio(a, 6, b, 6, 0.95).p));
    cr_expect(isnan(paired_ratio(b, a, 6, 0.95).ratio));
    cr_expect(isnan(welch_ratio(a, 6, b, 6, 0.95).ratio));
    cr_expect(isnan(paired_t_ratio(a, b, 6, 0.95).p));
}

Test(rank_tests, identical_samples)
{
    double x[25];
    for (int i = 0; i < 25; i++)
        x[i] = 3;
    RatioTest rank = rank_ratio(x, 25, x, 25, 0.95), welch = welch_ratio(x, 25, x, 25, 0.95);
    cr_expect(rank.ratio == 1 && rank.p == 1 && rank.interval.lo == 1 && rank.interval.hi == 1);
    cr_expect(welch.ratio == 1 && welch.p == 1);
    RatioTest paired = paired_ratio(x, x, 25, 0.95);
    cr_expect(paired.ratio == 1 && paired.p == 1);
}

/* Rounds in which both sides share large drifts: the paired interval is narrow, the rank one is
 * not. */
Test(rank_tests, pairing_removes_common_drift)
{
    double a[10], b[10];
    for (int i = 0; i < 10; i++) {
        a[i] = 100 * (1 + 0.2 * (i % 4));
        b[i] = a[i] * (1.05 + 0.001 * (i % 3));
    }
    RatioTest paired = paired_ratio(a, b, 10, 0.95), rank = rank_ratio(a, 10, b, 10, 0.95);
    near(paired.ratio, 1.051, ROUNDING, "median of ten ratios");
    cr_expect_geq(paired.interval.lo, 1.05 - 1e-12);
    cr_expect_leq(paired.interval.hi, 1.052 + 1e-12);
    near(paired.interval.coverage, 1 - 22.0 / 1024, ROUNDING, "coverage");
    near(paired.p, 2.0 / 1024, ROUNDING, "all ten rounds slower");
    cr_expect_eq(verdict_of(paired.interval, 0.02), VERDICT_REGRESSION);
    cr_expect_eq(verdict_of(rank.interval, 0.02), VERDICT_INCONCLUSIVE);
    cr_expect(isnan(paired_ratio(a, b, 5, 0.95).interval.lo), "95 %% needs six rounds");
    cr_expect_not(isnan(paired_ratio(a, b, 6, 0.95).interval.lo));
}
