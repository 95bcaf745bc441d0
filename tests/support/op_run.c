/* op_run: see op_run.h. */
#include "tests/support/op_run.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- the root: sum over all inputs y of sum_i r_i y_i ---- */

typedef struct WeightedSum {
    const float *r;
    float *seen, *seen_again; /* in[0] as forward and as backward find it */
} WeightedSum;

static void weighted_sum_forward(const Tensor *t, ExecCtx *c)
{
    (void)c;
    const WeightedSum *w = t->attr;
    double sum = 0;
    for (int k = 0; k < t->num_inputs; k++) {
        const float *y = t->in[k]->data;
        for (size_t i = 0; i < tensor_count(t->in[k]); i++)
            sum += (double)w->r[i] * (double)y[i];
    }
    *(float *)t->data = (float)sum;
    memcpy(w->seen, t->in[0]->data, tensor_bytes(t->in[0]));
}

static void weighted_sum_backward(const Tensor *t, ExecCtx *c)
{
    (void)c;
    const WeightedSum *w = t->attr;
    for (int k = 0; k < t->num_inputs; k++)
        for (size_t i = 0; i < tensor_count(t->in[k]); i++)
            t->in[k]->grad[i] = t->grad[0] * w->r[i];
    memcpy(w->seen_again, t->in[0]->data, tensor_bytes(t->in[0]));
}

static double no_flops(const Tensor *t, bool backward)
{
    (void)t, (void)backward;
    return 0;
}

static const OpDef weighted_sum_def = {
    .name = "weighted_sum",
    .forward = weighted_sum_forward,
    .backward = weighted_sum_backward,
    .saved = SAVE_IN(0),
    .flops = no_flops,
};

/* ---- running an op in the engine ---- */

void outcome_release(Outcome *o)
{
    free(o->y);
    free(o->y_again);
    for (int i = 0; i < MAX_INPUTS; i++)
        free(o->grad[i]);
}

float *op_weights(const OpSetup *s, size_t n)
{
    float *r = xmalloc(n * sizeof *r);
    for (size_t i = 0; i < n; i++) {
        double u = rng_uniform(77, 0, i);
        r[i] = s->exact ? (float)(floor(u * 5) - 2) : (float)(2 * u - 1);
    }
    return r;
}

static float *to_floats(const Leaf *leaf)
{
    float *x = xmalloc(leaf->count * sizeof *x);
    for (size_t i = 0; i < leaf->count; i++)
        x[i] = (float)leaf->x[i];
    return x;
}

/* A parameter of the test's own; its gradient begins as NaN, which a first contribution
 * overwrites. */
static Tensor parameter(const Leaf *leaf, int index, bool wants_grad)
{
    Tensor t = {.name = "leaf",
                .index = index,
                .block = -1,
                .life = LIFE_PARAM,
                .dtype = DT_F32,
                .ndim = leaf->ndim,
                .needs_grad = wants_grad,
                .data = to_floats(leaf)};
    memcpy(t.shape, leaf->shape, sizeof t.shape);
    if (wants_grad) {
        t.grad = xmalloc(leaf->count * sizeof *t.grad);
        memset(t.grad, 0xff, leaf->count * sizeof *t.grad);
    }
    return t;
}

static void write_inputs(const OpSetup *s, Exec *e, const Plan *p, Tensor *const *in)
{
    for (int i = 0; i < MAX_INPUTS; i++) {
        if (!s->leaf[i].integer)
            continue;
        int32_t *ids = xmalloc(s->leaf[i].count * sizeof *ids);
        for (size_t k = 0; k < s->leaf[i].count; k++)
            ids[k] = (int32_t)s->leaf[i].x[k];
        exec_write(e, p, in[i], ids);
        free(ids);
    }
}

static void run_graph(const OpSetup *s, const Graph *g, Tensor *root, Tensor *const *in,
                      const RunOptions *o)
{
    Schedule schedule;
    Plan plan;
    Exec e;
    Err err;
    schedule_build(&schedule, g, root, o->recompute);
    plan_build(&plan, &schedule, o->threads);
    cr_assert(exec_init(&e, plan.arena_bytes, plan.scratch_bytes, o->threads, &err) == 0, "%s",
              err.msg);
    e.poison = true;
    write_inputs(s, &e, &plan, in);
    exec_run(&e, &plan, PHASE_FORWARD);
    exec_run(&e, &plan, PHASE_BACKWARD);
    exec_release(&e);
    plan_release(&plan);
    schedule_release(&schedule);
}

Outcome op_run(const OpSetup *s, const RunOptions *o)
{
    Graph g;
    graph_init(&g);
    Tensor params[MAX_INPUTS], *in[MAX_INPUTS] = {NULL};
    for (int i = 0; i < MAX_INPUTS; i++) {
        const Leaf *leaf = &s->leaf[i];
        if (!leaf->present)
            continue;
        params[i] = parameter(leaf, i, !leaf->integer && i != o->frozen);
        in[i] =
            leaf->integer ? graph_input(&g, "ids", DT_I32, leaf->ndim, leaf->shape) : &params[i];
    }
    graph_block_begin(&g); /* all but the root may be run again */
    Tensor *y[2];
    for (int k = 0; k < o->copies; k++)
        y[k] = s->spec->record(s, &g, in);
    size_t one = 1;
    Tensor *root = graph_node(&g, &weighted_sum_def, 1, &one, o->copies, y, sizeof(WeightedSum));
    graph_block_end(&g);

    size_t n = tensor_count(y[0]);
    float *r = op_weights(s, n);
    Outcome out = {n, xmalloc(n * sizeof *r), xmalloc(n * sizeof *r), {NULL}};
    *(WeightedSum *)root->attr = (WeightedSum){r, out.y, out.y_again};
    run_graph(s, &g, root, in, o);
    free(r);
    for (int i = 0; i < MAX_INPUTS; i++)
        if (s->leaf[i].present) {
            free(params[i].data);
            out.grad[i] = params[i].grad;
        }
    graph_release(&g);
    return out;
}
