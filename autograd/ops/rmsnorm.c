/* rmsnorm: y = x * rstd * w over the channels of each row (Zhang & Sennrich 2019).
 *
 * aux keeps rstd of every row: [n]. */
#include <string.h>

#include "autograd/ops.h"
#include "autograd/ops/rows.h"

enum { X, W };

/* Backward sums dw over this many groups of rows, whatever the number of threads: results do not
 * depend on it. */
enum { GROUPS = 16 };

typedef struct Attr {
    float eps;
} Attr;

Tensor *op_rmsnorm(Graph *g, Tensor *x, Tensor *w, float eps)
{
    size_t C = tensor_channels(x);
    CHECK(tensor_count(w) == C, "one weight per channel");
    Tensor *t = graph_node(g, &op_rmsnorm_def, 2, (size_t[]){tensor_rows(x), C}, 2,
                           (Tensor *[]){x, w}, sizeof(Attr));
    *(Attr *)t->attr = (Attr){eps};
    return t;
}

static void forward(const Tensor *t, ExecCtx *c)
{
    size_t rows = t->shape[0], C = t->shape[1];
    const float *w = t->in[W]->data;
    float *rstd = t->aux, eps = ((const Attr *)t->attr)->eps;
    const Kernels *k = kernels();
    int threads = exec_threads(c, (double)rows * (double)C);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (size_t i = 0; i < rows; i++) {
        float *scratch = thread_scratch(c, 2 * C), *y = row_begin(t, i, scratch + C);
        k->rmsnorm_forward(row_read(t->in[X], i, scratch), w, eps, y, rstd + i, 1, C);
        row_done(t, i, y);
    }
}

static void backward(const Tensor *t, ExecCtx *c)
{
    size_t rows = t->shape[0], C = t->shape[1];
    const float *x = t->in[X]->data, *w = t->in[W]->data, *rstd = t->aux;
    float *dx = t->in[X]->grad, *dw = t->in[W]->grad;
    float *partial = c->scratch;          /* [GROUPS, C] */
    float *unused = partial + GROUPS * C; /* [GROUPS, C]: dx where x needs no gradient */
    const Kernels *k = kernels();
    int threads = exec_threads(c, 2.0 * (double)rows * (double)C);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (size_t group = 0; group < GROUPS; group++) {
        size_t from = group * rows / GROUPS, to = (group + 1) * rows / GROUPS;
        memset(partial + group * C, 0, C * sizeof *partial);
        for (size_t i = from; i < to; i++)
            k->rmsnorm_backward(x + i * C, w, rstd + i, t->grad + i * C,
                                dx ? dx + i * C : unused + group * C, dx && exec_adds(c, X),
                                partial + group * C, 1, C);
    }
    if (dw)
        k->sum_rows(partial, C, GROUPS, C, exec_adds(c, W), dw);
}

static size_t aux_bytes(const Tensor *t, bool is_backward)
{
    (void)is_backward;
    return t->shape[0] * sizeof(float);
}

static size_t scratch_bytes(const Tensor *t, int threads, bool is_backward)
{
    size_t C = t->shape[1];
    return is_backward ? GROUPS * 2 * C * sizeof(float) : thread_scratch_bytes(threads, 2 * C);
}

const OpDef op_rmsnorm_def = {.name = "rmsnorm",
                              .forward = forward,
                              .by_sequence = true,
                              .by_row = true,
                              .refresh = forward,
                              .refreshed_from = SAVE_IN(X),
                              .backward = backward,
                              .saved = SAVE_IN(X) | SAVE_AUX,
                              .aux_bytes = aux_bytes,
                              .scratch_bytes = scratch_bytes};
