/* plan: see plan.h. First the lives, walking the steps once; then the places, largest first. */
#include "autograd/plan.h"

#include <stdlib.h>
#include <string.h>

#include "autograd/op.h"

enum { ALIGN = 64 }; /* a cache line and an AVX-512 register */

/* The buffers of a node's data, aux and grad at the current step; SIZE_MAX: none. */
typedef struct Current {
    size_t data, aux, grad;
} Current;

typedef struct Lives {
    Plan *p;
    Current *current; /* per node */
    size_t step;
} Lives;

/* Whether the buffer is one for all slices. */
static bool is_shared(const Plan *p, const Tensor *t, BufferKind kind)
{
    return kind == BUFFER_DATA && slices_share(&p->slices, t);
}

static size_t begin(Lives *l, Tensor *t, BufferKind kind, size_t bytes)
{
    Plan *p = l->p;
    if (!is_shared(p, t, kind))
        bytes /= p->slices.count;
    p->buffers = xgrow(p->buffers, p->count, sizeof *p->buffers);
    bytes = (bytes + ALIGN - 1) / ALIGN * ALIGN;
    p->buffers[p->count] = (Buffer){t, kind, l->step, l->step, bytes, 0};
    return p->count++;
}

static void touch(Lives *l, size_t buffer)
{
    if (buffer != SIZE_MAX && l->p->buffers[buffer].last < l->step)
        l->p->buffers[buffer].last = l->step;
}

static void touch_data(Lives *l, const Tensor *t)
{
    if (t && t->life != LIFE_PARAM)
        touch(l, l->current[t->index].data);
}

static size_t last_step(const Lives *l)
{
    return l->p->schedule->count - 1;
}

static void produce(Lives *l, const Step *s)
{
    Tensor *t = s->t;
    Current *now = &l->current[t->index];
    now->data = begin(l, t, BUFFER_DATA, tensor_bytes(t));
    if (t->keep || slices_share(&l->p->slices, t))
        l->p->buffers[now->data].last = last_step(l);
    for (int i = 0; i < t->num_inputs; i++)
        if (s->kind == STEP_FORWARD || t->op->refreshed_from & SAVE_IN(i))
            touch_data(l, t->in[i]);
    if (s->kind == STEP_REFRESH) {
        touch(l, now->aux);
        return;
    }
    size_t aux = t->op->aux_bytes ? t->op->aux_bytes(t, l->p->schedule->root != NULL) : 0;
    now->aux = aux ? begin(l, t, BUFFER_AUX, aux) : SIZE_MAX;
}

static void consume(Lives *l, const Step *s)
{
    Tensor *t = s->t;
    Current *now = &l->current[t->index];
    touch(l, now->grad);
    if (t->op->saved & SAVE_OUT)
        touch(l, now->data);
    if (t->op->saved & SAVE_AUX)
        touch(l, now->aux);
    for (int i = 0; i < t->num_inputs; i++) {
        Tensor *in = t->in[i];
        if (!in || in->life == LIFE_PARAM)
            continue;
        if (t->op->saved & SAVE_IN(i))
            touch_data(l, in);
        if (!in->needs_grad)
            continue;
        if (s->add >> i & 1)
            touch(l, l->current[in->index].grad);
        else
            l->current[in->index].grad =
                begin(l, in, BUFFER_GRAD, tensor_count(in) * sizeof(float));
    }
}

/* Inputs and states live from the first step to the last; the root's gradient from the start of the
 * phase. */
static void find_lives(Plan *p, Current *current)
{
    const Schedule *s = p->schedule;
    const Graph *g = s->graph;
    Lives l = {p, current, 0};
    for (size_t i = 0; i < g->count; i++) {
        current[i] = (Current){SIZE_MAX, SIZE_MAX, SIZE_MAX};
        Tensor *t = g->nodes[i];
        if (t->life == LIFE_INPUT || t->life == LIFE_STATE) {
            current[i].data = begin(&l, t, BUFFER_DATA, tensor_bytes(t));
            p->buffers[current[i].data].last = last_step(&l);
        }
    }
    for (l.step = 0; l.step < s->count; l.step++) {
        const Step *step = &s->steps[l.step];
        if (s->root && l.step == s->num_forward)
            current[s->root->index].grad = begin(&l, s->root, BUFFER_GRAD, sizeof(float));
        if (step->kind == STEP_FORWARD || step->kind == STEP_REFRESH)
            produce(&l, step);
        else if (step->kind == STEP_BACKWARD)
            consume(&l, step);
    }
}

static int larger_first(const void *a, const void *b)
{
    const Buffer *x = *(Buffer *const *)a, *y = *(Buffer *const *)b;
    if (x->bytes != y->bytes)
        return x->bytes > y->bytes ? -1 : 1;
    return x < y ? -1 : x > y; /* a fixed order among equals */
}

/* A placed buffer, in 32 bytes: a deep model has hundreds of thousands of buffers, and each is held
 * against all before it. */
typedef struct Placed {
    size_t first, last, offset, end;
} Placed;

/* The lowest offset where `b` meets no placed buffer of an overlapping life. `placed` is sorted by
 * offset. */
static size_t lowest_gap(const Buffer *b, const Placed *placed, size_t count)
{
    const size_t first = b->first, last = b->last, bytes = b->bytes;
    size_t offset = 0;
    for (size_t i = 0; i < count; i++) {
        const Placed *other = &placed[i];
        if (other->last < first || last < other->first)
            continue;
        if (other->offset >= offset + bytes)
            break;
        if (other->end > offset)
            offset = other->end;
    }
    return offset;
}

/* Behind those of its offset. */
static void insert(Placed *placed, size_t count, const Buffer *b)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (placed[middle].offset <= b->offset)
            low = middle + 1;
        else
            high = middle;
    }
    memmove(&placed[low + 1], &placed[low], (count - low) * sizeof *placed);
    placed[low] = (Placed){b->first, b->last, b->offset, b->offset + b->bytes};
}

static void place(Plan *p)
{
    Buffer **order = xmalloc((p->count + 1) * sizeof *order);
    Placed *placed = xmalloc((p->count + 1) * sizeof *placed);
    for (size_t i = 0; i < p->count; i++)
        order[i] = &p->buffers[i];
    qsort(order, p->count, sizeof *order, larger_first);
    for (size_t i = 0, n = 0; i < p->count; i++) {
        Buffer *b = order[i];
        if (b->t->life == LIFE_STATE) {
            b->offset = p->state_bytes;
            p->state_bytes += b->bytes;
            continue;
        }
        if (is_shared(p, b->t, b->kind)) {
            b->offset = p->shared_bytes;
            p->shared_bytes += b->bytes;
            continue;
        }
        b->offset = lowest_gap(b, placed, n);
        if (b->offset + b->bytes > p->slice_bytes)
            p->slice_bytes = b->offset + b->bytes;
        insert(placed, n++, b);
    }
    p->arena_bytes = p->state_bytes + p->shared_bytes + p->slices.count * p->slice_bytes;
    free(order);
    free(placed);
}

size_t plan_place(const Plan *p, const Buffer *b, size_t slice)
{
    if (b->t->life == LIFE_STATE)
        return b->offset;
    if (is_shared(p, b->t, b->kind))
        return p->state_bytes + b->offset + slice * (tensor_bytes(b->t) / p->slices.count);
    return p->state_bytes + p->shared_bytes + slice * p->slice_bytes + b->offset;
}

size_t plan_bytes(const Plan *p, const Buffer *b)
{
    return is_shared(p, b->t, b->kind) ? b->bytes : p->slices.count * b->bytes;
}

/* Of those that begin at step `from` or later. */
static size_t *alive_since(const Plan *p, size_t from)
{
    size_t steps = p->schedule->count;
    size_t *alive = xcalloc(steps + 1, sizeof *alive); /* what begins less what has ended */
    for (size_t i = 0; i < p->count; i++) {
        if (p->buffers[i].first < from)
            continue;
        alive[p->buffers[i].first] += plan_bytes(p, &p->buffers[i]);
        alive[p->buffers[i].last + 1] -= plan_bytes(p, &p->buffers[i]);
    }
    for (size_t i = 1; i < steps; i++)
        alive[i] += alive[i - 1];
    return alive;
}

size_t *plan_alive(const Plan *p)
{
    return alive_since(p, 0);
}

static size_t most_alive(const Plan *p, size_t from)
{
    size_t most = 0, *alive = alive_since(p, from);
    for (size_t i = 0; i < p->schedule->count; i++)
        most = alive[i] > most ? alive[i] : most;
    free(alive);
    return most;
}

size_t plan_backward_bytes(const Plan *p)
{
    return most_alive(p, p->schedule->num_forward);
}

/* A slice runs on one thread. */
static void measure_scratch(Plan *p)
{
    int threads = p->slices.count > 1 ? 1 : p->threads;
    size_t most = 0;
    for (size_t i = 0; i < p->schedule->count; i++) {
        const Step *s = &p->schedule->steps[i];
        if (s->kind == STEP_GRAD_READY || !s->t->op->scratch_bytes)
            continue;
        const Tensor *t = slices_tensor(&p->slices, 0, s->t);
        size_t bytes = t->op->scratch_bytes(t, threads, s->kind == STEP_BACKWARD);
        most = bytes > most ? bytes : most;
    }
    p->scratch_bytes = p->slices.count * ((most + ALIGN - 1) / ALIGN * ALIGN);
}

void plan_build(Plan *p, const Schedule *s, int threads)
{
    *p = (Plan){.schedule = s, .threads = threads};
    CHECK(s->count > 0, "an empty schedule");
    slices_build(&p->slices, s, threads);
    Current *current = xmalloc(s->graph->count * sizeof *current);
    find_lives(p, current);
    free(current);
    place(p);
    p->live_bytes = most_alive(p, 0);
    measure_scratch(p);
}

void plan_release(Plan *p)
{
    free(p->buffers);
    slices_release(&p->slices);
    *p = (Plan){0};
}
