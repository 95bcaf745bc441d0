/* slices: see slices.h. */
#include "autograd/slices.h"

#include <stdlib.h>

#include "autograd/op.h"

/* Rows of a slice: with fewer it would read each weight for too little work. The models divided by
 * row are so small that their weights stay in the cache. */
enum { LEAST_ROWS = 32, LEAST_ROWS_BY_ROW = 16 };

/* FLOPs: a step above the first gains more from threads of its own; a pass below the second is over
 * before a thread is woken. */
static const double most_of_step = 6e6, least_of_pass = 2e6;

static bool divides_by_sequence(const Schedule *s, size_t count)
{
    const Graph *g = s->graph;
    for (size_t i = 0; i < g->count; i++)
        if (g->nodes[i]->life == LIFE_INPUT && g->nodes[i]->shape[0] % count != 0)
            return false;
    for (size_t i = 0; i < s->count; i++)
        if (!s->steps[i].t->op->by_sequence || s->steps[i].t->shape[0] % count != 0)
            return false;
    return tensor_rows(s->steps[0].t) >= LEAST_ROWS * count;
}

/* Whether the rows of this schedule's only sequence can be divided. */
static bool has_rows_to_divide(const Schedule *s)
{
    const Graph *g = s->graph;
    double pass = 0;
    size_t rows = tensor_rows(s->steps[0].t);
    for (size_t i = 0; i < g->count; i++)
        if (g->nodes[i]->life == LIFE_INPUT &&
            (g->nodes[i]->ndim != 2 || g->nodes[i]->shape[0] != 1 || g->nodes[i]->shape[1] != rows))
            return false;
    for (size_t i = 0; i < s->count; i++) {
        const Tensor *t = s->steps[i].t;
        double flops = op_flops(t, false);
        if (!t->op->by_row || tensor_rows(t) != rows || flops > most_of_step)
            return false;
        pass += flops;
    }
    return pass >= least_of_pass;
}

/* How many parts the only sequence is divided into; at most one a thread. */
static size_t parts_of_rows(const Schedule *s, size_t threads)
{
    size_t rows = tensor_rows(s->steps[0].t), parts = threads;
    while (parts > 1 && (rows % parts != 0 || rows / parts < LEAST_ROWS_BY_ROW))
        parts--;
    return parts;
}

static void build_slice(const Slices *s, Tensor *copy, const Graph *g)
{
    for (size_t i = 0; i < g->count; i++) {
        copy[i] = *g->nodes[i];
        copy[i].shape[s->by_row && copy[i].life == LIFE_INPUT ? 1 : 0] /= s->count;
        for (int k = 0; k < copy[i].num_inputs; k++)
            if (copy[i].in[k] && copy[i].in[k]->life != LIFE_PARAM)
                copy[i].in[k] = &copy[copy[i].in[k]->index];
    }
}

static void find_shared(Slices *s, const Graph *g)
{
    for (size_t i = 0; i < g->count; i++) {
        const Tensor *t = g->nodes[i];
        if (t->life == LIFE_INPUT || t->keep)
            s->shared[i] = true;
        if (s->by_row && t->op && t->op->gathers)
            s->shared[t->in[0]->index] = true;
    }
}

static bool has_state(const Graph *g)
{
    for (size_t i = 0; i < g->count; i++)
        if (g->nodes[i]->life == LIFE_STATE)
            return true;
    return false;
}

void slices_build(Slices *s, const Schedule *schedule, int threads)
{
    const Graph *g = schedule->graph;
    *s = (Slices){.count = 1, .num_tensors = g->count};
    if (threads < 2 || schedule->root || has_state(g))
        return;
    if (divides_by_sequence(schedule, (size_t)threads)) {
        s->count = (size_t)threads;
    } else if (has_rows_to_divide(schedule)) {
        s->count = parts_of_rows(schedule, (size_t)threads);
        s->by_row = s->count > 1;
    }
    if (s->count == 1)
        return;
    s->tensors = xcalloc(s->count * s->num_tensors, sizeof *s->tensors);
    s->shared = xcalloc(s->num_tensors, sizeof *s->shared);
    for (size_t i = 0; i < s->count; i++)
        build_slice(s, s->tensors + i * s->num_tensors, g);
    find_shared(s, g);
}

void slices_release(Slices *s)
{
    free(s->tensors);
    free(s->shared);
    *s = (Slices){0};
}

Tensor *slices_tensor(const Slices *s, size_t i, Tensor *t)
{
    return s->count == 1 ? t : &s->tensors[i * s->num_tensors + (size_t)t->index];
}

bool slices_share(const Slices *s, const Tensor *t)
{
    return s->count > 1 && s->shared[t->index];
}

size_t slices_run_end(const Slices *s, const Schedule *schedule, size_t from, size_t to)
{
    size_t end = from + 1;
    while (end < to && !(s->by_row && schedule->steps[end].t->op->gathers))
        end++;
    return end;
}
