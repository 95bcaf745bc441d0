/* Verdicts: the four words, false discoveries against SciPy (golden/make_stats_golden.py),
 * power. */
#include <criterion/criterion.h>

#include <math.h>

#include "autograd/base.h"
#include "bench/stats/verdict.h"
#include "tests/golden/stats_golden.h"

/* Relative errors observed against SciPy: 2e-16. */
static const double ROUNDING = 4e-15;

static void near(double value, double expected, double tolerance, const char *what)
{
    double error = fabs(value - expected) / fabs(expected);
    cr_expect(error <= tolerance, "%s: %.17g, expected %.17g, relative error %.2g", what, value,
              expected, error);
}

Test(verdict, four_of_them)
{
    const struct {
        double lo, hi;
        Verdict expected;
    } cases[] = {
        {1.021, 1.10, VERDICT_REGRESSION},  {0.90, 0.979, VERDICT_IMPROVEMENT},
        {0.98, 1.02, VERDICT_EQUIVALENT},   {1.001, 1.019, VERDICT_EQUIVALENT},
        {0.97, 1.01, VERDICT_INCONCLUSIVE}, {1.019, 1.2, VERDICT_INCONCLUSIVE},
        {0.90, 1.10, VERDICT_INCONCLUSIVE}, {NAN, 0.5, VERDICT_INCONCLUSIVE},
        {1.5, NAN, VERDICT_INCONCLUSIVE},   {1.02, 1.02, VERDICT_EQUIVALENT},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        Verdict v = verdict_of((Interval){cases[i].lo, cases[i].hi, 0.95}, 0.02);
        cr_expect_str_eq(verdict_name(v), verdict_name(cases[i].expected), "[%g, %g]: %s",
                         cases[i].lo, cases[i].hi, verdict_name(v));
    }
}

Test(verdict, a_change_among_many_rows_needs_a_small_q)
{
    Interval slower = {1.03, 1.05, 0.95}, same = {0.99, 1.01, 0.95};
    cr_expect_eq(verdict_among_rows(slower, 0.02, 0.05), VERDICT_REGRESSION);
    cr_expect_eq(verdict_among_rows(slower, 0.02, 0.051), VERDICT_INCONCLUSIVE);
    cr_expect_eq(verdict_among_rows(slower, 0.02, NAN), VERDICT_INCONCLUSIVE);
    cr_expect_eq(verdict_among_rows(same, 0.02, 0.9), VERDICT_EQUIVALENT);
}

Test(verdict, benjamini_hochberg)
{
    double q[COUNT_OF(bh_p)];
    benjamini_hochberg(bh_p, COUNT_OF(bh_p), q);
    for (size_t i = 0; i < COUNT_OF(bh_p); i++)
        near(q[i], bh_q[i], ROUNDING, "q");
    const double with_gap[] = {0.01, NAN, 0.04};
    benjamini_hochberg(with_gap, 3, q);
    near(q[0], 0.02, ROUNDING, "a row that was not tested does not count");
    cr_expect(isnan(q[1]));
    near(q[2], 0.04, ROUNDING, "q");
}

Test(verdict, one_for_the_file)
{
    const Verdict same = VERDICT_EQUIVALENT, slower = VERDICT_REGRESSION,
                  unknown = VERDICT_INCONCLUSIVE;
    const Verdict mixed[] = {VERDICT_EQUIVALENT, VERDICT_INCONCLUSIVE};
    const Verdict better[] = {VERDICT_EQUIVALENT, VERDICT_IMPROVEMENT};
    const Verdict worse[] = {VERDICT_IMPROVEMENT, VERDICT_REGRESSION};
    const Verdict equal[] = {VERDICT_EQUIVALENT, VERDICT_EQUIVALENT};
    cr_expect_eq(verdict_of_file(worse, 2, same), VERDICT_REGRESSION);
    cr_expect_eq(verdict_of_file(mixed, 2, slower), VERDICT_REGRESSION);
    cr_expect_eq(verdict_of_file(better, 2, same), VERDICT_IMPROVEMENT);
    cr_expect_eq(verdict_of_file(mixed, 2, same), VERDICT_EQUIVALENT);
    cr_expect_eq(verdict_of_file(mixed, 2, unknown), VERDICT_INCONCLUSIVE);
    cr_expect_eq(verdict_of_file(equal, 2, unknown), VERDICT_EQUIVALENT);
    cr_expect_eq(verdict_of_file(NULL, 0, unknown), VERDICT_INCONCLUSIVE);
}

Test(verdict, power)
{
    near(minimum_detectable_effect(0.02, 10, 10), 0.025, 0.005, "CV 2 %, ten trials: 2.5 %");
    cr_expect_eq(trials_to_detect(0.02, 0.025), 11);
    cr_expect_eq(trials_to_detect(0.02, 0.02), 16);
    cr_expect_gt(minimum_detectable_effect(0.02, 10, 5), minimum_detectable_effect(0.02, 10, 10));
}
