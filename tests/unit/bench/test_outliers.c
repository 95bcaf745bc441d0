/* Outliers: fences, the modified z and the sentence about a trial. */
#include <criterion/criterion.h>

#include <math.h>

#include "autograd/base.h"
#include "bench/stats/outliers.h"

/* Quartiles 3 and 7 (type 7), range 4. */
static const double one_to_nine[] = {9, 1, 8, 2, 7, 3, 6, 4, 5};

Test(outliers, tukey_fences)
{
    Fences f = tukey_fences(one_to_nine, 9);
    cr_expect_eq(f.low, -3);
    cr_expect_eq(f.high, 13);
    const double inside[] = {-3, 5, 13}, outside[] = {-4, 14};
    for (size_t i = 0; i < COUNT_OF(inside); i++)
        cr_expect_not(is_outlier(&f, inside[i]));
    for (size_t i = 0; i < COUNT_OF(outside); i++)
        cr_expect(is_outlier(&f, outside[i]));
    Fences none = tukey_fences(one_to_nine, 0);
    cr_expect_not(is_outlier(&none, 1e9));
}

Test(outliers, modified_z)
{
    ZScale scale = z_scale_of(one_to_nine, 9, 0);
    cr_expect_float_eq(modified_z(&scale, 5), 0, 0);
    cr_expect_float_eq(modified_z(&scale, 25), 20 / (1.4826 * 2), 1e-12);
    const double still[] = {7, 7, 7, 7, 9};
    scale = z_scale_of(still, 5, 0.5);
    cr_expect_eq(modified_z(&scale, 9), 4, "in clock steps where the MAD is zero");
    scale = z_scale_of(still, 5, 0);
    cr_expect_eq(modified_z(&scale, 9), INFINITY);
    cr_expect_eq(modified_z(&scale, 7), 0);
}

/* Of trial `index` from 0, whose number counts from 1. */
static void describe(const double *wall, size_t n, size_t index, const TrialCounters *c, char *text,
                     size_t size)
{
    UsualTrial usual = usual_trial_of(wall, c, n);
    outlier_describe(wall, c, &usual, index, (long)index + 1, text, size);
}

Test(outliers, the_cause_is_named)
{
    double wall[10], runqueue[10], steal[10], major[10], switches[10];
    for (int i = 0; i < 10; i++) {
        wall[i] = 100e6 + 1e5 * (i % 3);
        runqueue[i] = 1e5 * (i % 2);
        steal[i] = NAN;
        major[i] = 0;
        switches[i] = i % 2;
    }
    wall[6] = 312.1e6;
    runqueue[6] = 209e6;
    TrialCounters c = {.runqueue_ns = runqueue,
                       .steal_ns = steal,
                       .major_faults = major,
                       .involuntary_switches = switches};
    char text[200];
    describe(wall, 10, 6, &c, text, sizeof text);
    cr_expect_str_eq(text, "trial 7: +212 ms, 209 ms waiting for a CPU");
    switches[6] = 41;
    major[6] = 3;
    runqueue[6] = 0;
    describe(wall, 10, 6, &c, text, sizeof text);
    cr_expect_str_eq(text, "trial 7: +212 ms, 3 page faults that waited for the disk, "
                           "41 times taken off its CPU");
}

Test(outliers, no_cause_known)
{
    const double wall[] = {1.01e6, 1e6, 0.99e6, 1e6, 1.8e6};
    TrialCounters none = {NULL};
    char text[200], cut[12];
    describe(wall, 5, 4, &none, text, sizeof text);
    cr_expect_str_eq(text, "trial 5: +0.80 ms, no cause seen by the kernel");
    describe(wall, 5, 4, &none, cut, sizeof cut);
    cr_expect_str_eq(cut, "trial 5: +0");
}

/* Time that no CPU was used, waited for or taken away is sleep; a cause that explains little of it
 * does not hide it. */
Test(outliers, sleep_is_time_without_cpu_time)
{
    double wall[] = {100e6, 101e6, 102e6, 100e6, 400e6},
           cpu[] = {200e6, 201e6, 202e6, 200e6, 201e6};
    double runqueue[] = {0, 1e6, 0, 0, 0}, steal[] = {0, 0, 0, 0, 10e6};
    TrialCounters c = {.cpu_ns = cpu, .runqueue_ns = runqueue, .steal_ns = steal};
    char text[200];
    describe(wall, 5, 4, &c, text, sizeof text);
    cr_expect_str_eq(text, "trial 5: +299 ms, 10 ms taken by other machines on this host, 289 ms "
                           "asleep");
    runqueue[4] = 280e6;
    describe(wall, 5, 4, &c, text, sizeof text);
    cr_expect_str_eq(text, "trial 5: +299 ms, 280 ms waiting for a CPU, 10 ms taken by other "
                           "machines on this host");
    runqueue[4] = steal[4] = 0;
    cpu[4] = 799e6;
    describe(wall, 5, 4, &c, text, sizeof text);
    cr_expect_str_eq(text, "trial 5: +299 ms, no cause seen by the kernel", "it computed");
}

Test(outliers, a_cold_trial_touches_memory_first)
{
    const double wall[] = {180e6, 101e6, 102e6, 100e6, 101e6}, faults[] = {812, 0, 0, 0, 0};
    TrialCounters c = {.minor_faults = faults};
    char text[200];
    describe(wall, 5, 0, &c, text, sizeof text);
    cr_expect_str_eq(text, "trial 1: +79 ms, 812 first touches of memory");
}

Test(outliers, waiting_is_a_share_of_each_thread)
{
    const double wall[] = {100, 100, 200}, runqueue[] = {50, 10, 60};
    cr_expect_float_eq(cpu_wait_of(wall, runqueue, 3, 2), 0.15, 1e-12);
    cr_expect(isnan(cpu_wait_of(wall, NULL, 3, 2)));
}

/* Trials of 20 microseconds, in which a reading of the counters was preempted for 10 ms. */
Test(outliers, threads_cannot_wait_longer_than_the_trial)
{
    const double wall[] = {20e3, 21e3, 22e3}, runqueue[] = {0, 10e6, 10e6}, all[] = {40e3, 0, 44e3};
    cr_expect(isnan(cpu_wait_of(wall, runqueue, 3, 2)));
    cr_expect_float_eq(cpu_wait_of(wall, all, 3, 2), 1, 1e-12);
}

Test(outliers, a_sentence_of_an_outlier_is_told_from_others)
{
    cr_expect(outlier_is_described("trial 7: +212 ms, no cause seen by the kernel"));
    cr_expect(outlier_is_described("products ran at 61 to 100 % of their best; trial 12: +1 ms"));
    cr_expect_not(outlier_is_described(""));
    cr_expect_not(outlier_is_described("threads waited for a CPU 9 % of the time"));
    cr_expect_not(outlier_is_described("the one trial of BLAS"));
}
