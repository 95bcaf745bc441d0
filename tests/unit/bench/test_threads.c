/* test_threads: how many threads a verb uses unless told. */
#include "bench/machine/threads.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

Test(threads_option, no_more_than_the_quota_allows)
{
    static const struct {
        int64_t allowed, cores;
        double quota;
        int64_t threads;
    } cases[] = {{8, INT_MISSING, NAN, 8}, {8, INT_MISSING, 2, 2}, {8, 8, 1.5, 2},
                 {8, 4, 0.2, 1},           {2, INT_MISSING, 4, 2}, {INT_MISSING, INT_MISSING, 4, 1},
                 {0, INT_MISSING, NAN, 1}, {8, 4, NAN, 4},         {8, 4, 6, 4}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        Machine c = {.cpus_allowed = cases[i].allowed,
                     .cores_allowed = cases[i].cores,
                     .cpu_quota = cases[i].quota};
        cr_expect_eq(threads_for(&c), cases[i].threads, "%g CPUs of %d: %d threads", cases[i].quota,
                     (int)cases[i].allowed, (int)threads_for(&c));
    }
}

Test(threads_option, the_environment_comes_first)
{
    setenv("OMP_NUM_THREADS", "3", 1);
    cr_expect_eq(threads_default(), 3);
    setenv("OMP_NUM_THREADS", "4,2", 1); /* of nested regions */
    cr_expect_eq(threads_default(), 4);
    setenv("OMP_NUM_THREADS", "0", 1);
    cr_expect_geq(threads_default(), 1);
}
