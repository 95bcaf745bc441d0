/* linear: y[n,o] = act(sum_k x[n,k] w[o,k] + b[o]) + residual[n,o].
 *
 * With an activation and a backward pass to come, aux keeps z, the value before the activation. The
 * plan may then drop y, and refresh computes it again from z. */
#include <string.h>

#include "autograd/ops.h"
#include "autograd/ops/products.h"
#include "autograd/ops/weights.h"

enum { X, W, B, RESIDUAL };

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
    Gemm g =
        product_forward(t->shape[0], t->shape[1], tensor_channels(x), x->data, w->data, t->data);
    g.packed = weight_packed(w, c);
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
    float *y = t->data;
    const Kernels *k = kernels();
    int threads = exec_threads(c, (double)rows * (double)O);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (size_t i = 0; i < rows; i++)
        k->act_forward(act_of(t), z + i * O, y + i * O, O);
}

/* Turns dy into dz, in place. */
static void through_activation(const Tensor *t, ExecCtx *c)
{
    size_t rows = t->shape[0], O = t->shape[1];
    const float *z = t->aux;
    float *dy = t->grad;
    const Kernels *k = kernels();
    int threads = exec_threads(c, (double)rows * (double)O);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (size_t i = 0; i < rows; i++)
        k->act_backward(act_of(t), z + i * O, dy + i * O, dy + i * O, O);
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

/* db[o] = or += sum_n dz[n,o]; a thread owns a range of outputs. */
static void bias_gradient(const Tensor *t, ExecCtx *c)
{
    size_t rows = t->shape[0], O = t->shape[1];
    const float *dz = t->grad;
    float *db = t->in[B]->grad;
    bool add = exec_adds(c, B);
    const Kernels *k = kernels();
    int threads = exec_threads(c, (double)rows * (double)O);
    const size_t slice = 256;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (size_t from = 0; from < O; from += slice)
        k->sum_rows(dz + from, O, rows, from + slice < O ? slice : O - from, add, db + from);
}

static void backward(const Tensor *t, ExecCtx *c)
{
    const Tensor *x = t->in[X], *w = t->in[W];
    size_t rows = t->shape[0], K = tensor_channels(x), O = t->shape[1];
    if (act_of(t) != ACT_NONE)
        through_activation(t, c);
    if (t->in[RESIDUAL] && t->in[RESIDUAL]->grad)
        residual_gradient(t, c);
    if (t->in[B] && t->in[B]->grad)
        bias_gradient(t, c);
    if (w->grad) {
        Gemm g = product_weight_gradient(rows, O, K, t->grad, x->data, w->grad);
        g.product = c->product;
        g.accumulate = exec_adds(c, W);
        gemm_run(&g, c->threads, c->scratch);
    }
    if (x->grad) {
        Gemm g = product_input_gradient(rows, O, K, t->grad, w->data, x->grad);
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
    return is_backward && act_of(t) != ACT_NONE ? tensor_bytes(t) : 0;
}

static size_t scratch_bytes(const Tensor *t, int threads, bool is_backward)
{
    (void)t, (void)is_backward;
    return gemm_scratch_bytes(threads);
}

const OpDef op_linear_def = {.name = "linear",
                             .forward = forward,
                             .by_sequence = true,
                             .by_row = true,
                             .refresh = refresh,
                             .refreshed_from = SAVE_AUX,
                             .backward = backward,
                             .saved = SAVE_IN(X) | SAVE_IN(W) | SAVE_AUX,
                             .flops = flops,
                             .aux_bytes = aux_bytes,
                             .scratch_bytes = scratch_bytes};
