/* linear_cross_entropy: the loss of logits = x w^T, in chunks of the vocabulary.
 *
 * One chunk of logits [n, w] fits into the caches. Forward computes it and folds it into each row's
 * running log-sum-exp; backward turns it into its gradient and uses that for dx and dw before it
 * touches the next chunk. Between the passes aux keeps the chunks, since computing them again costs
 * a third of the head's work. A lean node keeps the log-sum-exp only.
 *
 * aux: lse [n], then (unless lean or forward only) the logits, chunk after chunk. */
#include "autograd/ops/cross_entropy.h"

#include <math.h>

#include "autograd/ops.h"
#include "autograd/ops/products.h"
#include "autograd/ops/weights.h"

enum { X, W, TARGETS };

typedef struct Head {
    size_t n, C, V, width; /* width of a chunk; the last one may be narrower */
    const Tensor *x, *weight;
    const float *w; /* NULL where the weight is only packed */
    const PackedB *packed;
    const int32_t *target;
    float *lse, *kept;                 /* kept: the logits in aux, or NULL */
    float *max, *sum, *picked, *chunk; /* in scratch: three rows of [n], one chunk */
    void *gemm_scratch;
} Head;

/* A chunk of some 4 MiB, in whole tiles. */
static size_t chunk_width(size_t n, size_t V)
{
    const size_t whole = GEMM_COLUMNS;
    size_t width = (1u << 20) / n / whole * whole;
    width = width < 4 * whole ? 4 * whole : width;
    return width < V ? width : V;
}

static bool keeps_logits(const Tensor *t, bool is_backward)
{
    return is_backward && !t->lean;
}

Tensor *op_linear_cross_entropy(Graph *g, Tensor *x, Tensor *w, Tensor *targets)
{
    CHECK(tensor_channels(x) == tensor_channels(w), "x and w have different channels");
    CHECK(targets->dtype == DT_I32 && tensor_count(targets) == tensor_rows(x),
          "one target per row of x");
    w->multiplies = true;
    return graph_node(g, &op_linear_cross_entropy_def, 1, (size_t[]){1}, 3,
                      (Tensor *[]){x, w, targets}, 0);
}

/* Pieces of aux and scratch are padded to whole cache lines. */
static size_t padded_floats(size_t n)
{
    return (n + 15) / 16 * 16;
}

static Head describe(const Tensor *t, ExecCtx *c, bool kept)
{
    size_t n = tensor_rows(t->in[X]), V = tensor_rows(t->in[W]), pad = padded_floats(n);
    Head h = {.n = n, .C = tensor_channels(t->in[X]), .V = V, .width = chunk_width(n, V)};
    h.x = t->in[X];
    h.weight = t->in[W];
    h.w = t->in[W]->data;
    h.packed = weight_packed(t->in[W], c);
    h.target = t->in[TARGETS]->data;
    h.lse = t->aux;
    h.kept = kept ? h.lse + pad : NULL;
    h.max = c->scratch;
    h.sum = h.max + pad;
    h.picked = h.sum + pad;
    h.chunk = h.picked + pad;
    h.gemm_scratch = h.chunk + padded_floats(n * h.width);
    return h;
}

static float *chunk_at(const Head *h, size_t from)
{
    return h->kept ? h->kept + h->n * from : h->chunk;
}

/* logits[n, w] = x w[from..from+w, :]^T */
static void make_logits(const Head *h, size_t from, size_t w, float *logits, ExecCtx *c)
{
    const float *rows = h->w ? h->w + from * h->C : NULL;
    Gemm g = product_forward(h->n, w, h->C, h->x->data, rows, logits);
    g.a_type = h->x->dtype;
    g.packed = h->packed;
    g.packed_from = h->packed ? from : 0;
    if (!g.packed)
        g.packed = weight_pack_once(h->weight, from, w, h->x, c, h->gemm_scratch);
    g.product = c->product;
    gemm_run(&g, c->threads, h->gemm_scratch);
}

static void fold_chunk(const Head *h, size_t from, size_t w, const float *logits, ExecCtx *c)
{
    const Kernels *k = kernels();
    int threads = exec_threads(c, (double)h->n * (double)w);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (size_t i = 0; i < h->n; i++) {
        k->logsumexp_update(logits + i * w, w, &h->max[i], &h->sum[i]);
        if (h->target[i] >= 0 && (size_t)h->target[i] >= from && (size_t)h->target[i] < from + w)
            h->picked[i] = logits[i * w + (size_t)h->target[i] - from];
    }
}

static size_t width_at(const Head *h, size_t from)
{
    return from + h->width < h->V ? h->width : h->V - from;
}

/* Keeps logits as aux_bytes was told; a graph without a backward pass keeps none. */
static void forward(const Tensor *t, ExecCtx *c)
{
    Head h = describe(t, c, keeps_logits(t, c->with_backward));
    for (size_t i = 0; i < h.n; i++) {
        h.max[i] = -INFINITY;
        h.sum[i] = 0;
        h.picked[i] = 0;
    }
    for (size_t from = 0; from < h.V; from += h.width) {
        size_t w = width_at(&h, from);
        make_logits(&h, from, w, chunk_at(&h, from), c);
        fold_chunk(&h, from, w, chunk_at(&h, from), c);
    }
    for (size_t i = 0; i < h.n; i++)
        h.lse[i] = h.max[i] + logf(h.sum[i]);
    *(float *)t->data = mean_loss(h.lse, h.picked, h.target, h.n);
}

static RowGradients chunk_gradient(const Head *h, size_t from, size_t w, float *logits, float scale,
                                   ExecCtx *c)
{
    int threads = exec_threads(c, (double)h->n * (double)w);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (size_t i = 0; i < h->n; i++) {
        loss_gradient_row(logits + i * w, w, from, h->target[i], h->lse[i], scale);
        if (product_takes_bf16(c->product))
            round_row_part(logits + i * w, 0, w);
    }
    return row_gradients(logits, w, c->product);
}

static void backward(const Tensor *t, ExecCtx *c)
{
    Head h = describe(t, c, keeps_logits(t, true));
    float *dx = t->in[X]->grad, *dw = t->in[W]->grad;
    float scale = t->grad[0] / (float)targets_counted(h.target, h.n);
    for (size_t from = 0; from < h.V; from += h.width) {
        size_t w = width_at(&h, from);
        float *chunk = chunk_at(&h, from);
        if (!h.kept)
            make_logits(&h, from, w, chunk, c);
        const RowGradients dlogits = chunk_gradient(&h, from, w, chunk, scale, c);
        if (dx) {
            Gemm g = product_input_gradient(h.n, w, h.C, dlogits, h.w + from * h.C, dx);
            g.product = c->product;
            g.accumulate = from > 0 || exec_adds(c, X);
            gemm_run(&g, c->threads, h.gemm_scratch);
        }
        if (dw) {
            Gemm g = product_weight_gradient(h.n, w, h.C, dlogits, h.x->data, h.x->dtype,
                                             dw + from * h.C);
            g.product = c->product;
            g.accumulate = exec_adds(c, W);
            gemm_run(&g, c->threads, h.gemm_scratch);
        }
    }
}

static double lean_flops(const Tensor *t)
{
    return 2.0 * (double)tensor_count(t->in[W]) * (double)tensor_rows(t->in[X]);
}

static double flops(const Tensor *t, bool is_backward)
{
    return lean_flops(t) * (is_backward ? 2 : 1);
}

static size_t aux_bytes(const Tensor *t, bool is_backward)
{
    size_t n = tensor_rows(t->in[X]), V = tensor_rows(t->in[W]);
    size_t logits = keeps_logits(t, is_backward) ? n * V : 0;
    return (padded_floats(n) + logits) * sizeof(float);
}

static size_t scratch_bytes(const Tensor *t, int threads, bool is_backward)
{
    (void)is_backward;
    size_t n = tensor_rows(t->in[X]), V = tensor_rows(t->in[W]);
    size_t width = chunk_width(n, V), floats = 3 * padded_floats(n) + padded_floats(n * width);
    return floats * sizeof(float) + gemm_scratch_bytes(threads) +
           weight_pack_bytes(t->in[W], width, t->in[X]);
}

const OpDef op_linear_cross_entropy_def = {.name = "linear_cross_entropy",
                                           .forward = forward,
                                           .backward = backward,
                                           .saved = SAVE_IN(X) | SAVE_IN(W) | SAVE_IN(TARGETS) |
                                                    SAVE_AUX,
                                           .flops = flops,
                                           .operands = SAVE_IN(X),
                                           .stays_f32 = true,
                                           .lean_flops = lean_flops,
                                           .aux_bytes = aux_bytes,
                                           .scratch_bytes = scratch_bytes};
