/* attention: its naive forward in double and its cases; see op_cases.h. */
#include "tests/support/op_cases.h"

#include <math.h>
#include <stdlib.h>

enum {
    ATTENTION_CAUSAL = CASE_FIRST_FLAG,
    ATTENTION_MASK = 2 * CASE_FIRST_FLAG,
    ATTENTION_ONE_KEY = 4 * CASE_FIRST_FLAG, /* the mask leaves one key in each sequence */
    ATTENTION_STARTS = 8 * CASE_FIRST_FLAG,
};
enum { QKV, MASK, ATTENTION_IN_STARTS };

/* KV 0 stands for H. */
static Heads heads_of(const OpSetup *s)
{
    const size_t *d = s->at->dim;
    return (Heads){d[2], d[4] ? d[4] : d[2], d[3]};
}

static void attention_leaves(OpSetup *s)
{
    const size_t *d = s->at->dim, rows = d[0] * d[1];
    leaf_matrix(s, QKV, rows, heads_width(heads_of(s)));
    if (s->at->flags & (ATTENTION_MASK | ATTENTION_ONE_KEY))
        leaf_integers(s, MASK, d[0], d[1], 0, 1);
    if (s->at->flags & ATTENTION_ONE_KEY)
        for (size_t i = 0; i < rows; i++)
            s->leaf[MASK].x[i] = i % d[1] == d[1] / 2;
    if (s->at->flags & ATTENTION_STARTS)
        leaf_starts(s, ATTENTION_IN_STARTS, d[0], d[1]);
}

/* With queries of zero every visible key weighs the same: exact where their number is a power of
 * two. Where one key or none is visible any query will do. */
static void attention_exact(OpSetup *s)
{
    size_t C = s->at->dim[2] * s->at->dim[3], width = heads_width(heads_of(s));
    for (size_t k = 0; s->at->flags & CASE_EXACT_VALUE && k < s->leaf[QKV].count; k++)
        if (k % width < C)
            s->leaf[QKV].x[k] = 0;
}

static Tensor *attention_record(const OpSetup *s, Graph *g, Tensor *const *in)
{
    Sequences all = {s->at->dim[0], in[ATTENTION_IN_STARTS], s->at->dim[1]};
    return op_attention(g, in[QKV], in[MASK], all, heads_of(s), s->at->flags & ATTENTION_CAUSAL,
                        DT_F32);
}

/* One query against the keys of its sequence: out[D]. q and k[s], v[s] of one head, rows apart by
 * `stride`. */
static void attend(const double *q, const double *k, const double *v, size_t stride,
                   const double *mask, size_t keys, size_t D, double *out)
{
    double highest = -INFINITY, sum = 0;
    double *p = xmalloc(keys * sizeof *p);
    for (size_t s = 0; s < keys; s++) {
        p[s] = mask && mask[s] == 0 ? -INFINITY : 0;
        for (size_t d = 0; d < D; d++)
            p[s] += q[d] * k[s * stride + d] / sqrt((double)D);
        highest = fmax(highest, p[s]);
    }
    for (size_t s = 0; s < keys && highest > -INFINITY; s++)
        sum += p[s] = exp(p[s] - highest);
    for (size_t d = 0; d < D; d++) {
        out[d] = 0;
        for (size_t s = 0; s < keys && sum > 0; s++)
            out[d] += p[s] / sum * v[s * stride + d];
    }
    free(p);
}

static void attention_all(const OpSetup *s, double *const *x, double *y)
{
    const Heads heads = heads_of(s);
    const size_t *d = s->at->dim, T = d[1], D = d[3], C = d[2] * D, width = heads_width(heads);
    for (size_t i = 0; i < d[0] * T * C; i++)
        y[i] = 0;
    for (size_t b = 0; b < d[0]; b++) {
        Range rows = rows_of_sequence(x[ATTENTION_IN_STARTS], T, b);
        for (size_t i = rows.from; i < rows.to; i++)
            for (size_t h = 0; h < d[2]; h++) {
                const double *query = x[QKV] + i * width + h * D;
                const double *sequence = x[QKV] + rows.from * width + C;
                const double *key = sequence + h / (heads.count / heads.kv) * D;
                size_t keys = (s->at->flags & ATTENTION_CAUSAL ? i + 1 : rows.to) - rows.from;
                attend(query, key, key + heads.kv * D, width, x[MASK] ? x[MASK] + rows.from : NULL,
                       keys, D, y + i * C + h * D);
            }
    }
}

static const OpCase attention_cases[] = {
    {{1, 1, 1, 1}, CASE_EXACT},
    {{3, 1, 2, 8}, CASE_EXACT | ATTENTION_CAUSAL},
    {{2, 5, 3, 7}, ATTENTION_CAUSAL},
    {{2, 33, 2, 12}, ATTENTION_CAUSAL},
    {{1, 65, 1, 17}, ATTENTION_MASK},
    {{3, 17, 3, 12}, ATTENTION_CAUSAL | ATTENTION_MASK},
    {{2, 31, 2, 16}, 0},
    {{2, 8, 2, 5}, CASE_EXACT_VALUE},
    {{2, 9, 2, 4}, CASE_EXACT | ATTENTION_ONE_KEY},
    {{2, 9, 3, 5}, CASE_EXACT | ATTENTION_ONE_KEY | ATTENTION_CAUSAL},
    {{2, 70, 4, 32}, ATTENTION_CAUSAL},
    {{5, 9, 2, 5}, ATTENTION_STARTS},
    {{4, 40, 3, 12}, ATTENTION_STARTS | ATTENTION_CAUSAL},
    {{32, 24, 4, 32}, ATTENTION_STARTS}, /* enough for two threads */
    {{2, 9, 2, 5, 1}, ATTENTION_CAUSAL},
    {{2, 9, 6, 4, 2}, CASE_EXACT | ATTENTION_ONE_KEY},
    {{2, 37, 9, 8, 3}, ATTENTION_CAUSAL | ATTENTION_MASK},
    {{3, 40, 8, 16, 1}, ATTENTION_CAUSAL | ATTENTION_STARTS},
    {{2, 70, 4, 32, 2}, ATTENTION_CAUSAL},
};

const OpSpec op_attention_spec = {
    .def = &op_attention_def,
    .letters = "B T H D KV",
    .single_reader = true,
    .leaves = attention_leaves,
    .exact = attention_exact,
    .record = attention_record,
    .forward = attention_all,
    .value_error = 3.1e-7,
    .gradient_error = 4.7e-7,
    .cases = attention_cases,
    .num_cases = COUNT_OF(attention_cases),
};
