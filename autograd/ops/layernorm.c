/* layernorm: y = (x - mean) * rstd * w + b over the channels of each row (Ba, Kiros & Hinton 2016).
 *
 * aux keeps mean and rstd of every row: [2, n]. */
#include <string.h>

#include "autograd/ops.h"
#include "autograd/ops/rows.h"

enum { X, W, B };

/* Backward sums dw and db over this many groups of rows, whatever the number of threads: results do
 * not depend on it. */
enum { GROUPS = 16 };

/* Rows in one call of the kernel where nothing is widened or narrowed. */
enum { ROWS_AT_ONCE = 32 };

typedef struct Attr {
    float eps;
} Attr;

Tensor *op_layernorm(Graph *g, Tensor *x, Tensor *w, Tensor *b, float eps)
{
    size_t C = tensor_channels(x);
    CHECK(tensor_count(w) == C && tensor_count(b) == C, "one weight and bias per channel");
    Tensor *t = graph_node(g, &op_layernorm_def, 2, (size_t[]){tensor_rows(x), C}, 3,
                           (Tensor *[]){x, w, b}, sizeof(Attr));
    *(Attr *)t->attr = (Attr){eps};
    return t;
}

static void forward(const Tensor *t, ExecCtx *c)
{
    size_t rows = t->shape[0], C = t->shape[1];
    const float *w = t->in[W]->data, *b = t->in[B]->data;
    float *mean = t->aux, *rstd = mean + rows, eps = ((const Attr *)t->attr)->eps;
    const Kernels *k = kernels();
    int threads = exec_threads(c, (double)rows * (double)C);
    bool in_place = t->dtype == DT_F32 && t->in[X]->dtype == DT_F32;
    size_t step = in_place ? ROWS_AT_ONCE : 1;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (size_t i = 0; i < rows; i += step) {
        float *scratch = thread_scratch(c, 2 * C), *y = row_begin(t, i, scratch + C);
        k->layernorm_forward(row_read(t->in[X], i, scratch), w, b, eps, y, mean + i, rstd + i,
                             rows - i < step ? rows - i : step, C);
        row_done(t, i, y);
    }
}

static void backward(const Tensor *t, ExecCtx *c)
{
    size_t rows = t->shape[0], C = t->shape[1];
    const float *x = t->in[X]->data, *w = t->in[W]->data, *mean = t->aux, *rstd = mean + rows;
    float *dx = t->in[X]->grad, *dw = t->in[W]->grad, *db = t->in[B]->grad;
    float *partial = c->scratch;              /* [GROUPS, 2, C] */
    float *unused = partial + GROUPS * 2 * C; /* [GROUPS, C]: dx where x needs no gradient */
    const Kernels *k = kernels();
    int threads = exec_threads(c, 2.0 * (double)rows * (double)C);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (size_t group = 0; group < GROUPS; group++) {
        size_t from = group * rows / GROUPS, to = (group + 1) * rows / GROUPS;
        float *sums = partial + group * 2 * C;
        memset(sums, 0, 2 * C * sizeof *sums);
        for (size_t i = from; i < to; i++)
            k->layernorm_backward(x + i * C, w, mean + i, rstd + i, t->grad + i * C,
                                  dx ? dx + i * C : unused + group * C, dx && exec_adds(c, X), sums,
                                  sums + C, 1, C);
    }
    if (dw)
        k->sum_rows(partial, 2 * C, GROUPS, C, exec_adds(c, W), dw);
    if (db)
        k->sum_rows(partial + C, 2 * C, GROUPS, C, exec_adds(c, B), db);
}

static size_t aux_bytes(const Tensor *t, bool is_backward)
{
    (void)is_backward;
    return 2 * t->shape[0] * sizeof(float);
}

static size_t scratch_bytes(const Tensor *t, int threads, bool is_backward)
{
    size_t C = t->shape[1];
    return is_backward ? GROUPS * 3 * C * sizeof(float) : thread_scratch_bytes(threads, 2 * C);
}

const OpDef op_layernorm_def = {.name = "layernorm",
                                .forward = forward,
                                .by_sequence = true,
                                .by_row = true,
                                .refresh = forward,
                                .refreshed_from = SAVE_IN(X),
                                .backward = backward,
                                .saved = SAVE_IN(X) | SAVE_AUX,
                                .aux_bytes = aux_bytes,
                                .scratch_bytes = scratch_bytes};
