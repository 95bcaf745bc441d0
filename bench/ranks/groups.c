/* groups: see groups.h. */
#include "bench/ranks/groups.h"

#include <stdlib.h>

/* Counts what the schedule makes a gradient of, once of_param is filled. */
static void count_gradients(Groups *g, const Schedule *s)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->steps[i].kind == STEP_GRAD_READY)
            g->list[g->of_param[s->steps[i].t->index]].gradients++;
}

static Groups groups_new(const Params *p)
{
    return (Groups){.list = xcalloc(p->count, sizeof(Group)),
                    .of_param = xcalloc(p->count, sizeof(size_t))};
}

void groups_release(Groups *g)
{
    free(g->list);
    free(g->of_param);
    free(g->visits);
    *g = (Groups){0};
}

/* Where the next parameter begins; whole cache lines. */
static size_t param_end(const Params *p, size_t k)
{
    return k + 1 < p->count ? p->list[k + 1]->offset : p->block_floats;
}

Groups groups_of_each(const Params *p, const Schedule *s)
{
    Groups g = groups_new(p);
    for (size_t k = 0; k < p->count; k++) {
        size_t from = p->list[k]->offset;
        g.list[k].range = (Range){from, from + tensor_count(&p->list[k]->tensor)};
        g.of_param[k] = k;
    }
    g.count = p->count;
    count_gradients(&g, s);
    return g;
}

Groups groups_of_buckets(const Params *p, const Schedule *s, size_t floats)
{
    Groups g = groups_new(p);
    for (size_t k = p->count; k-- > 0;) {
        Group *last = g.count ? &g.list[g.count - 1] : NULL;
        if (!last || last->range.to - last->range.from >= floats) {
            last = &g.list[g.count++];
            last->range.to = param_end(p, k);
        }
        last->range.from = p->list[k]->offset;
        g.of_param[k] = g.count - 1;
    }
    count_gradients(&g, s);
    return g;
}

/* The recompute block of the first node that reads each parameter. */
static int *first_blocks(const Params *p, const Graph *g)
{
    int *block = xcalloc(p->count, sizeof *block);
    for (size_t k = 0; k < p->count; k++)
        block[k] = -1;
    for (size_t n = g->count; n-- > 0;) {
        const Tensor *t = g->nodes[n];
        for (int i = 0; i < t->num_inputs; i++)
            if (t->in[i] && t->in[i]->life == LIFE_PARAM)
                block[t->in[i]->index] = t->block;
    }
    return block;
}

/* The group that the step reads weights of, or SIZE_MAX. */
static size_t group_of_step(const Groups *g, const Step *s)
{
    size_t group = SIZE_MAX;
    for (int i = 0; i < s->t->num_inputs && s->kind != STEP_GRAD_READY; i++) {
        const Tensor *in = s->t->in[i];
        if (!in || in->life != LIFE_PARAM)
            continue;
        CHECK(group == SIZE_MAX || group == g->of_param[in->index],
              "a step that reads weights of two layers");
        group = g->of_param[in->index];
    }
    return group;
}

static void list_visits(Groups *g, const Schedule *s)
{
    for (size_t i = 0; i < s->count; i++) {
        size_t group = group_of_step(g, &s->steps[i]);
        if (group == SIZE_MAX || (g->num_visits && g->visits[g->num_visits - 1].group == group))
            continue;
        g->visits = xgrow(g->visits, g->num_visits, sizeof *g->visits);
        g->visits[g->num_visits++] = (Visit){i, group};
    }
}

Groups groups_by_layer(const Params *p, const Schedule *s)
{
    Groups g = groups_new(p);
    OWNED int *block = first_blocks(p, s->graph);
    for (size_t k = 0; k < p->count; k++) {
        if (k == 0 || block[k] != block[k - 1])
            g.list[g.count++].range.from = p->list[k]->offset;
        g.list[g.count - 1].range.to = param_end(p, k);
        g.of_param[k] = g.count - 1;
    }
    count_gradients(&g, s);
    list_visits(&g, s);
    return g;
}
