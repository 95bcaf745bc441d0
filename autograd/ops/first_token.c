/* first_token: y[b, :] = x[b*T, :], what a sequence classifier reads. */
#include <string.h>

#include "../ops.h"
#include "rows.h"

enum { X };

Tensor *op_first_token(Graph *g, Tensor *x, size_t batch)
{
    CHECK(tensor_rows(x) % batch == 0, "%zu rows in a batch of %zu", tensor_rows(x), batch);
    return graph_node(g, &op_first_token_def, 2, (size_t[]){batch, tensor_channels(x)}, 1, &x, 0);
}

static void forward(const Tensor *t, ExecCtx *c)
{
    (void)c;
    size_t B = t->shape[0], C = t->shape[1], T = tensor_rows(t->in[X]) / B;
    CHECK(t->dtype == t->in[X]->dtype, "a copy changes no format");
    for (size_t b = 0; b < B; b++)
        memcpy(row_at(t, b), row_at(t->in[X], b * T), C * dtype_size(t->dtype));
}

static void backward(const Tensor *t, ExecCtx *c)
{
    size_t B = t->shape[0], C = t->shape[1], T = tensor_rows(t->in[X]) / B;
    float *dx = t->in[X]->grad;
    if (!dx)
        return;
    if (!exec_adds(c, X))
        memset(dx, 0, tensor_bytes(t->in[X]));
    for (size_t b = 0; b < B; b++)
        kernels()->add(dx + b * T * C, t->grad + b * C, dx + b * T * C, C);
}

static double flops(const Tensor *t, bool is_backward)
{
    (void)t, (void)is_backward;
    return 0;
}

const OpDef op_first_token_def = {.name = "first_token",
                                  .forward = forward,
                                  .by_sequence = true,
                                  .backward = backward,
                                  .flops = flops};
