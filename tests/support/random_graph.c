/* random_graph: see random_graph.h.
 *
 * All values are rows of `width` channels. The arithmetic is chosen so that a wrong or stale
 * operand shows in the result: every backward multiplies with what it reads. */
#include "tests/support/random_graph.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The value of in[k] at element i; inputs with fewer rows are repeated. */
static float at(const Tensor *in, size_t i)
{
    return ((const float *)in->data)[i % tensor_count(in)];
}

static void add_gradient(const Tensor *t, const ExecCtx *c, int k, const float *slope_times_dy)
{
    Tensor *in = t->in[k];
    if (!in || !in->grad)
        return;
    if (!exec_adds(c, k))
        memset(in->grad, 0, tensor_bytes(in));
    for (size_t i = 0; i < tensor_count(t); i++)
        in->grad[i % tensor_count(in)] += slope_times_dy[i];
}

static double no_flops(const Tensor *t, bool backward)
{
    (void)t, (void)backward;
    return 1;
}

static size_t scratch_of_y(const Tensor *t, int threads, bool backward)
{
    (void)threads, (void)backward;
    return tensor_bytes(t);
}

/* ---- blend: y = mean over inputs of x - x^3/8; backward reads the inputs ---- */

static void blend_forward(const Tensor *t, ExecCtx *c)
{
    (void)c;
    float *y = t->data;
    for (size_t i = 0; i < tensor_count(t); i++) {
        y[i] = 0;
        for (int k = 0; k < t->num_inputs; k++) {
            float x = at(t->in[k], i);
            y[i] += (x - x * x * x / 8) / (float)t->num_inputs;
        }
    }
}

static void blend_backward(const Tensor *t, ExecCtx *c)
{
    float *dx = c->scratch;
    for (int k = 0; k < t->num_inputs; k++) {
        for (size_t i = 0; i < tensor_count(t); i++) {
            float x = at(t->in[k], i);
            dx[i] = t->grad[i] * (1 - 3 * x * x / 8) / (float)t->num_inputs;
        }
        add_gradient(t, c, k, dx);
    }
}

static const OpDef blend_def = {.name = "blend",
                                .forward = blend_forward,
                                .backward = blend_backward,
                                .saved = SAVE_IN(0) | SAVE_IN(1) | SAVE_IN(2),
                                .flops = no_flops,
                                .scratch_bytes = scratch_of_y};

/* ---- squash: y = tanh(x); backward reads y alone ---- */

static void squash_forward(const Tensor *t, ExecCtx *c)
{
    (void)c;
    for (size_t i = 0; i < tensor_count(t); i++)
        ((float *)t->data)[i] = tanhf(at(t->in[0], i));
}

static void squash_backward(const Tensor *t, ExecCtx *c)
{
    float *dx = c->scratch;
    for (size_t i = 0; i < tensor_count(t); i++) {
        float y = ((const float *)t->data)[i];
        dx[i] = t->grad[i] * (1 - y * y);
    }
    add_gradient(t, c, 0, dx);
}

static const OpDef squash_def = {.name = "squash",
                                 .forward = squash_forward,
                                 .backward = squash_backward,
                                 .saved = SAVE_OUT,
                                 .flops = no_flops,
                                 .scratch_bytes = scratch_of_y};

/* ---- gate: y = w x / (1 + x^2), aux keeps 1 / (1 + x^2); y can be made again from x, w and aux
 * ---- */

static void gate_refresh(const Tensor *t, ExecCtx *c)
{
    (void)c;
    const float *aux = t->aux;
    for (size_t i = 0; i < tensor_count(t); i++)
        ((float *)t->data)[i] = at(t->in[1], i) * at(t->in[0], i) * aux[i];
}

static void gate_forward(const Tensor *t, ExecCtx *c)
{
    float *aux = t->aux;
    for (size_t i = 0; i < tensor_count(t); i++)
        aux[i] = 1 / (1 + at(t->in[0], i) * at(t->in[0], i));
    gate_refresh(t, c);
}

static void gate_backward(const Tensor *t, ExecCtx *c)
{
    float *d = c->scratch;
    const float *aux = t->aux;
    for (size_t i = 0; i < tensor_count(t); i++) {
        float x = at(t->in[0], i), slope = aux[i] - 2 * x * x * aux[i] * aux[i];
        d[i] = t->grad[i] * at(t->in[1], i) * slope;
    }
    add_gradient(t, c, 0, d);
    for (size_t i = 0; i < tensor_count(t); i++)
        d[i] = t->grad[i] * at(t->in[0], i) * aux[i];
    add_gradient(t, c, 1, d);
}

static size_t gate_aux(const Tensor *t, bool backward)
{
    (void)backward;
    return tensor_bytes(t);
}

static const OpDef gate_def = {.name = "gate",
                               .forward = gate_forward,
                               .refresh = gate_refresh,
                               .refreshed_from = SAVE_IN(0) | SAVE_IN(1) | SAVE_AUX,
                               .backward = gate_backward,
                               .saved = SAVE_IN(0) | SAVE_IN(1) | SAVE_AUX,
                               .flops = no_flops,
                               .aux_bytes = gate_aux,
                               .scratch_bytes = scratch_of_y};

/* ---- the scalar: sum of all elements of all inputs ---- */

static void sum_forward(const Tensor *t, ExecCtx *c)
{
    (void)c;
    double sum = 0;
    for (int k = 0; k < t->num_inputs; k++)
        for (size_t i = 0; i < tensor_count(t->in[k]); i++)
            sum += (double)at(t->in[k], i);
    *(float *)t->data = (float)sum;
}

static void sum_backward(const Tensor *t, ExecCtx *c)
{
    for (int k = 0; k < t->num_inputs; k++)
        for (size_t i = 0; t->in[k]->grad && i < tensor_count(t->in[k]); i++)
            t->in[k]->grad[i] = (exec_adds(c, k) ? t->in[k]->grad[i] : 0) + t->grad[0];
}

static const OpDef sum_def = {
    .name = "sum", .forward = sum_forward, .backward = sum_backward, .flops = no_flops};

/* ---- recording ---- */

typedef struct Dice {
    uint64_t seed, thrown;
} Dice;

static size_t throw_dice(Dice *d, size_t sides)
{
    return (size_t)(rng_u64(d->seed, 1, d->thrown++) % sides);
}

static void param_init(RandomGraph *r, int i, bool values)
{
    r->param[i] = (Tensor){.name = "w",
                           .index = i,
                           .block = -1,
                           .life = LIFE_PARAM,
                           .dtype = DT_F32,
                           .ndim = 2,
                           .shape = {1, r->width},
                           .needs_grad = true};
    if (!values)
        return;
    float *w = r->param[i].data = xmalloc(r->width * sizeof *w);
    r->param[i].grad = xcalloc(r->width, sizeof *w);
    for (size_t k = 0; k < r->width; k++)
        w[k] = (float)(2 * rng_uniform(5, (uint64_t)i, k) - 1);
}

/* A parameter or any node so far, more often a late one. The same may be picked twice for one
 * node. */
static Tensor *pick(RandomGraph *r, Dice *d)
{
    size_t n = r->graph.count, kind = throw_dice(d, 6);
    if (kind == 0)
        return &r->param[throw_dice(d, RANDOM_PARAMS)];
    return r->graph.nodes[kind < 4 && n > 4 ? n - 1 - throw_dice(d, 4) : throw_dice(d, n)];
}

static void record_node(RandomGraph *r, Dice *d)
{
    size_t shape[] = {1 + throw_dice(d, 1 + throw_dice(d, 40)), r->width};
    Tensor *in[] = {pick(r, d), pick(r, d), pick(r, d)}, *t = NULL;
    switch (throw_dice(d, 3)) {
    case 0:
        t = graph_node(&r->graph, &blend_def, 2, shape, 1 + (int)throw_dice(d, 3), in, 0);
        break;
    case 1:
        t = graph_node(&r->graph, &squash_def, 2, shape, 1, in, 0);
        break;
    default:
        in[1] = &r->param[throw_dice(d, RANDOM_PARAMS)];
        t = graph_node(&r->graph, &gate_def, 2, shape, 2, in, 0);
    }
    if (throw_dice(d, 12) == 0)
        tensor_keep(t);
}

void random_graph_init(RandomGraph *r, uint64_t seed, bool values)
{
    Dice d = {seed, 0};
    *r = (RandomGraph){.width = 1 + throw_dice(&d, 50)};
    graph_init(&r->graph);
    for (int i = 0; i < RANDOM_PARAMS; i++)
        param_init(r, i, values);
    r->input = graph_input(&r->graph, "input", DT_F32, 2, (size_t[]){3, r->width});
    size_t runs = 1 + throw_dice(&d, 8);
    for (size_t i = 0; i < runs; i++) {
        bool block = throw_dice(&d, 3) > 0;
        if (block)
            graph_block_begin(&r->graph);
        for (size_t n = 1 + throw_dice(&d, 8); n > 0; n--)
            record_node(r, &d);
        if (block)
            graph_block_end(&r->graph);
    }
    Tensor *last[] = {r->graph.nodes[r->graph.count - 1], &r->param[0]};
    size_t one = 1;
    r->root = graph_node(&r->graph, &sum_def, 1, &one, 2, last, 0);
    tensor_keep(r->root);
}

void random_graph_release(RandomGraph *r)
{
    for (int i = 0; i < RANDOM_PARAMS; i++) {
        free(r->param[i].data);
        free(r->param[i].grad);
    }
    graph_release(&r->graph);
}
