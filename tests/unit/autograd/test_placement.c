/* test_placement: a thread that was put on the CPU of its leader leaves it, and nothing else
 * changes. */
#include "autograd/kernels/placement.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>
#include <omp.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "autograd/kernels/kernels.h"

typedef struct Team {
    pid_t second;
    int leader_cpu, second_cpu;
} Team;

/* One region of two threads, both of which may note their place. */
static Team team(bool note)
{
    Team t = {0};
#pragma omp parallel num_threads(2)
    {
        if (note)
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

static Team region(void)
{
    return team(true);
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

/* ---- a layer of attention alone: its own regions note and mend ---- */

typedef struct Layer {
    Attention a;
    float *qkv, *out, *lse, *dout, *dqkv, *scratch;
} Layer;

static Layer layer_new(void)
{
    const size_t T = 128, H = 8, D = 32, C = H * D;
    Layer l = {.qkv = xcalloc(T * 3 * C, sizeof(float)),
               .out = xcalloc(T * C, sizeof(float)),
               .lse = xcalloc(T * H, sizeof(float)),
               .dout = xcalloc(T * C, sizeof(float)),
               .dqkv = xcalloc(T * 3 * C, sizeof(float))};
    l.a = (Attention){.B = 1,
                      .T = T,
                      .H = H,
                      .D = D,
                      .q = l.qkv,
                      .k = l.qkv + C,
                      .v = l.qkv + 2 * C,
                      .qkv_stride = 3 * C,
                      .scale = 1 / sqrtf((float)D),
                      .out = l.out,
                      .lse = l.lse};
    size_t bytes = attention_scratch_bytes(&l.a, 2, false);
    size_t backward = attention_scratch_bytes(&l.a, 2, true);
    bytes = bytes > backward ? bytes : backward;
    l.scratch = aligned_alloc(64, (bytes + 63) / 64 * 64);
    return l;
}

static void layer_free(Layer *l)
{
    float *const all[] = {l->qkv, l->out, l->lse, l->dout, l->dqkv, l->scratch};
    for (size_t i = 0; i < COUNT_OF(all); i++)
        free(all[i]);
}

static void run_layer(Layer *l, bool backward)
{
    const size_t C = l->a.H * l->a.D;
    if (backward)
        attention_backward(&l->a, l->dout, l->dqkv, l->dqkv + C, l->dqkv + 2 * C, 2, l->scratch);
    else
        attention_forward(&l->a, 2, l->scratch);
}

/* Seen on its leader's CPU while both are pinned there, then free: whether the next pass forbids it
 * that CPU. Not if the leader moved first, or took all of the work. */
static bool moves(Layer *l, bool backward, const cpu_set_t *all)
{
    cpu_set_t now, first = only(team(false).leader_cpu);
    pid_t second = team(false).second;
    allow(0, &first);
    allow(second, &first);
    run_layer(l, backward);
    allow(second, all);
    allow(0, all);
    run_layer(l, backward);
    sched_getaffinity(second, sizeof now, &now);
    return CPU_COUNT(&now) == CPU_COUNT(all) - 1;
}

static void expect_moves(bool backward)
{
    cpu_set_t all;
    if (!two_cpus(&all))
        cr_skip_test("one CPU, or a rule of the user's");
    Layer l = layer_new();
    run_layer(&l, false); /* which backward reads */
    bool moved = false;
    for (int i = 0; i < 1000 && !moved; i++)
        moved = moves(&l, backward, &all);
    cr_expect(moved);
    layer_free(&l);
}

Test(placement, attention_alone_moves_a_thread_off_its_leaders_cpu)
{
    expect_moves(false);
}

Test(placement, attention_backward_alone_moves_a_thread_off_its_leaders_cpu)
{
    expect_moves(true);
}
