/* dropout: its naive forward in double and its cases; see op_cases.h. */
#include "tests/support/op_cases.h"

enum { DROPOUT_RESIDUAL = CASE_FIRST_FLAG };

static void dropout_leaves(OpSetup *s)
{
    leaf_matrix(s, 0, s->at->dim[0], s->at->dim[1]);
    if (s->at->flags & DROPOUT_RESIDUAL)
        leaf_matrix(s, 1, s->at->dim[0], s->at->dim[1]);
}

static Tensor *dropout_record(const OpSetup *s, Graph *g, Tensor *const *in)
{
    (void)s;
    return op_dropout(g, in[0], 0.25f, in[1], false);
}

static void dropout_forward(const OpSetup *s, double *const *x, double *y)
{
    for (size_t k = 0; k < s->leaf[0].count; k++)
        y[k] = x[0][k] + (x[1] ? x[1][k] : 0);
}

static const OpCase dropout_cases[] = {
    {{1, 1}, CASE_EXACT},
    {{3, 17}, CASE_EXACT | DROPOUT_RESIDUAL},
    {{5, 205}, CASE_EXACT}, /* one element more than a slice */
    {{70, 400}, DROPOUT_RESIDUAL},
};

const OpSpec op_dropout_spec = {
    .def = &op_dropout_def,
    .letters = "rows C",
    .leaves = dropout_leaves,
    .record = dropout_record,
    .forward = dropout_forward,
    .value_error = 3.3e-8,
    .gradient_error = 1.1e-9,
    .cases = dropout_cases,
    .num_cases = COUNT_OF(dropout_cases),
};
