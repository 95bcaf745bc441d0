/* rope: its naive forward in double and its cases; see op_cases.h. */
#include "tests/support/op_cases.h"

#include <math.h>

enum { QKV, ROPE_IN_STARTS };
enum { ROPE_PAIRS = CASE_FIRST_FLAG, ROPE_STARTS = 2 * CASE_FIRST_FLAG };
enum { MOST_PLANES = 64 };

static Heads heads_of(const OpSetup *s)
{
    return (Heads){s->at->dim[2], s->at->dim[3], s->at->dim[4]};
}

/* Theta 100: also the slowest plane turns. Exact: quarter turns of no plane at all. */
static float frequency_of(const OpSetup *s, size_t plane)
{
    return s->exact ? 0 : (float)pow(100, -2.0 * (double)plane / (double)s->at->dim[4]);
}

static void rope_leaves(OpSetup *s)
{
    const size_t *d = s->at->dim;
    leaf_matrix(s, QKV, d[0] * d[1], heads_width(heads_of(s)));
    if (s->at->flags & ROPE_STARTS)
        leaf_starts(s, ROPE_IN_STARTS, d[0], d[1]);
}

static Tensor *rope_record(const OpSetup *s, Graph *g, Tensor *const *in)
{
    float frequency[MOST_PLANES];
    for (size_t i = 0; i < s->at->dim[4] / 2; i++)
        frequency[i] = frequency_of(s, i);
    Sequences all = {s->at->dim[0], in[ROPE_IN_STARTS], s->at->dim[1]};
    return op_rope(g, in[QKV], all, heads_of(s), frequency, s->at->flags & ROPE_PAIRS);
}

/* One head in row t of its sequence. */
static void turn(const OpSetup *s, size_t t, const double *x, double *y)
{
    size_t D = s->at->dim[4];
    for (size_t i = 0; i < D / 2; i++) {
        bool pairs = s->at->flags & ROPE_PAIRS;
        size_t a = pairs ? 2 * i : i, b = pairs ? 2 * i + 1 : i + D / 2;
        double angle = (float)((float)t * frequency_of(s, i));
        y[a] = x[a] * cos(angle) - x[b] * sin(angle);
        y[b] = x[b] * cos(angle) + x[a] * sin(angle);
    }
}

static void rope_forward(const OpSetup *s, double *const *x, double *y)
{
    const size_t *d = s->at->dim, width = heads_width(heads_of(s)), D = d[4];
    for (size_t k = 0; k < s->leaf[QKV].count; k++)
        y[k] = x[QKV][k]; /* v, and rows of padding, which are turned by nothing */
    for (size_t b = 0; b < d[0]; b++) {
        Range rows = rows_of_sequence(x[ROPE_IN_STARTS], d[1], b);
        for (size_t i = rows.from; i < rows.to; i++)
            for (size_t h = 0; h < d[2] + d[3]; h++)
                turn(s, i - rows.from, x[QKV] + i * width + h * D, y + i * width + h * D);
    }
}

static const OpCase rope_cases[] = {
    {{1, 1, 1, 1, 2}, CASE_EXACT},   {{2, 5, 2, 1, 6}, 0},
    {{2, 5, 2, 1, 6}, ROPE_PAIRS},   {{3, 4, 3, 3, 8}, CASE_EXACT | ROPE_PAIRS},
    {{2, 40, 4, 2, 64}, 0},          {{2, 33, 2, 2, 36}, ROPE_PAIRS},
    {{4, 7, 2, 1, 10}, ROPE_STARTS}, {{4, 30, 4, 1, 34}, ROPE_STARTS | ROPE_PAIRS},
};

const OpSpec op_rope_spec = {
    .def = &op_rope_def,
    .letters = "B T H KV D",
    .leaves = rope_leaves,
    .record = rope_record,
    .forward = rope_forward,
    .value_error = 1.1e-7,
    .gradient_error = 9.3e-8,
    .cases = rope_cases,
    .num_cases = COUNT_OF(rope_cases),
};
