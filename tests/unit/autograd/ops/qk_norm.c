/* qk_norm: its naive forward in double and its cases; see op_cases.h. */
#include "tests/support/op_cases.h"

#include <math.h>

enum { QKV, WQ, WK };

static Heads heads_of(const OpSetup *s)
{
    return (Heads){s->at->dim[1], s->at->dim[2], s->at->dim[3]};
}

static void qk_norm_leaves(OpSetup *s)
{
    leaf_matrix(s, QKV, s->at->dim[0], heads_width(heads_of(s)));
    leaf_vector(s, WQ, s->at->dim[3]);
    leaf_vector(s, WK, s->at->dim[3]);
}

/* Elements of +1 and -1: mean square 1 exactly, with epsilon 0. */
static void qk_norm_exact(OpSetup *s)
{
    for (size_t k = 0; k < s->leaf[QKV].count; k++)
        s->leaf[QKV].x[k] = k * 7 % 5 < 2 ? 1 : -1;
}

static float qk_norm_epsilon(const OpSetup *s)
{
    return s->exact ? 0 : 1e-6f;
}

static Tensor *qk_norm_record(const OpSetup *s, Graph *g, Tensor *const *in)
{
    return op_qk_norm(g, in[QKV], in[WQ], in[WK], heads_of(s), qk_norm_epsilon(s));
}

static void qk_norm_forward(const OpSetup *s, double *const *x, double *y)
{
    const Heads h = heads_of(s);
    const size_t D = h.channels, all = h.count + 2 * h.kv;
    for (size_t i = 0; i < s->at->dim[0] * all; i++) {
        size_t head = i % all;
        const double *row = x[QKV] + i * D, *w = x[head < h.count ? WQ : WK];
        double square = 0;
        for (size_t c = 0; c < D; c++)
            square += row[c] * row[c] / (double)D;
        for (size_t c = 0; c < D; c++)
            y[i * D + c] =
                head < h.count + h.kv ? row[c] / sqrt(square + qk_norm_epsilon(s)) * w[c] : row[c];
    }
}

static const OpCase qk_norm_cases[] = {
    {{3, 2, 1, 8}, CASE_EXACT},
    {{5, 3, 3, 7}, 0},
    {{9, 4, 2, 16}, CASE_EXACT},
    {{40, 6, 2, 64}, 0}, /* enough for two threads */
};

const OpSpec op_qk_norm_spec = {
    .def = &op_qk_norm_def,
    .letters = "rows H KV D",
    .leaves = qk_norm_leaves,
    .exact = qk_norm_exact,
    .record = qk_norm_record,
    .forward = qk_norm_forward,
    .value_error = 1.2e-7,
    .gradient_error = 3.7e-7,
    .cases = qk_norm_cases,
    .num_cases = COUNT_OF(qk_norm_cases),
};
