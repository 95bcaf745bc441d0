/* silu_gate: its naive forward in double and its cases; see op_cases.h. */
#include "tests/support/op_cases.h"

#include <math.h>

enum { X };

static void silu_gate_leaves(OpSetup *s)
{
    leaf_matrix(s, X, s->at->dim[0], 2 * s->at->dim[1]);
}

/* Gates of 0 let nothing through; half of the gradient reaches them. */
static void silu_gate_exact(OpSetup *s)
{
    size_t F = s->at->dim[1];
    for (size_t k = 0; k < s->leaf[X].count; k++)
        if (k % (2 * F) < F)
            s->leaf[X].x[k] = 0;
}

static Tensor *silu_gate_record(const OpSetup *s, Graph *g, Tensor *const *in)
{
    (void)s;
    return op_silu_gate(g, in[X]);
}

static void silu_gate_forward(const OpSetup *s, double *const *x, double *y)
{
    const size_t rows = s->at->dim[0], F = s->at->dim[1];
    for (size_t i = 0; i < rows; i++)
        for (size_t f = 0; f < F; f++) {
            double z = x[X][i * 2 * F + f];
            y[i * F + f] = z / (1 + exp(-z)) * x[X][i * 2 * F + F + f];
        }
}

static const OpCase silu_gate_cases[] = {
    {{1, 1}, CASE_EXACT},
    {{5, 17}, 0},
    {{3, 64}, CASE_EXACT},
    {{70, 401}, 0},
};

const OpSpec op_silu_gate_spec = {
    .def = &op_silu_gate_def,
    .letters = "rows F",
    .leaves = silu_gate_leaves,
    .exact = silu_gate_exact,
    .record = silu_gate_record,
    .forward = silu_gate_forward,
    .value_error = 1.4e-7,
    .gradient_error = 1.2e-7,
    .cases = silu_gate_cases,
    .num_cases = COUNT_OF(silu_gate_cases),
};
