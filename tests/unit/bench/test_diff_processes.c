/* Diff by what processes differ by: process medians, the noise floor of the sweeps, the probe; and
 * a small simulation of how often it is wrong (tests/slow/simulate_processes.c has a large one). */
#include <criterion/criterion.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/result/diff.h"
#include "bench/stats/distributions.h"
#include "tests/support/noisy_host.h"

enum { TRIALS = 4 };

static const double spread[] = {1.00, 1.12, 0.91, 1.05, 0.97, 1.08, 0.93, 1.02};

/* `processes` of TRIALS trials each around `level`, trials within 1 %. */
static double *side(size_t processes, double level, size_t turn)
{
    double *x = xmalloc(processes * TRIALS * sizeof *x);
    for (size_t i = 0; i < processes * TRIALS; i++)
        x[i] =
            level * spread[(i / TRIALS + turn) % COUNT_OF(spread)] * (1 + 0.003 * (double)(i % 3));
    return x;
}

static Diff one_row(size_t processes, double old_level, double new_level)
{
    Diff d = {.rows = xcalloc(1, sizeof(DiffRow)), .count = 1, .process_seconds = 6};
    d.rows[0] = (DiffRow){.old_ms = side(processes, old_level, 0),
                          .new_ms = side(processes, new_level, 3),
                          .old_count = processes * TRIALS,
                          .new_count = processes * TRIALS,
                          .old_processes = processes,
                          .new_processes = processes};
    text_set(d.rows[0].name, "small/128/fwd/w1");
    return d;
}

static void judge(Diff *d)
{
    Err err = {""};
    DiffRule rule = {.unit = DIFF_TRIALS, .threshold = 0.02};
    cr_assert_eq(diff_judge(d, &rule, &err), 0, "%s", err.msg);
}

static void expect_printed(const Diff *d, const char *words)
{
    char text[8192] = "";
    FILE *out = fmemopen(text, sizeof text, "w");
    diff_print(d, "table", out);
    fclose(out);
    cr_expect(strstr(text, words) != NULL, "no '%s' in %s", words, text);
}

Test(diff_processes, medians_of_processes_are_judged)
{
    Diff slower = one_row(8, 100, 150), same = one_row(8, 100, 100), faster = one_row(8, 150, 100);
    judge(&slower);
    judge(&same);
    judge(&faster);
    cr_expect_eq(slower.rows[0].verdict, VERDICT_REGRESSION);
    cr_expect_eq(same.rows[0].verdict, VERDICT_INCONCLUSIVE);
    cr_expect_eq(faster.rows[0].verdict, VERDICT_IMPROVEMENT);
    cr_expect_eq(slower.rows[0].unit, DIFF_APART);
    cr_expect_float_eq(slower.rows[0].test.ratio, 1.5, 0.08);
    cr_expect_gt(slower.rows[0].cv, 0.05, "the spread is that of processes");
    /* 8 + 8 that do not overlap: no rank test of so many can say more than 2 / C(16, 8). */
    cr_expect_geq(slower.rows[0].test.p, 2 / 12870.0);
    diff_release(&slower);
    diff_release(&same);
    diff_release(&faster);
}

Test(diff_processes, fewer_than_five_tell_what_would_do)
{
    Diff d = one_row(4, 100, 150);
    judge(&d);
    cr_expect_eq(d.verdict, VERDICT_INCONCLUSIVE);
    expect_printed(&d, "4 and 4 processes are too few to test");
    expect_printed(&d, "processes a side, about ");
    diff_release(&d);
}

Test(diff_processes, one_process_a_side_tells_how_many_and_how_long)
{
    Diff d = one_row(1, 100, 150);
    d.process_seconds = 24;
    judge(&d);
    cr_expect_eq(d.verdict, VERDICT_INCONCLUSIVE);
    expect_printed(&d, "one process a side tells nothing of the spread between processes: run at "
                       "least 5 a side, about 4 min");
    diff_release(&d);
}

/* The machine changed by 30 %: more processes of each sweep would not tell, turns would. */
Test(diff_processes, a_machine_that_changed_asks_for_turns)
{
    Diff d = one_row(8, 100, 110);
    d.rows[0].shift = 0.3;
    d.process_seconds = 2;
    judge(&d);
    cr_expect_eq(d.verdict, VERDICT_INCONCLUSIVE);
    expect_printed(&d, "the machine changed between the sweeps: only changes beyond 30 % tell");
    expect_printed(&d, "tare diff --run OLD NEW CONFIG --processes ");
    diff_release(&d);
}

/* Processes that would have shown 5 % saw less: no advice to run fewer than there were. */
Test(diff_processes, what_is_smaller_takes_more_than_there_were)
{
    Diff d = one_row(8, 100, 102);
    for (size_t i = 0; i < d.rows[0].old_count; i++) {
        d.rows[0].old_ms[i] = 100 + 0.5 * (double)(i / 4 % 5);
        d.rows[0].new_ms[i] = 102 + 0.5 * (double)(i / 4 % 5);
    }
    d.process_seconds = 2;
    judge(&d);
    cr_expect_eq(d.verdict, VERDICT_INCONCLUSIVE);
    expect_printed(&d, "8 processes a side show a change of 5 %; a smaller one takes more, such as "
                       "16 a side, about 1 min 04 s");
    diff_release(&d);
}

/* A row of one process: Student's interval of the noise floor around the ratio. */
Test(diff_processes, the_noise_floor_stands_in_for_processes)
{
    const double noise = 0.02, freedom = 16;
    double reach = student_quantile(0.975, freedom) * sqrt(2) * noise;
    struct {
        double noise, factor;
        Verdict verdict;
    } cases[] = {{noise, 1.5, VERDICT_REGRESSION},
                 {noise, 0.6, VERDICT_IMPROVEMENT},
                 {noise, 1.05, VERDICT_INCONCLUSIVE},
                 {0.15, 1.3, VERDICT_INCONCLUSIVE},
                 {0.0005, 1, VERDICT_EQUIVALENT}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        Diff d = one_row(1, 100, 100 * cases[i].factor);
        double *old = d.rows[0].old_ms, *new = d.rows[0].new_ms;
        d.rows[0].old_ms = xcalloc(10, sizeof *old);
        d.rows[0].new_ms = xcalloc(10, sizeof *new);
        free(old);
        free(new);
        d.rows[0].old_count = d.rows[0].new_count = 10;
        for (int k = 0; k < 10; k++) {
            d.rows[0].old_ms[k] = 100 + 0.01 * k;
            d.rows[0].new_ms[k] = cases[i].factor * (100 + 0.01 * ((k * 3 + 1) % 10));
        }
        d.rows[0].noise = cases[i].noise;
        d.rows[0].noise_freedom = freedom;
        judge(&d);
        cr_expect_eq(d.rows[0].verdict, cases[i].verdict, "case %zu: %s", i,
                     verdict_name(d.rows[0].verdict));
        if (i == 0) {
            cr_expect_float_eq(d.rows[0].test.interval.lo, 1.5 * exp(-reach), 1e-3);
            cr_expect_float_eq(d.rows[0].least_change, exp(reach) - 1, 1e-6);
        }
        if (i == 3)
            expect_printed(&d, "by the noise floor only changes beyond");
        cr_expect(d.rows[0].by_floor);
        diff_release(&d);
    }
}

/* What the user says processes differ by stands in the place of the floor, in the words too. */
Test(diff_processes, a_threshold_given_is_not_the_noise_floor)
{
    Err err = {""};
    Diff d = one_row(1, 100, 100);
    d.rows[0].noise = 0.15;
    d.rows[0].noise_freedom = 8;
    DiffRule rule = {.unit = DIFF_TRIALS, .threshold = 0.02, .threshold_given = true};
    cr_assert_eq(diff_judge(&d, &rule, &err), 0, "%s", err.msg);
    cr_expect(!d.rows[0].by_floor);
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    diff_print(&d, "table", out);
    fclose(out);
    cr_expect(strstr(text, "noise floor") == NULL, "%s", text);
    free(text);
    diff_release(&d);
}

/* The probe took 30 % longer in one of the sweeps: less than that says nothing of the program. */
Test(diff_processes, a_machine_that_changed_is_no_change)
{
    Diff d = one_row(8, 100, 150);
    d.rows[0].shift = 0.6;
    judge(&d);
    cr_expect_eq(d.rows[0].verdict, VERDICT_INCONCLUSIVE);
    expect_printed(&d, "the machine changed between the sweeps: only changes beyond 60 % tell");
    diff_release(&d);
}

/* Both sweeps drifted upwards: ranks do not see it, batches of neighbours do. */
Test(diff_processes, drift_widens_the_interval)
{
    Diff d = one_row(8, 100, 100);
    double old[8], new[8];
    for (size_t i = 0; i < 8 * TRIALS; i++) {
        double drift = 1 + 0.05 * (double)(i / TRIALS);
        old[i / TRIALS] = d.rows[0].old_ms[i] = 100 * drift;
        new[i / TRIALS] = d.rows[0].new_ms[i] = 125 * drift;
    }
    RatioTest ranks = rank_ratio(old, 8, new, 8, 0.95);
    judge(&d);
    cr_expect_lt(d.rows[0].test.interval.lo, ranks.interval.lo - 0.005);
    cr_expect_gt(d.rows[0].test.interval.hi, ranks.interval.hi + 0.005);
    cr_expect_geq(d.rows[0].test.p, ranks.p);
    diff_release(&d);
}

static double called(NoisyVerdicts v)
{
    return (double)(v.seen[VERDICT_REGRESSION] + v.seen[VERDICT_IMPROVEMENT]) / (double)v.pairs;
}

static double slack(double promised, size_t pairs)
{
    return 3 * sqrt(promised * (1 - promised) / (double)pairs);
}

static NoisyHost busy_host(double between)
{
    return (NoisyHost){.random = xoshiro_from_seed(11),
                       .between = between,
                       .within = 0.05,
                       .drift = 0.01,
                       .shift = between,
                       .shift_every = 40};
}

Test(diff_processes, of_pairs_of_one_build_few_are_called_changed)
{
    const size_t files = 60, runs = 1000;
    NoisyHost host = busy_host(0.15);
    NoisyPairs by_files = {.rows = 1, .processes = 6, .trials = 5, .factor = 1, .probed = true};
    NoisyPairs by_run = {.rows = 2, .processes = 6, .trials = 5, .factor = 1, .run = true};
    double rate = called(noisy_verdicts(&host, &by_files, files));
    cr_expect_leq(rate, 0.05 + slack(0.05, files), "files: %g", rate);
    rate = called(noisy_verdicts(&host, &by_run, runs));
    cr_expect_leq(rate, 0.05 + slack(0.05, runs), "runs: %g", rate);
    by_run.rows = 6; /* their mean is one more question: asked beside the rows', 9 % were called */
    rate = called(noisy_verdicts(&host, &by_run, runs));
    cr_expect_leq(rate, 0.05 + slack(0.05, runs), "runs of 6 rows: %g", rate);
}

Test(diff_processes, what_is_slower_is_found_by_thirty_processes)
{
    const size_t runs = 400;
    NoisyPairs p = {.rows = 1, .processes = 30, .trials = 10, .factor = 1.2, .run = true};
    NoisyHost host = busy_host(0.15);
    NoisyVerdicts v = noisy_verdicts(&host, &p, runs);
    cr_expect_geq(v.seen[VERDICT_REGRESSION], 9 * runs / 10, "20 %%: %zu",
                  v.seen[VERDICT_REGRESSION]);
    host = busy_host(0.05);
    p.factor = 1.05;
    v = noisy_verdicts(&host, &p, runs);
    cr_expect_geq(v.seen[VERDICT_REGRESSION], 9 * runs / 10 - 18, "5 %%: %zu",
                  v.seen[VERDICT_REGRESSION]);
}
