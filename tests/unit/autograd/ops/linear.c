/* linear: its naive forward in double and its cases; see op_cases.h. */
#include "tests/support/op_cases.h"

#include "tests/support/ref.h"

enum { LINEAR_BIAS = CASE_FIRST_FLAG, LINEAR_RESIDUAL = 2 * CASE_FIRST_FLAG };
enum { X, W, B, RESIDUAL };
#define LINEAR_ACT(act) ((unsigned)(act)*4 * CASE_FIRST_FLAG)

static Act linear_act(const OpSetup *s)
{
    return (Act)(s->at->flags / (4 * CASE_FIRST_FLAG));
}

static void linear_leaves(OpSetup *s)
{
    const size_t *d = s->at->dim;
    leaf_matrix(s, X, d[0], d[1]);
    leaf_matrix(s, W, d[2], d[1]);
    if (s->at->flags & LINEAR_BIAS)
        leaf_vector(s, B, d[2]);
    if (s->at->flags & LINEAR_RESIDUAL)
        leaf_matrix(s, RESIDUAL, d[0], d[2]);
}

/* A half in every bias keeps z away from the kink of a ReLU. */
static void linear_exact(OpSetup *s)
{
    for (size_t k = 0; k < s->leaf[B].count; k++)
        s->leaf[B].x[k] += 0.5;
}

static Tensor *linear_record(const OpSetup *s, Graph *g, Tensor *const *in)
{
    return op_linear(g, in[X], in[W], in[B], linear_act(s), in[RESIDUAL]);
}

static void linear_forward(const OpSetup *s, double *const *x, double *y)
{
    const size_t rows = s->at->dim[0], K = s->at->dim[1], O = s->at->dim[2];
    for (size_t i = 0; i < rows; i++)
        for (size_t o = 0; o < O; o++) {
            double z = x[B] ? x[B][o] : 0;
            for (size_t k = 0; k < K; k++)
                z += x[X][i * K + k] * x[W][o * K + k];
            y[i * O + o] = ref_act(linear_act(s), z) + (x[RESIDUAL] ? x[RESIDUAL][i * O + o] : 0);
        }
}

static const OpCase linear_cases[] = {
    {{1, 1, 1}, CASE_EXACT},
    {{3, 5, 7}, CASE_EXACT | LINEAR_BIAS},
    {{7, 16, 47}, CASE_EXACT | LINEAR_RESIDUAL},
    {{9, 17, 49}, CASE_EXACT | LINEAR_BIAS | LINEAR_RESIDUAL},
    {{17, 33, 31}, CASE_EXACT | LINEAR_BIAS | LINEAR_ACT(ACT_RELU)},
    {{1, 385, 5}, CASE_EXACT | LINEAR_BIAS}, /* one product more than a block over k */
    {{2, 1, 1}, LINEAR_BIAS | LINEAR_ACT(ACT_TANH)},
    {{9, 49, 97}, LINEAR_BIAS | LINEAR_ACT(ACT_GELU_TANH)},
    {{33, 15, 65}, LINEAR_ACT(ACT_GELU_ERF)},
    {{5, 31, 17}, LINEAR_BIAS | LINEAR_ACT(ACT_TANH)},
    {{130, 70, 400}, LINEAR_BIAS | LINEAR_ACT(ACT_GELU_TANH)},
    {{400, 70, 130}, LINEAR_BIAS | LINEAR_RESIDUAL},
};

const OpSpec op_linear_spec = {
    .def = &op_linear_def,
    .letters = "rows K O",
    .leaves = linear_leaves,
    .exact = linear_exact,
    .record = linear_record,
    .forward = linear_forward,
    .value_error = 3.5e-7,
    .gradient_error = 1.2e-6,
    .cases = linear_cases,
    .num_cases = COUNT_OF(linear_cases),
};
