/* linear: y[n,o] = act(sum_k x[n,k] w[o,k] + b[o]) + residual[n,o].
 *
 * With an activation and a backward pass to come, aux keeps z, the value before the activation. The
 * plan may then drop y, and refresh computes it again from z. */
#include <string.h>

#include "autograd/ops.h"
#include "autograd/ops/products.h"
#include "autograd/ops/rows.h"
#include "autograd/ops/weights.h"

enum { X, W, B, RESIDUAL };

/* Backward goes through dy in groups of so many rows, whatever the number of threads, and through
 * so many channels of a row at a time. */
enum { GROUP_ROWS = 32, CHANNELS = 1024 };

typedef struct Attr {
    Act act;
} Attr;

static Act act_of(const Tensor *t)
{
    return ((const Attr *)t->attr)->act;
}

Tensor *op_linear(Graph *g, Tensor *x, Tensor *w, Tensor *b, Act act, Tensor *residual)
{
    size_t rows = tensor_rows(x), O = tensor_rows(w);
    CHECK(tensor_channels(x) == tensor_channels(w), "x has %zu channels, w %zu", tensor_channels(x),
          tensor_channels(w));
    CHECK(!b || tensor_count(b) == O, "one bias per output");
    CHECK(!residual || (tensor_rows(residual) == rows && tensor_channels(residual) == O),
          "the residual has the shape of y");
    CHECK(act == ACT_NONE || !residual, "an activation and a residual in one linear");
    Tensor *t = graph_node(g, &op_linear_def, 2, (size_t[]){rows, O}, 4,
                           (Tensor *[]){x, w, b, residual}, sizeof(Attr));
    *(Attr *)t->attr = (Attr){act};
    w->multiplies = true;
    return t;
}

static void forward(const Tensor *t, ExecCtx *c)
{
    const Tensor *x = t->in[X], *w = t->in[W], *b = t->in[B], *residual = t->in[RESIDUAL];
    CHECK(!residual || residual->dtype == t->dtype, "a residual of another format");
    Gemm g =
        product_forward(t->shape[0], t->shape[1], tensor_channels(x), x->data, w->data, t->data);
    g.packed = weight_packed(w, c);
    if (!g.packed)
        g.packed = weight_pack_once(w, 0, t->shape[1], x, c, c->scratch);
    g.a_type = x->dtype;
    g.c_type = t->dtype;
    g.product = c->product;
    g.epi = (Epilogue){.bias = b ? b->data : NULL,
                       .z = t->aux,
                       .act = act_of(t),
                       .residual = residual ? residual->data : NULL};
    gemm_run(&g, c->threads, c->scratch);
}

/* y = act(z) */
static void refresh(const Tensor *t, ExecCtx *c)
{
    size_t rows = t->shape[0], O = t->shape[1];
    const float *z = t->aux;
    const Kernels *k = kernels();
    int threads = exec_threads(c, (double)rows * (double)O);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0, n; j < O; j += n) {
            float rounded[CHANNELS];
            float *y = t->dtype == DT_F32 ? (float *)row_at(t, i) + j : rounded;
            n = O - j < CHANNELS ? O - j : CHANNELS;
            k->act_forward(act_of(t), z + i * O + j, y, n);
            if (y == rounded)
                k->narrow(t->dtype, y, (uint16_t *)row_at(t, i) + j, n);
        }
}

static void residual_gradient(const Tensor *t, ExecCtx *c)
{
    size_t rows = t->shape[0], O = t->shape[1];
    const float *dy = t->grad;
    float *dr = t->in[RESIDUAL]->grad;
    bool add = exec_adds(c, RESIDUAL);
    const Kernels *k = kernels();
    int threads = exec_threads(c, (double)rows * (double)O);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (size_t i = 0; i < rows; i++) {
        if (add)
            k->add(dr + i * O, dy + i * O, dr + i * O, O);
        else
            memcpy(dr + i * O, dy + i * O, O * sizeof *dr);
    }
}

static size_t num_groups(size_t rows)
{
    return (rows + GROUP_ROWS - 1) / GROUP_ROWS;
}

/* Rows [from, to) of dy, in place: through the activation, added to `sums` [O] unless that is NULL,
 * and rounded where the products round. */
static void finish_rows(const Tensor *t, size_t from, size_t to, float *sums, bool rounds)
{
    size_t O = t->shape[1];
    const Act act = act_of(t);
    const Kernels *k = kernels();
    for (size_t i = from; i < to; i++) {
        float *row = t->grad + i * O;
        for (size_t j = 0, n; j < O; j += n) {
            n = O - j < CHANNELS ? O - j : CHANNELS;
            if (act != ACT_NONE)
                k->act_backward(act, (const float *)t->aux + i * O + j, row + j, row + j, n);
            if (sums && i == from)
                memcpy(sums + j, row + j, n * sizeof *sums);
            else if (sums)
                k->add(sums + j, row + j, sums + j, n);
            if (rounds)
                round_row_part(row, j, n);
        }
    }
}

/* Turns dy into dz = dy act'(z), in place, adds dz to db, and rounds it as the products want it:
 * once through memory for all three. */
static RowGradients finish_gradient(const Tensor *t, ExecCtx *c)
{
    size_t rows = t->shape[0], O = t->shape[1], groups = num_groups(rows);
    float *db = t->in[B] ? t->in[B]->grad : NULL, *partial = c->scratch; /* [groups, O] */
    const bool rounds = product_takes_bf16(c->product), changes = act_of(t) != ACT_NONE || rounds;
    if (!db && !changes)
        return row_gradients(t->grad, O, c->product);
    int threads = exec_threads(c, (double)rows * (double)O);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (size_t group = 0; group < groups; group++) {
        size_t from = group * GROUP_ROWS, to = from + GROUP_ROWS < rows ? from + GROUP_ROWS : rows;
        finish_rows(t, from, to, db ? partial + group * O : NULL, rounds);
    }
    threads = exec_threads(c, (double)groups * (double)O);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (size_t j = 0; j < (db ? O : 0); j += CHANNELS)
        kernels()->sum_rows(partial + j, O, groups, O - j < CHANNELS ? O - j : CHANNELS,
                            exec_adds(c, B), db + j);
    return row_gradients(t->grad, O, c->product);
}

static void backward(const Tensor *t, ExecCtx *c)
{
    const Tensor *x = t->in[X], *w = t->in[W];
    size_t rows = t->shape[0], K = tensor_channels(x), O = t->shape[1];
    if (t->in[RESIDUAL] && t->in[RESIDUAL]->grad)
        residual_gradient(t, c);
    const RowGradients dz = finish_gradient(t, c);
    if (w->grad) {
        Gemm g = product_weight_gradient(rows, O, K, dz, x->data, x->dtype, w->grad);
        g.product = c->product;
        g.accumulate = exec_adds(c, W);
        gemm_run(&g, c->threads, c->scratch);
    }
    if (x->grad) {
        Gemm g = product_input_gradient(rows, O, K, dz, w->data, x->grad);
        g.product = c->product;
        g.accumulate = exec_adds(c, X);
        gemm_run(&g, c->threads, c->scratch);
    }
}

static double flops(const Tensor *t, bool is_backward)
{
    double product = 2.0 * (double)tensor_count(t) * (double)tensor_channels(t->in[X]);
    if (!is_backward)
        return product;
    return product * (t->in[W]->needs_grad + t->in[X]->needs_grad);
}

static size_t aux_bytes(const Tensor *t, bool is_backward)
{
    return is_backward && act_of(t) != ACT_NONE ? tensor_count(t) * sizeof(float) : 0;
}

static size_t scratch_bytes(const Tensor *t, int threads, bool is_backward)
{
    size_t O = t->shape[1], products = gemm_scratch_bytes(threads);
    if (!is_backward)
        return products + weight_pack_bytes(t->in[W], O, t->in[X]);
    size_t sums = t->in[B] ? num_groups(t->shape[0]) * O * sizeof(float) : 0;
    return sums > products ? sums : products;
}

const OpDef op_linear_def = {.name = "linear",
                             .forward = forward,
                             .by_sequence = true,
                             .by_row = true,
                             .operands = SAVE_IN(X),
                             .same_format = SAVE_IN(RESIDUAL),
                             .refresh = refresh,
                             .refreshed_from = SAVE_AUX,
                             .backward = backward,
                             .saved = SAVE_IN(X) | SAVE_IN(W) | SAVE_AUX,
                             .flops = flops,
                             .aux_bytes = aux_bytes,
                             .scratch_bytes = scratch_bytes};
