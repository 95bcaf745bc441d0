/* threads: see threads.h. */
#include "bench/machine/threads.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int64_t threads_for(const Machine *c)
{
    double cpus = c->cpus_allowed == INT_MISSING ? 1 : (double)c->cpus_allowed;
    return (int64_t)fmax(1, fmin(cpus, ceil(c->cpu_quota))); /* fmin passes over a NaN */
}

int64_t threads_default(void)
{
    const char *text = getenv("OMP_NUM_THREADS");
    char *end = NULL;
    long long threads = text ? strtoll(text, &end, 10) : 0;
    bool is_number = end && end != text && strchr(" ,", *end); /* also at the end; "4,2" nests */
    if (is_number && threads >= 1 && threads <= THREADS_MAX)
        return threads;
    static int64_t cpus; /* looked for once: every row of a sweep asks */
    if (cpus == 0) {
        Machine m;
        machine_read(&m, "");
        cpus = threads_for(&m);
    }
    return cpus;
}

Option threads_option(int64_t *threads)
{
    return option_int("--threads", "N", threads, 1, THREADS_MAX,
                      "threads; OMP_NUM_THREADS, else the CPUs it may use");
}
