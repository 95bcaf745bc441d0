/* Steady: the classifier step by step on series without chance, and its segmentation against trying
 * every partition. Its rates on noisy series are in slow/simulate_steady.c. */
#include <criterion/criterion.h>

#include <math.h>
#include <stdlib.h>

#include "autograd/base.h"
#include "bench/stats/moments.h"
#include "bench/stats/steady.h"

/* Level times (1 + noise), noise of about 1 % without chance and without trend. */
static double wobble(double level, size_t i)
{
    static const double noise[] = {0.006, -0.011, 0.002, 0.012, -0.004, -0.009, 0.010, -0.006};
    return level * (1 + noise[i * 5 % COUNT_OF(noise)]);
}

static void fill(double *x, size_t from, size_t to, double level)
{
    for (size_t i = from; i < to; i++)
        x[i] = wobble(level, i);
}

static void expect_class(const double *x, size_t n, SteadyClass expected)
{
    Steady s = steady_of(x, n, STEADY_DELTA, 0);
    cr_expect_str_eq(steady_class_name(s.steady_class), steady_class_name(expected));
}

Test(steady, flat)
{
    double x[40];
    fill(x, 0, 40, 100);
    for (size_t n = 6; n <= 40; n++) {
        Steady s = steady_of(x, n, STEADY_DELTA, 0);
        cr_expect_eq(s.steady_class, STEADY_FLAT, "n %zu: %s", n,
                     steady_class_name(s.steady_class));
        cr_expect_eq(s.steady_start, 1);
        cr_expect_eq(s.warmups_needed, 0);
        cr_expect_eq(s.steady_mean, mean_of(x, n));
        cr_expect_eq(s.first_over_steady, x[0] / median_of(x, n));
    }
}

Test(steady, one_cold_trial)
{
    double x[20];
    fill(x, 0, 20, 100);
    x[0] = 200;
    Steady s = steady_of(x, 20, STEADY_DELTA, 0);
    cr_expect_eq(s.steady_class, STEADY_WARMUP);
    cr_expect_eq(s.segments, 2u);
    cr_expect_eq(s.steady_start, 2);
    cr_expect_eq(s.warmups_needed, 1);
    cr_expect_eq(s.steady_mean, mean_of(x + 1, 19));
    cr_expect_eq(s.first_over_steady, 200 / median_of(x + 1, 19));
    cr_expect_eq(s.outliers, 0u, "the first trial is not an outlier");
}

Test(steady, unit_does_not_matter)
{
    double ms[20], ns[20];
    fill(ms, 0, 20, 100);
    ms[0] = 200;
    for (int i = 0; i < 20; i++)
        ns[i] = ms[i] * 1e6;
    Steady a = steady_of(ms, 20, STEADY_DELTA, 0), b = steady_of(ns, 20, STEADY_DELTA, 0);
    cr_expect_eq(a.steady_class, b.steady_class);
    cr_expect_eq(a.steady_start, b.steady_start);
    cr_expect_float_eq(a.sigma, b.sigma, 1e-12);
}

Test(steady, level_shift_in_the_middle)
{
    double x[20];
    fill(x, 0, 10, 100);
    fill(x, 10, 20, 90);
    Steady s = steady_of(x, 20, STEADY_DELTA, 0);
    cr_expect_eq(s.steady_class, STEADY_WARMUP);
    cr_expect_eq(s.warmups_needed, 10);
    fill(x, 10, 20, 110);
    s = steady_of(x, 20, STEADY_DELTA, 0);
    cr_expect_eq(s.steady_class, STEADY_SLOWDOWN);
    cr_expect_eq(s.steady_start, 11);
    cr_expect(isnan(s.warmups_needed), "a slowdown is not cured by warming up");
}

/* A non-equivalent segment that ends inside the last max(3, n/4) trials. */
Test(steady, change_near_the_end)
{
    double x[40];
    fill(x, 0, 40, 100);
    fill(x, 31, 40, 110);
    expect_class(x, 40, STEADY_NONE);
    fill(x, 30, 40, 110);
    expect_class(x, 40, STEADY_SLOWDOWN);
    fill(x, 0, 8, 100);
    fill(x, 8, 10, 110);
    expect_class(x, 10, STEADY_NONE);
    fill(x, 7, 10, 110);
    expect_class(x, 10, STEADY_SLOWDOWN);
}

Test(steady, no_figures_without_a_steady_part)
{
    double x[40];
    fill(x, 0, 40, 100);
    fill(x, 35, 40, 130);
    Steady s = steady_of(x, 40, STEADY_DELTA, 0);
    cr_expect_eq(s.steady_class, STEADY_NONE);
    cr_expect(isnan(s.steady_start) && isnan(s.warmups_needed) && isnan(s.steady_mean));
    cr_expect_eq(s.first_over_steady, x[0] / median_of(x + 1, 39));
}

Test(steady, spikes_are_counted_and_looked_past)
{
    double x[20];
    fill(x, 0, 20, 100);
    x[7] *= 1.4;
    x[13] *= 3;
    Steady s = steady_of(x, 20, STEADY_DELTA, 0);
    cr_expect_eq(s.steady_class, STEADY_FLAT);
    cr_expect_eq(s.outliers, 2u);
    cr_expect_eq(s.segments, 1u);
    cr_expect_eq(s.steady_mean, mean_of(x, 20), "a spike stays in the mean");
}

Test(steady, a_step_within_delta_is_no_change)
{
    double x[40];
    for (int i = 0; i < 40; i++)
        x[i] = (i < 20 ? 100 : 102) * (1 + (i % 2 ? 1e-4 : -1e-4));
    Steady s = steady_of(x, 40, STEADY_DELTA, 0);
    cr_expect_eq(s.steady_class, STEADY_FLAT);
    cr_expect_eq(s.segments, 2u, "the step is seen");
    cr_expect_eq(steady_of(x, 40, 0.01, 0).steady_class, STEADY_SLOWDOWN);
}

/* A clock with steps of 2 ms shows 100 and 102: without its resolution that looks like exact
 * levels. */
Test(steady, coarse_clock)
{
    double x[40];
    for (int i = 0; i < 40; i++)
        x[i] = i < 30 ? 100 : 104;
    cr_expect_eq(steady_of(x, 40, 0.01, 0).steady_class, STEADY_SLOWDOWN);
    cr_expect_eq(steady_of(x, 40, 0.01, 4).steady_class, STEADY_FLAT);
    cr_expect_eq(steady_of(x, 40, 0.01, 0).sigma, 1e-4, "the floor of the noise");
}

/* A slow wave looks like shifts to independent noise; allowing for autocorrelation makes it
 * flat. */
Test(steady, correlated_noise_widens_sigma)
{
    double x[60], smooth = 0;
    for (size_t i = 0; i < 60; i++) {
        smooth = 0.6 * smooth + wobble(1, i * 3) - 1;
        x[i] = 100 * (1 + smooth + 0.01 * sin(0.5 * (double)i));
    }
    Steady s = steady_of(x, 60, 0, 0);
    double steps[59];
    for (int i = 0; i < 59; i++)
        steps[i] = fabs(log(x[i + 1]) - log(x[i]));
    double plain = 1.4826 * median_of(steps, 59) / sqrt(2);
    cr_expect_gt(s.sigma, 1.5 * plain);
    cr_expect_eq(s.steady_class, STEADY_FLAT);
}

Test(steady, too_few)
{
    const double x[] = {200, 100, 100, 101, 99};
    Steady s = steady_of(x, 5, STEADY_DELTA, 0);
    cr_expect_eq(s.steady_class, STEADY_TOO_FEW);
    cr_expect_eq(s.first_over_steady, 2);
    cr_expect(isnan(s.steady_start) && isnan(s.steady_mean) && isnan(s.sigma));
    cr_expect(isnan(steady_of(x, 1, STEADY_DELTA, 0).first_over_steady));
    cr_expect_eq(steady_of(x, 0, STEADY_DELTA, 0).steady_class, STEADY_TOO_FEW);
}

Test(steady, times_that_are_none)
{
    double x[10];
    fill(x, 0, 10, 100);
    x[4] = 0;
    expect_class(x, 10, STEADY_NONE);
    x[4] = -3;
    expect_class(x, 10, STEADY_NONE);
    cr_expect(isnan(steady_of(x, 10, STEADY_DELTA, 0).first_over_steady));
}

Test(steady, identical_times)
{
    double x[30];
    for (int i = 0; i < 30; i++)
        x[i] = 7;
    expect_class(x, 30, STEADY_FLAT);
}

/* As many trials as a row may have take a moment, not hours; a shift among them is still found, the
 * cold first runs to the run. Longer than STEADY_EXACT_N a boundary in the rest may be up to one of
 * 1000 even distances late. */
Test(steady, long_series)
{
    enum { N = 1000000, SHIFT = 600000, LATE = N / 1000 };
    double *x = xmalloc(N * sizeof *x);
    static const size_t lengths[] = {STEADY_EXACT_N, STEADY_EXACT_N + 1, 3001, 100000, N};
    fill(x, 0, N, 100);
    for (size_t i = 0; i < COUNT_OF(lengths); i++)
        expect_class(x, lengths[i], STEADY_FLAT);
    fill(x, 0, 3, 150);
    Steady s = steady_of(x, N, STEADY_DELTA, 0);
    cr_expect_eq(s.steady_class, STEADY_WARMUP);
    cr_expect_eq(s.warmups_needed, 3);
    fill(x, 0, SHIFT, 110);
    s = steady_of(x, N, STEADY_DELTA, 0);
    cr_expect_eq(s.steady_class, STEADY_WARMUP);
    cr_expect_float_eq(s.warmups_needed, SHIFT, LATE);
    fill(x, 0, SHIFT, 90);
    expect_class(x, N, STEADY_SLOWDOWN);
    fill(x, 0, N, 100);
    fill(x, N - N / 10, N, 110);
    expect_class(x, N, STEADY_NONE);
    free(x);
}

/* Slow waves, so that the segmentation is done twice. */
Test(steady, long_correlated_series)
{
    enum { N = 100000 };
    double *x = xmalloc(N * sizeof *x), smooth = 0;
    for (size_t i = 0; i < N; i++) {
        smooth = 0.6 * smooth + 0.02 * (rng_uniform(7, 1, i) - 0.5);
        x[i] = 100 * (1 + smooth);
    }
    expect_class(x, N, STEADY_FLAT);
    free(x);
}

/* The cost of the partition of n values given by the bits of `cuts` (bit i: a boundary after i). */
static double partition_cost(const double *y, size_t n, double sigma, double penalty, unsigned cuts)
{
    double cost = 0;
    for (size_t from = 0, to = 1; to <= n; to++) {
        if (to < n && !(cuts >> (to - 1) & 1))
            continue;
        double mean = mean_of(y + from, to - from);
        for (size_t i = from; i < to; i++)
            cost += (y[i] - mean) * (y[i] - mean) / (sigma * sigma);
        cost += to < n ? penalty : 0;
        from = to;
    }
    return cost;
}

Test(steady, segmentation_is_optimal)
{
    enum { N = 11 };
    for (uint64_t seed = 0; seed < 30; seed++) {
        double y[N], least = INFINITY, sigma = 0.1 + 0.1 * (double)(seed % 3);
        for (size_t i = 0; i < N; i++)
            y[i] = rng_uniform(seed, 1, i) + (double)(i > 4 + seed % 4);
        unsigned best = 0;
        for (unsigned cuts = 0; cuts < 1u << (N - 1); cuts++) {
            double cost = partition_cost(y, N, sigma, 9, cuts);
            if (cost < least) {
                least = cost;
                best = cuts;
            }
        }
        size_t ends[N], count = steady_segments(y, N, sigma, 9, ends);
        unsigned found = 0;
        for (size_t j = 0; j + 1 < count; j++)
            found |= 1u << (ends[j] - 1);
        cr_expect_eq(ends[count - 1], (size_t)N);
        cr_expect_eq(found, best, "seed %d: cuts %x cost %g, best %x cost %g", (int)seed, found,
                     partition_cost(y, N, sigma, 9, found), best, least);
    }
}

Test(steady, several_processes)
{
    const SteadyClass flat[] = {STEADY_FLAT, STEADY_FLAT};
    const SteadyClass good[] = {STEADY_FLAT, STEADY_WARMUP, STEADY_FLAT};
    const SteadyClass bad[] = {STEADY_FLAT, STEADY_WARMUP, STEADY_SLOWDOWN};
    const SteadyClass none[] = {STEADY_NONE, STEADY_NONE};
    cr_expect_eq(steady_class_of_processes(flat, 2), STEADY_FLAT);
    cr_expect_eq(steady_class_of_processes(good, 3), STEADY_GOOD_INCONSISTENT);
    cr_expect_eq(steady_class_of_processes(bad, 3), STEADY_BAD_INCONSISTENT);
    cr_expect_eq(steady_class_of_processes(none, 2), STEADY_NONE);
    cr_expect_str_eq(steady_class_name(STEADY_BAD_INCONSISTENT), "bad_inconsistent");
}

Test(steady, automatic_warmup_stops_when_steady)
{
    double x[30];
    fill(x, 0, 30, 100);
    x[0] = 250;
    x[1] = 180;
    cr_expect_not(steady_warmed_up(x, 5, STEADY_DELTA), "five trials are too few to judge");
    cr_expect(steady_warmed_up(x, 10, STEADY_DELTA), "eight steady ones are enough");
    fill(x, 10, 13, 120);
    cr_expect_not(steady_warmed_up(x, 13, STEADY_DELTA), "three since the change are not");
}

Test(steady, window_rule)
{
    double x[15];
    for (int i = 0; i < 15; i++)
        x[i] = 100 + (i % 2 ? 4 : -4);
    cr_expect_not(steady_window_settled(x, 4));
    cr_expect_not(steady_window_settled(x, 14), "CV above 1 %, two windows only");
    cr_expect(steady_window_settled(x, 15), "three windows within 10 %");
    for (int i = 0; i < 5; i++)
        x[i] *= 1.5;
    cr_expect_not(steady_window_settled(x, 15));
    for (int i = 10; i < 15; i++)
        x[i] = 100 + 0.5 * (i % 2);
    cr_expect(steady_window_settled(x, 15), "the last five have a CV of 0.3 %");
}
