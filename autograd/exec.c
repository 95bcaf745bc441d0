/* exec: see exec.h. */
#include "autograd/exec.h"

#include <string.h>

#include "autograd/kernels/kernels.h"
#include "autograd/kernels/placement.h"

#ifndef TARE_POISON
#define TARE_POISON 0
#endif

int exec_threads(const ExecCtx *c, double work)
{
    const double worth_a_region = 50e3; /* 50 microseconds of one thread */
    return work < worth_a_region ? 1 : c->threads;
}

static size_t round_up(size_t bytes, size_t to)
{
    return (bytes + to - 1) / to * to;
}

int exec_init(Exec *e, size_t arena_bytes, size_t scratch_bytes, int threads, Err *err)
{
    size_t arena = round_up(arena_bytes, 4096);
    *e = (Exec){.bytes = arena + scratch_bytes, .threads = threads, .poison = TARE_POISON};
    e->arena = block_alloc(e->bytes, err);
    if (!e->arena)
        return -1;
    e->scratch = e->arena + arena;
    return 0;
}

void exec_release(Exec *e)
{
    block_free(e->arena, e->bytes);
    *e = (Exec){0};
}

/* Points each tensor whose life begins at this step to its place in the arena. Returns the next
 * buffer. */
static size_t begin_lives(Exec *e, const Plan *p, size_t slice, size_t step, size_t next)
{
    for (; next < p->count && p->buffers[next].first == step; next++) {
        const Buffer *b = &p->buffers[next];
        Tensor *t = slices_tensor(&p->slices, slice, b->t);
        void *place = e->arena + plan_place(p, b, slice);
        if (slice == 0 && b->kind == BUFFER_DATA)
            b->t->data = place; /* exec_read reads what is kept through the graph's node */
        if (b->kind == BUFFER_DATA)
            t->data = place;
        else if (b->kind == BUFFER_AUX)
            t->aux = place;
        else
            t->grad = place;
    }
    return next;
}

/* Fills buffers whose life ends at this step with NaN. */
static void poison_dead(Exec *e, const Plan *p, size_t slice, size_t step)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->buffers[i].last == step)
            memset(e->arena + plan_place(p, &p->buffers[i], slice), 0xff, p->buffers[i].bytes);
}

/* Bit i: in[i] is a parameter. */
static unsigned param_inputs(const Tensor *t)
{
    unsigned bits = 0;
    for (int i = 0; i < t->num_inputs; i++)
        if (t->in[i] && t->in[i]->life == LIFE_PARAM)
            bits |= 1u << i;
    return bits;
}

/* t is the slice's copy of s->t. */
static void run_step(const Step *s, const Tensor *t, ExecCtx *c, bool accumulate)
{
    c->add = s->add | (accumulate ? param_inputs(t) : 0);
    switch (s->kind) {
    case STEP_FORWARD:
        t->op->forward(t, c);
        break;
    case STEP_REFRESH:
        t->op->refresh(t, c);
        break;
    case STEP_BACKWARD:
        t->op->backward(t, c);
        break;
    case STEP_GRAD_READY:
        break;
    }
}

/* Runs the steps [from, to) of one slice. */
static void run_slice(Exec *e, const Plan *p, size_t slice, size_t from, size_t to)
{
    const Schedule *s = p->schedule;
    const TrainingRun *training = &e->training;
    ExecCtx c = {.threads = p->slices.count > 1 ? 1 : e->threads,
                 .scratch = e->scratch + slice * (p->scratch_bytes / p->slices.count),
                 .product = e->product,
                 .with_backward = s->root != NULL,
                 .part = p->slices.by_row ? slice : 0,
                 .parts = p->slices.by_row ? p->slices.count : 1,
                 .training = training->active,
                 .seed = training->seed,
                 .step = training->step,
                 .first_row = training->first_row,
                 .first_sequence = training->first_sequence,
                 .past = p->state_bytes ? e->past : NULL};
    StepTime time = {.slice = slice};
    c.part_ns = e->hook ? time.part_ns : NULL;
    size_t next = 0;
    while (next < p->count && p->buffers[next].first < from)
        next++;
    for (size_t i = from; i < to; i++) {
        next = begin_lives(e, p, slice, i, next);
        if (i == s->num_forward)
            s->root->grad[0] = training->loss_weight != 0 ? training->loss_weight : 1.0f;
        if (e->before)
            e->before(e->before_ctx, &s->steps[i]);
        memset(time.part_ns, 0, sizeof time.part_ns);
        products_taken();
        time.start_ns = e->hook ? clock_ns() : 0;
        run_step(&s->steps[i], slices_tensor(&p->slices, slice, s->steps[i].t), &c,
                 training->accumulate);
        time.ns = e->hook ? (uint64_t)(clock_ns() - time.start_ns) : 0;
        time.products = products_taken();
        if (e->hook)
            e->hook(e->hook_ctx, &s->steps[i], &time);
        if (e->poison && i + 1 < s->count)
            poison_dead(e, p, slice, i);
    }
}

void exec_run(Exec *e, const Plan *p, Phase phase)
{
    const Schedule *s = p->schedule;
    CHECK(p->arena_bytes <= (size_t)(e->scratch - e->arena) && e->threads <= p->threads &&
              p->scratch_bytes <= e->bytes - (size_t)(e->scratch - e->arena),
          "the plan does not fit this Exec");
    CHECK(!p->state_bytes || e->past, "a run with states needs to know how much they hold");
    size_t from = phase == PHASE_FORWARD ? 0 : s->num_forward;
    size_t to = phase == PHASE_FORWARD ? s->num_forward : s->count;
    placement_mend();
    if (p->slices.count == 1) {
        run_slice(e, p, 0, from, to);
        return;
    }
    int threads = e->threads < (int)p->slices.count ? e->threads : (int)p->slices.count;
#pragma omp parallel num_threads(threads)
    {
        placement_note();
        for (size_t step = from, end; step < to; step = end) {
            end = slices_run_end(&p->slices, s, step, to);
#pragma omp for schedule(static, 1)
            for (size_t slice = 0; slice < p->slices.count; slice++)
                run_slice(e, p, slice, step, end);
        }
    }
}

void exec_write(Exec *e, const Plan *p, const Tensor *t, const void *src)
{
    CHECK(t->life == LIFE_INPUT, "only inputs are written from outside");
    for (size_t i = 0; i < p->count; i++)
        if (p->buffers[i].t == t)
            memcpy(e->arena + plan_place(p, &p->buffers[i], 0), src, tensor_bytes(t));
}

void exec_read(const Tensor *t, void *dst)
{
    CHECK(t->data && t->keep, "only kept tensors can be read after a run");
    if (t->dtype == DT_BF16 || t->dtype == DT_F16)
        kernels()->widen(t->dtype, t->data, dst, tensor_count(t));
    else
        memcpy(dst, t->data, tensor_bytes(t));
}
