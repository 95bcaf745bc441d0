/* threads: see threads.h. */
#include "bench/machine/threads.h"

#include <inttypes.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int64_t threads_for(const Machine *c)
{
    int64_t known = c->cores_allowed == INT_MISSING ? c->cpus_allowed : c->cores_allowed;
    double cpus = known == INT_MISSING ? 1 : (double)known;
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

int64_t threads_seen(int64_t threads)
{
    int team = 0;
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
#pragma omp parallel num_threads((int)threads)
    {
        cpu_set_t own;
        if (sched_getaffinity(0, sizeof own, &own) != 0)
            CPU_ZERO(&own);
#pragma omp critical
        {
            CPU_OR(&cpus, &cpus, &own);
            team++;
        }
    }
    int count = CPU_COUNT(&cpus); /* 0: the kernel has more CPUs than the set */
    double most = fmin(team, ceil(machine_cpu_quota(""))); /* fmin passes over a NaN */
    return count > 0 && count < most ? count : (int64_t)most;
}

void threads_doubt(int64_t seen, int64_t threads, char text[THREADS_TEXT_SIZE])
{
    text[0] = '\0';
    if (seen != INT_MISSING && seen < threads)
        snprintf(text, THREADS_TEXT_SIZE,
                 "only %" PRId64 " of %" PRId64 " threads can run at once: look at "
                 "OMP_THREAD_LIMIT, OMP_PLACES, the affinity mask and the CPU quota",
                 seen, threads);
}

Option threads_option(int64_t *threads)
{
    return option_int("--threads", "N", threads, 1, THREADS_MAX,
                      "threads; OMP_NUM_THREADS, else the physical cores of the CPUs it may use, "
                      "no more than its quota");
}
