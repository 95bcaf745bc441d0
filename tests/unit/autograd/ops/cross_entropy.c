/* cross_entropy, linear_cross_entropy: their naive forwards in double and their cases; see
 * op_cases.h. */
#include "tests/support/op_cases.h"

#include <math.h>
#include <stdlib.h>

enum { LOSS_IGNORED = CASE_FIRST_FLAG };
enum { LOGITS, LABELS };

static void targets(OpSetup *s, int i, size_t n, size_t V)
{
    leaf_integers(s, i, 1, n, 0, (int)V - 1);
    for (size_t k = 0; s->at->flags & LOSS_IGNORED && k < n; k++)
        if (k % 2)
            s->leaf[i].x[k] = -1;
}

static void cross_entropy_leaves(OpSetup *s)
{
    leaf_matrix(s, LOGITS, s->at->dim[0], s->at->dim[1]);
    targets(s, LABELS, s->at->dim[0], s->at->dim[1]);
}

/* One logit of each row so far above the others that the softmax is 0 and 1 exactly. */
static void cross_entropy_exact(OpSetup *s)
{
    size_t V = s->at->dim[1];
    for (size_t i = 0; i < s->at->dim[0]; i++)
        s->leaf[LOGITS].x[i * V + (7 * i + 3) % V] += 256;
}

static Tensor *cross_entropy_record(const OpSetup *s, Graph *g, Tensor *const *in)
{
    (void)s;
    return op_cross_entropy(g, in[LOGITS], in[LABELS]);
}

/* Sum of one row's loss; 0 where the target is ignored. */
static double row_loss(const double *logits, size_t V, double target)
{
    if (target < 0)
        return 0;
    double highest = -INFINITY, sum = 0;
    for (size_t v = 0; v < V; v++)
        highest = fmax(highest, logits[v]);
    for (size_t v = 0; v < V; v++)
        sum += exp(logits[v] - highest);
    return highest + log(sum) - logits[(size_t)target];
}

static double targets_counted_in(const double *target, size_t n)
{
    double counted = 0;
    for (size_t i = 0; i < n; i++)
        counted += target[i] >= 0;
    return counted;
}

static void cross_entropy_forward(const OpSetup *s, double *const *x, double *y)
{
    const size_t n = s->at->dim[0], V = s->at->dim[1];
    y[0] = 0;
    for (size_t i = 0; i < n; i++)
        y[0] += row_loss(x[LOGITS] + i * V, V, x[LABELS][i]) / targets_counted_in(x[LABELS], n);
}

static const OpCase cross_entropy_cases[] = {
    {{1, 1}, CASE_EXACT},
    {{3, 2}, 0},
    {{8, 17}, CASE_EXACT | LOSS_IGNORED},
    {{4, 33}, CASE_EXACT},
    {{9, 101}, LOSS_IGNORED},
};

const OpSpec op_cross_entropy_spec = {
    .def = &op_cross_entropy_def,
    .letters = "n V",
    .leaves = cross_entropy_leaves,
    .exact = cross_entropy_exact,
    .record = cross_entropy_record,
    .forward = cross_entropy_forward,
    .value_error = 2.8e-8,
    .gradient_error = 2.0e-7,
    .cases = cross_entropy_cases,
    .num_cases = COUNT_OF(cross_entropy_cases),
};

/* ---- linear_cross_entropy ---- */

enum { X, W, TARGETS };

static void linear_cross_entropy_leaves(OpSetup *s)
{
    const size_t *d = s->at->dim;
    leaf_matrix(s, X, d[0], d[1]);
    leaf_matrix(s, W, d[2], d[1]);
    targets(s, TARGETS, d[0], d[2]);
}

/* Each row of x looks at one channel, in which one word of the vocabulary stands out. */
static void linear_cross_entropy_exact(OpSetup *s)
{
    const size_t *d = s->at->dim, C = d[1];
    for (size_t k = 0; k < s->leaf[X].count; k++)
        s->leaf[X].x[k] = k % C == k / C % C ? 256 : 0;
    for (size_t c = 0; c < C; c++)
        s->leaf[W].x[(5 * c + 2) % d[2] * C + c] = 5;
}

static Tensor *linear_cross_entropy_record(const OpSetup *s, Graph *g, Tensor *const *in)
{
    (void)s;
    return op_linear_cross_entropy(g, in[X], in[W], in[TARGETS]);
}

static void linear_cross_entropy_forward(const OpSetup *s, double *const *x, double *y)
{
    const size_t n = s->at->dim[0], C = s->at->dim[1], V = s->at->dim[2];
    double *logits = xmalloc(V * sizeof *logits);
    y[0] = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t v = 0; v < V; v++) {
            logits[v] = 0;
            for (size_t c = 0; c < C; c++)
                logits[v] += x[X][i * C + c] * x[W][v * C + c];
        }
        y[0] += row_loss(logits, V, x[TARGETS][i]) / targets_counted_in(x[TARGETS], n);
    }
    free(logits);
}

static const OpCase linear_cross_entropy_cases[] = {
    {{1, 1, 1}, CASE_EXACT},
    {{5, 7, 3}, LOSS_IGNORED},
    {{8, 5, 33}, CASE_EXACT | LOSS_IGNORED},
    {{16, 3, 47}, CASE_EXACT},
    {{51, 36, 101}, LOSS_IGNORED},
    {{1024, 2, 961}, LOSS_IGNORED}, /* one word more than a chunk of the vocabulary */
};

const OpSpec op_linear_cross_entropy_spec = {
    .def = &op_linear_cross_entropy_def,
    .letters = "n C V",
    .leaves = linear_cross_entropy_leaves,
    .exact = linear_cross_entropy_exact,
    .record = linear_cross_entropy_record,
    .forward = linear_cross_entropy_forward,
    .value_error = 7.3e-8,
    .gradient_error = 7.1e-7,
    .cases = linear_cross_entropy_cases,
    .num_cases = COUNT_OF(linear_cross_entropy_cases),
};
