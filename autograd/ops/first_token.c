/* first_token: y[b, :] = x[b*T, :], what a sequence classifier reads. */
#include <string.h>

#include "../ops.h"

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
    const float *x = t->in[X]->data;
    float *y = t->data;
    for (size_t b = 0; b < B; b++)
        memcpy(y + b * C, x + b * T * C, C * sizeof *y);
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

const OpDef op_first_token_def = {
    .name = "first_token", .forward = forward, .backward = backward, .flops = flops};
