/* end_token: y[b, :] = the first or the last row of sequence b of x. */
#include <string.h>

#include "autograd/ops/rows.h"
#include "autograd/ops/sequences.h"

enum { X, STARTS };

typedef struct Attr {
    bool last;
} Attr;

Tensor *op_end_token(Graph *g, Tensor *x, Sequences s, bool last)
{
    sequences_check(s, tensor_rows(x));
    Tensor *t = graph_node(g, &op_end_token_def, 2, (size_t[]){s.batch, tensor_channels(x)}, 2,
                           (Tensor *[]){x, s.starts}, sizeof(Attr));
    *(Attr *)t->attr = (Attr){last};
    return t;
}

static Range rows_of(const Tensor *t, size_t b)
{
    return sequence_rows(starts_data(t->in[STARTS]), tensor_rows(t->in[X]) / t->shape[0], b);
}

/* The row of these that y is. */
static size_t end_of(const Tensor *t, Range rows)
{
    return ((const Attr *)t->attr)->last ? rows.to - 1 : rows.from;
}

static void forward(const Tensor *t, ExecCtx *c)
{
    (void)c;
    size_t row_bytes = t->shape[1] * dtype_size(t->dtype);
    CHECK(t->dtype == t->in[X]->dtype, "a copy changes no format");
    for (size_t b = 0; b < t->shape[0]; b++) {
        Range rows = rows_of(t, b);
        if (rows.from < rows.to)
            memcpy(row_at(t, b), row_at(t->in[X], end_of(t, rows)), row_bytes);
        else
            memset(row_at(t, b), 0, row_bytes);
    }
}

static void backward(const Tensor *t, ExecCtx *c)
{
    size_t C = t->shape[1];
    float *dx = t->in[X]->grad;
    if (!dx)
        return;
    if (!exec_adds(c, X))
        memset(dx, 0, tensor_count(t->in[X]) * sizeof *dx);
    for (size_t b = 0; b < t->shape[0]; b++) {
        Range rows = rows_of(t, b);
        if (rows.from == rows.to)
            continue;
        float *end = dx + end_of(t, rows) * C;
        kernels()->add(end, t->grad + b * C, end, C);
    }
}

const OpDef op_end_token_def = {.name = "end_token",
                                .forward = forward,
                                .by_sequence = true,
                                .same_format = SAVE_IN(X),
                                .backward = backward,
                                .saved = SAVE_IN(STARTS)};
