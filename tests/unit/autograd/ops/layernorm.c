/* layernorm: its naive forward in double and its cases; see op_cases.h. */
#include "tests/support/op_cases.h"

#include <math.h>

enum { X, W, B };

static void layernorm_leaves(OpSetup *s)
{
    const size_t *d = s->at->dim;
    leaf_matrix(s, X, d[0], d[1]);
    leaf_vector(s, W, d[1]);
    leaf_vector(s, B, d[1]);
}

/* Rows of as many +1 as -1 (C is a power of two from 16): mean 0 and variance 1 exactly, with
 * epsilon 0. */
static void layernorm_exact(OpSetup *s)
{
    size_t C = s->at->dim[1];
    for (size_t k = 0; k < s->leaf[X].count; k++)
        s->leaf[X].x[k] = k % C >> k / C % 4 & 1 ? 1 : -1;
}

static float layernorm_epsilon(const OpSetup *s)
{
    return s->exact && s->at->dim[1] > 1 ? 0 : 1e-5f;
}

static Tensor *layernorm_record(const OpSetup *s, Graph *g, Tensor *const *in)
{
    return op_layernorm(g, in[X], in[W], in[B], layernorm_epsilon(s));
}

static void layernorm_forward(const OpSetup *s, double *const *x, double *y)
{
    const size_t rows = s->at->dim[0], C = s->at->dim[1];
    for (size_t i = 0; i < rows; i++) {
        const double *row = x[X] + i * C;
        double mean = 0, variance = 0;
        for (size_t c = 0; c < C; c++)
            mean += row[c] / (double)C;
        for (size_t c = 0; c < C; c++)
            variance += (row[c] - mean) * (row[c] - mean) / (double)C;
        for (size_t c = 0; c < C; c++)
            y[i * C + c] =
                (row[c] - mean) / sqrt(variance + layernorm_epsilon(s)) * x[W][c] + x[B][c];
    }
}

static const OpCase layernorm_cases[] = {
    {{2, 1}, CASE_EXACT | CASE_WHOLE_ONLY},
    {{5, 17}, 0},
    {{33, 64}, CASE_EXACT},
    {{7, 129}, 0},
    {{130, 400}, 0},
    {{9, 16}, CASE_EXACT},
    {{1, 128}, CASE_EXACT},
};

const OpSpec op_layernorm_spec = {
    .def = &op_layernorm_def,
    .letters = "rows C",
    .leaves = layernorm_leaves,
    .exact = layernorm_exact,
    .record = layernorm_record,
    .forward = layernorm_forward,
    .value_error = 1.3e-7,
    .gradient_error = 2.7e-7,
    .cases = layernorm_cases,
    .num_cases = COUNT_OF(layernorm_cases),
};
