/* placement: see placement.h. */
#include "autograd/kernels/placement.h"

#include <omp.h>
#include <sched.h>
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
