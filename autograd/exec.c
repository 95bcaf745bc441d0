/* exec: see exec.h. */
#include "exec.h"

#include <string.h>
#include <time.h>

#include "ops.h"

#ifndef TARE_POISON
#define TARE_POISON 0
#endif

int exec_threads(const ExecCtx *c, double work)
{
    const double worth_a_region = 50e3; /* some 50 microseconds of one thread */
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

/* Points each tensor whose life begins at this step to its place. Returns the next buffer. */
static size_t begin_lives(Exec *e, const Plan *p, size_t step, size_t next)
{
    for (; next < p->count && p->buffers[next].first == step; next++) {
        const Buffer *b = &p->buffers[next];
        void *place = e->arena + b->offset;
        if (b->kind == BUFFER_DATA)
            b->t->data = place;
        else if (b->kind == BUFFER_AUX)
            b->t->aux = place;
        else
            b->t->grad = place;
    }
    return next;
}

/* A NaN in every float that nobody may read any more. */
static void poison_dead(Exec *e, const Plan *p, size_t step)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->buffers[i].last == step)
            memset(e->arena + p->buffers[i].offset, 0xff, p->buffers[i].bytes);
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

static void run_step(const Step *s, ExecCtx *c, bool accumulate)
{
    c->add = s->add | (accumulate ? param_inputs(s->t) : 0);
    switch (s->kind) {
    case STEP_FORWARD:
        s->t->op->forward(s->t, c);
        break;
    case STEP_REFRESH:
        s->t->op->refresh(s->t, c);
        break;
    case STEP_BACKWARD:
        s->t->op->backward(s->t, c);
        break;
    case STEP_GRAD_READY:
        break;
    }
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC_RAW, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void exec_run(Exec *e, const Plan *p, Phase phase)
{
    const Schedule *s = p->schedule;
    CHECK(p->arena_bytes <= (size_t)(e->scratch - e->arena) && e->threads <= p->threads &&
              p->scratch_bytes <= e->bytes - (size_t)(e->scratch - e->arena),
          "the plan does not fit this Exec");
    size_t from = phase == PHASE_FORWARD ? 0 : s->num_forward;
    size_t to = phase == PHASE_FORWARD ? s->num_forward : s->count;
    size_t next = 0;
    while (next < p->count && p->buffers[next].first < from)
        next++;
    const TrainingRun *training = &e->training;
    ExecCtx c = {.threads = e->threads,
                 .scratch = e->scratch,
                 .with_backward = s->root != NULL,
                 .training = training->active,
                 .seed = training->seed,
                 .step = training->step};
    for (size_t i = from; i < to; i++) {
        next = begin_lives(e, p, i, next);
        if (i == s->num_forward)
            s->root->grad[0] = training->loss_weight != 0 ? training->loss_weight : 1.0f;
        uint64_t start = e->hook ? now_ns() : 0;
        run_step(&s->steps[i], &c, training->accumulate);
        if (e->hook)
            e->hook(e->hook_ctx, &s->steps[i], now_ns() - start);
        if (e->poison && i + 1 < s->count)
            poison_dead(e, p, i);
    }
}

void exec_write(Exec *e, const Plan *p, const Tensor *t, const void *src)
{
    CHECK(t->life == LIFE_INPUT, "only inputs are written from outside");
    for (size_t i = 0; i < p->count; i++)
        if (p->buffers[i].t == t)
            memcpy(e->arena + p->buffers[i].offset, src, tensor_bytes(t));
}

void exec_read(const Tensor *t, void *dst)
{
    CHECK(t->data && t->keep, "only kept tensors can be read after a run");
    memcpy(dst, t->data, tensor_bytes(t));
}
