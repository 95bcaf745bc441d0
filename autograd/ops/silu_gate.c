/* silu_gate: y[n,F] = silu(x[:, :F]) x[:, F:], the gate of SwiGLU (Shazeer 2020).
 *
 * Gate and up projection are one product; its result x is kept for backward, y is made again from
 * it. */
#include "autograd/ops.h"
#include "autograd/ops/rows.h"

enum { X };

Tensor *op_silu_gate(Graph *g, Tensor *x)
{
    size_t rows = tensor_rows(x), F = tensor_channels(x) / 2;
    CHECK(tensor_channels(x) == 2 * F, "%zu channels are no gate and as many values",
          tensor_channels(x));
    return graph_node(g, &op_silu_gate_def, 2, (size_t[]){rows, F}, 1, (Tensor *[]){x}, 0);
}

static void forward(const Tensor *t, ExecCtx *c)
{
    size_t rows = t->shape[0], F = t->shape[1];
    const Kernels *k = kernels();
    int threads = exec_threads(c, 4.0 * (double)rows * (double)F);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (size_t i = 0; i < rows; i++) {
        float *scratch = thread_scratch(c, 3 * F), *y = row_begin(t, i, scratch + 2 * F);
        const float *x = row_read(t->in[X], i, scratch);
        k->silu_gate_forward(x, x + F, y, F);
        row_done(t, i, y);
    }
}

static void backward(const Tensor *t, ExecCtx *c)
{
    size_t rows = t->shape[0], F = t->shape[1];
    const float *x = t->in[X]->data;
    float *dx = t->in[X]->grad;
    bool add = exec_adds(c, X);
    const Kernels *k = kernels();
    int threads = exec_threads(c, 6.0 * (double)rows * (double)F);
    if (!dx)
        return;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (size_t i = 0; i < rows; i++) {
        const float *gate = x + i * 2 * F;
        float *out = dx + i * 2 * F, *row = add ? thread_scratch(c, 3 * F) : out;
        k->silu_gate_backward(gate, gate + F, t->grad + i * F, row, row + F, F);
        if (add)
            k->add(out, row, out, 2 * F);
    }
}

static size_t scratch_bytes(const Tensor *t, int threads, bool is_backward)
{
    (void)is_backward;
    return thread_scratch_bytes(threads, 3 * t->shape[1]);
}

const OpDef op_silu_gate_def = {.name = "silu_gate",
                                .forward = forward,
                                .by_sequence = true,
                                .by_row = true,
                                .refresh = forward,
                                .refreshed_from = SAVE_IN(X),
                                .backward = backward,
                                .saved = SAVE_IN(X),
                                .scratch_bytes = scratch_bytes};
