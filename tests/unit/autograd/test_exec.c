/* test_exec: the loop that runs a plan: recomputation and poison change nothing, several plans
 * share one arena, inputs and kept values go in and out. */
#include "tests/support/random_graph.h"

#include <criterion/criterion.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { SEEDS = 200 };

typedef struct Result {
    float loss;
    float *grads; /* [RANDOM_PARAMS, width] */
    size_t bytes;
} Result;

typedef struct Program {
    RandomGraph r;
    Schedule schedule;
    Plan plan;
} Program;

static void program_init(Program *p, uint64_t seed, Recompute rc)
{
    random_graph_init(&p->r, seed, true);
    schedule_build(&p->schedule, &p->r.graph, p->r.root, rc);
    plan_build(&p->plan, &p->schedule, 2);
}

static void program_release(Program *p)
{
    plan_release(&p->plan);
    schedule_release(&p->schedule);
    random_graph_release(&p->r);
}

static Exec exec_for(size_t arena, size_t scratch)
{
    Exec e;
    Err err;
    cr_assert(exec_init(&e, arena, scratch, 2, &err) == 0, "%s", err.msg);
    return e;
}

static Exec exec_of(const Plan *p)
{
    return exec_for(p->arena_bytes, p->scratch_bytes);
}

static Result run(Program *p, Exec *e)
{
    size_t n = tensor_count(p->r.input), width = p->r.width;
    float *x = xmalloc(n * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(2 * rng_uniform(6, 0, i) - 1);
    exec_write(e, &p->plan, p->r.input, x);
    free(x);
    exec_run(e, &p->plan, PHASE_FORWARD);
    exec_run(e, &p->plan, PHASE_BACKWARD);
    Result out = {.bytes = RANDOM_PARAMS * width * sizeof(float)};
    out.grads = xmalloc(out.bytes);
    exec_read(p->r.root, &out.loss);
    for (size_t i = 0; i < RANDOM_PARAMS; i++)
        memcpy(out.grads + i * width, p->r.param[i].grad, width * sizeof(float));
    return out;
}

static void expect_same(const Result *a, const Result *b, uint64_t seed, const char *what)
{
    bool same = a->bytes == b->bytes && memcmp(&a->loss, &b->loss, sizeof a->loss) == 0 &&
                memcmp(a->grads, b->grads, a->bytes) == 0;
    cr_assert(same, "seed %zu: another result with %s", (size_t)seed, what);
}

Test(exec, recomputation_and_poison_change_nothing)
{
    size_t moving = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        Result first = {0};
        for (int variant = 0; variant < 10; variant++) {
            Recompute rc = (Recompute)(variant / 2);
            Program p;
            program_init(&p, seed, rc);
            Exec e = exec_of(&p.plan);
            e.poison = variant % 2;
            Result got = run(&p, &e);
            if (variant == 0)
                first = got;
            else
                expect_same(&first, &got, seed, recompute_name(rc));
            if (variant > 0)
                free(got.grads);
            exec_release(&e);
            program_release(&p);
        }
        cr_assert(isfinite(first.loss), "seed %zu", (size_t)seed);
        for (size_t i = 0; i < first.bytes / sizeof(float); i++) {
            cr_assert(isfinite(first.grads[i]), "seed %zu", (size_t)seed);
            moving += first.grads[i] != 0 && first.grads[i] != 1;
        }
        free(first.grads);
    }
    cr_expect(moving > SEEDS, "nearly every gradient is trivial: the test shows nothing");
}

/* A second run in the same arena, and runs of other plans between, give the same again. */
Test(exec, plans_share_one_arena)
{
    enum { PLANS = 5 };
    Program p[PLANS];
    Result first[PLANS];
    size_t arena = 0, scratch = 0;
    for (uint64_t i = 0; i < PLANS; i++) {
        program_init(&p[i], 100 + i, (Recompute)(i % 3));
        arena = p[i].plan.arena_bytes > arena ? p[i].plan.arena_bytes : arena;
        scratch = p[i].plan.scratch_bytes > scratch ? p[i].plan.scratch_bytes : scratch;
    }
    Exec e = exec_for(arena, scratch);
    for (size_t round = 0; round < 3; round++)
        for (size_t k = 0; k < PLANS; k++) {
            size_t i = round == 1 ? PLANS - 1 - k : k;
            Result got = run(&p[i], &e);
            if (round == 0) {
                first[i] = got;
                continue;
            }
            expect_same(&first[i], &got, i, "plans between");
            free(got.grads);
        }
    exec_release(&e);
    for (size_t i = 0; i < PLANS; i++) {
        free(first[i].grads);
        program_release(&p[i]);
    }
}

/* What the hook saw. */
typedef struct Seen {
    const Step *steps;
    size_t count;
    bool in_order;
} Seen;

static void count_step(void *ctx, const Step *step, const StepTime *time)
{
    (void)time;
    Seen *seen = ctx;
    seen->in_order &= step == &seen->steps[seen->count];
    seen->count++;
}

Test(exec, the_hook_sees_every_step_in_order)
{
    Program p;
    program_init(&p, 1, RECOMPUTE_BLOCK);
    Exec e = exec_of(&p.plan);
    Seen seen = {p.schedule.steps, 0, true};
    e.hook = count_step;
    e.hook_ctx = &seen;
    Result got = run(&p, &e);
    cr_expect(seen.in_order && seen.count == p.schedule.count);
    free(got.grads);
    exec_release(&e);
    program_release(&p);
}

Test(exec, an_untouched_arena_costs_no_memory)
{
    Err err;
    Exec e;
    cr_assert(exec_init(&e, (size_t)1 << 40, 0, 1, &err) == 0, "%s", err.msg);
    exec_release(&e);
    cr_expect(exec_init(&e, SIZE_MAX / 2, 0, 1, &err) == -1);
}

Test(exec, a_plan_larger_than_the_arena_is_our_bug, .signal = SIGABRT)
{
    Program p;
    program_init(&p, 1, RECOMPUTE_NONE);
    Exec e = exec_for(p.plan.arena_bytes > 4096 ? p.plan.arena_bytes - 4096 : 0, 0);
    exec_run(&e, &p.plan, PHASE_FORWARD);
}

Test(exec, only_kept_values_can_be_read, .signal = SIGABRT)
{
    Program p;
    program_init(&p, 1, RECOMPUTE_NONE);
    Exec e = exec_of(&p.plan);
    exec_run(&e, &p.plan, PHASE_FORWARD);
    float x[4096];
    p.r.root->keep = false;
    exec_read(p.r.root, x);
}
