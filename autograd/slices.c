/* slices: see slices.h. */
#include "slices.h"

#include <stdlib.h>

#include "ops.h"

/* Below this a slice would read each weight for too few rows. */
enum { LEAST_ROWS = 32 };

static bool divides(const Schedule *s, size_t count)
{
    const Graph *g = s->graph;
    if (s->root)
        return false;
    for (size_t i = 0; i < g->count; i++)
        if (g->nodes[i]->life == LIFE_INPUT && g->nodes[i]->shape[0] % count != 0)
            return false;
    for (size_t i = 0; i < s->count; i++)
        if (!s->steps[i].t->op->by_sequence || s->steps[i].t->shape[0] % count != 0)
            return false;
    return tensor_rows(s->steps[0].t) >= LEAST_ROWS * count;
}

static void build_slice(Tensor *own, const Graph *g, size_t count)
{
    for (size_t i = 0; i < g->count; i++) {
        own[i] = *g->nodes[i];
        own[i].shape[0] /= count;
        for (int k = 0; k < own[i].num_inputs; k++)
            if (own[i].in[k] && own[i].in[k]->life != LIFE_PARAM)
                own[i].in[k] = &own[own[i].in[k]->index];
    }
}

void slices_build(Slices *s, const Schedule *schedule, int threads)
{
    const Graph *g = schedule->graph;
    *s = (Slices){.count = 1, .num_tensors = g->count};
    if (threads < 2 || !divides(schedule, (size_t)threads))
        return;
    s->count = (size_t)threads;
    s->tensors = xcalloc(s->count * s->num_tensors, sizeof *s->tensors);
    for (size_t i = 0; i < s->count; i++)
        build_slice(s->tensors + i * s->num_tensors, g, s->count);
}

void slices_release(Slices *s)
{
    free(s->tensors);
    *s = (Slices){0};
}

Tensor *slices_tensor(const Slices *s, size_t i, Tensor *t)
{
    return s->count == 1 ? t : &s->tensors[i * s->num_tensors + (size_t)t->index];
}
