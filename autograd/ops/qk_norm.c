/* qk_norm: an RMS norm of each head of q and of k; v is copied (Henry et al. 2020; Qwen3).
 *
 * aux keeps rstd of every normed head: [n, count + kv]. */
#include <string.h>

#include "autograd/ops.h"
#include "autograd/ops/rows.h"

enum { X, WQ, WK };

/* As in rmsnorm.c: groups of rows whose sums of dw do not depend on the number of threads. */
enum { GROUPS = 16 };

typedef struct Attr {
    Heads heads;
    float eps;
} Attr;

Tensor *op_qk_norm(Graph *g, Tensor *qkv, Tensor *wq, Tensor *wk, Heads heads, float eps)
{
    size_t rows = tensor_rows(qkv), width = heads_width(heads);
    CHECK(tensor_channels(qkv) == width, "qkv has %zu channels, its heads %zu",
          tensor_channels(qkv), width);
    CHECK(tensor_count(wq) == heads.channels && tensor_count(wk) == heads.channels,
          "one weight per channel of a head");
    Tensor *t = graph_node(g, &op_qk_norm_def, 2, (size_t[]){rows, width}, 3,
                           (Tensor *[]){qkv, wq, wk}, sizeof(Attr));
    *(Attr *)t->attr = (Attr){heads, eps};
    return t;
}

static void forward(const Tensor *t, ExecCtx *c)
{
    const Attr *a = t->attr;
    const Heads h = a->heads;
    size_t rows = t->shape[0], width = t->shape[1], D = h.channels, normed = h.count + h.kv;
    const float *wq = t->in[WQ]->data, *wk = t->in[WK]->data;
    float *rstd = t->aux;
    const Kernels *k = kernels();
    int threads = exec_threads(c, (double)rows * (double)width);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (size_t i = 0; i < rows; i++) {
        float *scratch = thread_scratch(c, 2 * width), *y = row_begin(t, i, scratch + width);
        const float *x = row_read(t->in[X], i, scratch);
        float *kept = rstd + i * normed;
        k->rmsnorm_forward(x, wq, a->eps, y, kept, h.count, D);
        k->rmsnorm_forward(x + h.count * D, wk, a->eps, y + h.count * D, kept + h.count, h.kv, D);
        memcpy(y + normed * D, x + normed * D, h.kv * D * sizeof *y);
        row_done(t, i, y);
    }
}

/* Row i: dx = or +=, dwq and dwk +=. */
static void backward_row(const Tensor *t, const Kernels *k, size_t i, float *dx, bool add,
                         float *dwq, float *dwk)
{
    const Heads h = ((const Attr *)t->attr)->heads;
    size_t width = t->shape[1], D = h.channels, normed = h.count + h.kv, keys = h.count * D;
    const float *x = (const float *)t->in[X]->data + i * width, *dy = t->grad + i * width;
    const float *rstd = (const float *)t->aux + i * normed;
    k->rmsnorm_backward(x, t->in[WQ]->data, rstd, dy, dx, add, dwq, h.count, D);
    k->rmsnorm_backward(x + keys, t->in[WK]->data, rstd + h.count, dy + keys, dx + keys, add, dwk,
                        h.kv, D);
    if (add)
        k->add(dx + normed * D, dy + normed * D, dx + normed * D, h.kv * D);
    else
        memcpy(dx + normed * D, dy + normed * D, h.kv * D * sizeof *dx);
}

static void backward(const Tensor *t, ExecCtx *c)
{
    size_t rows = t->shape[0], width = t->shape[1], D = ((const Attr *)t->attr)->heads.channels;
    float *dx = t->in[X]->grad;
    float *partial = c->scratch;              /* [GROUPS, 2, D] */
    float *unused = partial + GROUPS * 2 * D; /* [GROUPS, width]: dx where x needs no gradient */
    const Kernels *k = kernels();
    int threads = exec_threads(c, 2.0 * (double)rows * (double)width);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (size_t group = 0; group < GROUPS; group++) {
        size_t from = group * rows / GROUPS, to = (group + 1) * rows / GROUPS;
        float *sums = partial + group * 2 * D;
        memset(sums, 0, 2 * D * sizeof *sums);
        for (size_t i = from; i < to; i++)
            backward_row(t, k, i, dx ? dx + i * width : unused + group * width,
                         dx && exec_adds(c, X), sums, sums + D);
    }
    if (t->in[WQ]->grad)
        k->sum_rows(partial, 2 * D, GROUPS, D, exec_adds(c, WQ), t->in[WQ]->grad);
    if (t->in[WK]->grad)
        k->sum_rows(partial + D, 2 * D, GROUPS, D, exec_adds(c, WK), t->in[WK]->grad);
}

static size_t aux_bytes(const Tensor *t, bool is_backward)
{
    const Heads h = ((const Attr *)t->attr)->heads;
    (void)is_backward;
    return t->shape[0] * (h.count + h.kv) * sizeof(float);
}

static size_t scratch_bytes(const Tensor *t, int threads, bool is_backward)
{
    size_t width = t->shape[1], D = ((const Attr *)t->attr)->heads.channels;
    return is_backward ? GROUPS * (2 * D + width) * sizeof(float)
                       : thread_scratch_bytes(threads, 2 * width);
}

const OpDef op_qk_norm_def = {.name = "qk_norm",
                              .forward = forward,
                              .by_sequence = true,
                              .by_row = true,
                              .backward = backward,
                              .saved = SAVE_IN(X) | SAVE_AUX,
                              .aux_bytes = aux_bytes,
                              .scratch_bytes = scratch_bytes};
