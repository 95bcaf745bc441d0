/* rmsnorm: its naive forward in double and its cases; see op_cases.h. */
#include "tests/support/op_cases.h"

#include <math.h>

enum { X, W };

static void rmsnorm_leaves(OpSetup *s)
{
    leaf_matrix(s, X, s->at->dim[0], s->at->dim[1]);
    leaf_vector(s, W, s->at->dim[1]);
}

/* Rows of +1 and -1: mean square 1 exactly, with epsilon 0. */
static void rmsnorm_exact(OpSetup *s)
{
    size_t C = s->at->dim[1];
    for (size_t k = 0; k < s->leaf[X].count; k++)
        s->leaf[X].x[k] = k % C >> k / C % 4 & 1 ? 1 : -1;
}

static float rmsnorm_epsilon(const OpSetup *s)
{
    return s->exact ? 0 : 1e-5f;
}

static Tensor *rmsnorm_record(const OpSetup *s, Graph *g, Tensor *const *in)
{
    return op_rmsnorm(g, in[X], in[W], rmsnorm_epsilon(s));
}

static void rmsnorm_forward(const OpSetup *s, double *const *x, double *y)
{
    const size_t rows = s->at->dim[0], C = s->at->dim[1];
    for (size_t i = 0; i < rows; i++) {
        const double *row = x[X] + i * C;
        double square = 0;
        for (size_t c = 0; c < C; c++)
            square += row[c] * row[c] / (double)C;
        for (size_t c = 0; c < C; c++)
            y[i * C + c] = row[c] / sqrt(square + rmsnorm_epsilon(s)) * x[W][c];
    }
}

static const OpCase rmsnorm_cases[] = {
    {{2, 1}, CASE_EXACT | CASE_WHOLE_ONLY},
    {{5, 17}, 0},
    {{33, 64}, CASE_EXACT},
    {{7, 129}, 0},
    {{130, 400}, 0},
    {{9, 16}, CASE_EXACT},
};

const OpSpec op_rmsnorm_spec = {
    .def = &op_rmsnorm_def,
    .letters = "rows C",
    .leaves = rmsnorm_leaves,
    .exact = rmsnorm_exact,
    .record = rmsnorm_record,
    .forward = rmsnorm_forward,
    .value_error = 1.7e-7,
    .gradient_error = 2.8e-7,
    .cases = rmsnorm_cases,
    .num_cases = COUNT_OF(rmsnorm_cases),
};
