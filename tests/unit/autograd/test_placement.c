/* test_placement: a thread that was put on the CPU of its leader leaves it, and nothing else
 * changes. */
#include "autograd/kernels/placement.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <omp.h>
#include <sched.h>
#include <unistd.h>

typedef struct Team {
    pid_t second;
    int leader_cpu, second_cpu;
} Team;

/* One region of two threads, both of which note their place. */
static Team region(void)
{
    Team t = {0};
#pragma omp parallel num_threads(2)
    {
        placement_note();
        if (omp_get_thread_num() == 0) {
            t.leader_cpu = sched_getcpu();
        } else {
            t.second = gettid();
            t.second_cpu = sched_getcpu();
        }
    }
    return t;
}

static void allow(pid_t thread, const cpu_set_t *mask)
{
    cr_assert(eq(int, sched_setaffinity(thread, sizeof *mask, mask), 0));
}

static cpu_set_t only(int cpu)
{
    cpu_set_t mask;
    CPU_ZERO(&mask);
    CPU_SET((size_t)cpu, &mask);
    return mask;
}

static bool same(const cpu_set_t *a, const cpu_set_t *b)
{
    return CPU_EQUAL(a, b);
}

static bool two_cpus(cpu_set_t *all)
{
    sched_getaffinity(0, sizeof *all, all);
    return CPU_COUNT(all) >= 2 && omp_get_proc_bind() == omp_proc_bind_false;
}

Test(placement, a_thread_on_its_leaders_cpu_moves)
{
    cpu_set_t all, now;
    if (!two_cpus(&all))
        cr_skip_test("one CPU, or a rule of the user's");
    cpu_set_t first = only(region().leader_cpu);
    Team t = region();
    allow(0, &first);
    allow(t.second, &first);
    t = region();
    cr_assert(eq(int, t.second_cpu, t.leader_cpu));
    allow(t.second, &all);
    placement_mend();
    sched_getaffinity(t.second, sizeof now, &now);
    cr_expect(same(&now, &all), "a leader that may run nowhere else leaves the second one alone");
    allow(0, &all);
    /* The leader may move before it looks; then there is nothing to mend, and the next region shows
     * that. */
    for (int i = 0; i < 1000 && t.second_cpu == t.leader_cpu; i++) {
        placement_mend();
        t = region();
    }
    cr_expect(ne(int, t.second_cpu, t.leader_cpu));
    sched_getaffinity(0, sizeof now, &now);
    cr_expect(same(&now, &all), "the leader's mask is its own");
    sched_getaffinity(t.second, sizeof now, &now);
    cr_expect(CPU_COUNT(&now) >= CPU_COUNT(&all) - 1, "one CPU is forbidden, no more");
}

Test(placement, nothing_happens_before_a_thread_was_seen)
{
    cpu_set_t before, after;
    sched_getaffinity(0, sizeof before, &before);
    placement_mend();
    sched_getaffinity(0, sizeof after, &after);
    cr_expect(same(&before, &after));
}
