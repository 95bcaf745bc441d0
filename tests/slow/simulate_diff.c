/* simulate_diff: how often does `tare diff` cry wolf, and how often does it miss a known slowdown?
 *
 * Files of 12 rows of 10 trials with 2 % noise, and none between processes, are drawn and judged as
 * the command judges them. What is promised with --threshold 2:
 * - two identical builds: at most 1 file in 100 is called a regression, also with 5 % of spikes;
 * - a slowdown of 5 % in every row: at least 99 of 100 files are called a regression;
 * - one row slowed by the threshold plus the smallest detectable effect (4.5 %): found as often as
 *   the formula means. Its 80 % are for means of many trials; with ranks (efficiency 3/pi),
 *   18 degrees of freedom and the coverage 95.7 % that ranks of 10 and 10 have, 71 % are left;
 * - one row of 12 slowed by 10 %: of all regressions called, at most 5 % are other rows.
 * Exit 1 if a rate is beyond its promise by more than 3 standard errors. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/stats/bootstrap.h"
#include "bench/result/diff.h"
#include "bench/stats/distributions.h"

enum { REPETITIONS = 500, ROWS = 12, TRIALS = 10 };
static const double NOISE = 0.02;
static const double RANK_COVERAGE = 0.9567; /* of rank_ratio's 95 % interval for 10 and 10 trials */

static double gaussian(Xoshiro *r)
{
    double u = ((double)(xoshiro_next(r) >> 11) + 0.5) * 0x1p-53;
    double v = (double)(xoshiro_next(r) >> 11) * 0x1p-53;
    return sqrt(-2 * log(u)) * cos(2 * M_PI * v); /* Box & Muller 1958 */
}

static double *draw(double level, bool spiky, Xoshiro *r)
{
    double *x = xmalloc(TRIALS * sizeof *x);
    for (int i = 0; i < TRIALS; i++)
        x[i] = level * (1 + NOISE * gaussian(r)) * (spiky && xoshiro_below(r, 20) == 0 ? 1.3 : 1);
    return x;
}

/* What happened in one scenario, counted over repetitions. */
typedef struct Counts {
    size_t files, file_regressions; /* files judged; called a regression */
    size_t slowed, found;           /* rows truly slower; called a regression */
    double false_share;             /* summed over files: false_rows of the file's regressions */
} Counts;

typedef struct Scenario {
    int rows, slowed; /* the first `slowed` of `rows` rows are slower */
    double factor;
    bool spiky;
} Scenario;

static Counts simulate(const Scenario *s, Xoshiro *r)
{
    const DiffRule rule = {.threshold = NOISE_THRESHOLD, .threshold_given = true};
    Counts c = {0};
    for (int repetition = 0; repetition < REPETITIONS; repetition++) {
        Err err;
        Diff d = {.rows = xcalloc(ROWS, sizeof(DiffRow)), .count = (size_t)s->rows};
        size_t called = 0, wrong = 0;
        for (int i = 0; i < s->rows; i++)
            d.rows[i] =
                (DiffRow){.old_ms = draw(100, s->spiky, r),
                          .new_ms = draw(i < s->slowed ? 100 * s->factor : 100, s->spiky, r),
                          .old_count = TRIALS,
                          .new_count = TRIALS};
        CHECK(diff_judge(&d, &rule, &err) == 0, "unpaired");
        for (int i = 0; i < s->rows; i++) {
            bool regression = d.rows[i].verdict == VERDICT_REGRESSION;
            called += regression;
            wrong += regression && i >= s->slowed;
        }
        c.files++;
        c.file_regressions += d.verdict == VERDICT_REGRESSION;
        c.slowed += (size_t)s->slowed;
        c.found += called - wrong;
        c.false_share += called ? (double)wrong / (double)called : 0;
        diff_release(&d);
    }
    return c;
}

static int check(const char *what, double found, double promised, bool at_least, size_t of)
{
    double slack = 3 * sqrt(promised * (1 - promised) / (double)of);
    int wrong = at_least ? found < promised - slack : found > promised + slack;
    printf("%-58s %s %5.1f%%  found %5.1f%%%s\n", what, at_least ? "at least" : "at most ",
           100 * promised, 100 * found, wrong ? "  WRONG" : "");
    return wrong;
}

static double share(size_t part, size_t of)
{
    return (double)part / (double)of;
}

int main(void)
{
    Xoshiro r = xoshiro_from_seed(5);
    int failures = 0;
    Counts c = simulate(&(Scenario){ROWS, 0, 1, false}, &r);
    failures += check("identical builds: files called a regression",
                      share(c.file_regressions, c.files), 0.01, false, c.files);
    c = simulate(&(Scenario){ROWS, 0, 1, true}, &r);
    failures += check("identical builds, spikes: files called a regression",
                      share(c.file_regressions, c.files), 0.01, false, c.files);
    c = simulate(&(Scenario){ROWS, ROWS, 1.05, false}, &r);
    failures += check("5 % slower: files called a regression", share(c.file_regressions, c.files),
                      0.99, true, c.files);
    double seen = NOISE_THRESHOLD + minimum_detectable_effect(NOISE, TRIALS, TRIALS);
    c = simulate(&(Scenario){1, 1, 1 + seen, false}, &r);
    double needed = student_quantile(1 - (1 - RANK_COVERAGE) / 2, 2 * TRIALS - 2);
    double power = normal_cdf(2.8 * sqrt(3 / M_PI) - needed);
    failures += check("one row slower by the detectable effect: found", share(c.found, c.slowed),
                      power, true, c.slowed);
    c = simulate(&(Scenario){ROWS, 1, 1.10, false}, &r);
    failures +=
        check("one of 12 rows 10 % slower: found", share(c.found, c.slowed), 0.99, true, c.slowed);
    failures += check("one of 12 rows 10 % slower: false among those called",
                      c.false_share / (double)c.files, 0.05, false, c.files);
    return failures > 0;
}
