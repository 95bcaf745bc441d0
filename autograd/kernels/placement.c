/* placement: see placement.h. */
#include "autograd/kernels/placement.h"

#include <omp.h>
#include <unistd.h>

enum { MAX_THREADS = 256 };

typedef struct Place {
    pid_t thread; /* 0: not seen yet */
    int cpu;
} Place;

static Place places[MAX_THREADS]; /* by number in the team; the leader's is unused */

void placement_note(void)
{
    int i = omp_get_thread_num();
    if (i == 0 || i >= MAX_THREADS || omp_get_proc_bind() != omp_proc_bind_false)
        return;
    if (places[i].thread == 0)
        places[i].thread = gettid();
    places[i].cpu = sched_getcpu();
}

static void keep_off(const Place *p)
{
    cpu_set_t mask;
    if (sched_getaffinity(0, sizeof mask, &mask) != 0)
        return;
    CPU_CLR((size_t)p->cpu, &mask);
    if (CPU_COUNT(&mask) > 0)
        sched_setaffinity(p->thread, sizeof mask, &mask); /* where refused, it stays */
}

void placement_mend(void)
{
    if (places[1].thread == 0)
        return;
    int leader = sched_getcpu();
    for (int i = 1; i < MAX_THREADS && places[i].thread != 0; i++)
        if (places[i].cpu == leader)
            keep_off(&places[i]);
}

/* Empty where OpenMP binds no thread. */
static cpu_set_t cpus_of_all_places(void)
{
    cpu_set_t all;
    CPU_ZERO(&all);
    for (int place = 0; place < omp_get_num_places(); place++) {
        int ids[CPU_SETSIZE], count = omp_get_place_num_procs(place);
        if (count > CPU_SETSIZE)
            continue;
        omp_get_place_proc_ids(place, ids);
        for (int i = 0; i < count; i++)
            CPU_SET((size_t)ids[i], &all);
    }
    return all;
}

void placement_unpin(cpu_set_t *pinned)
{
    cpu_set_t now, all = cpus_of_all_places();
    if (sched_getaffinity(0, sizeof now, &now) != 0)
        CPU_ZERO(&now);
    if (pinned)
        *pinned = now;
    if (CPU_COUNT(&all) > 0)
        sched_setaffinity(0, sizeof all, &all);
}
