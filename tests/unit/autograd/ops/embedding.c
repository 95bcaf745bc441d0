/* embedding: its naive forward in double and its cases; see op_cases.h. */
#include "tests/support/op_cases.h"

enum {
    EMBEDDING_TYPE = CASE_FIRST_FLAG,
    EMBEDDING_UNTRAINED = 2 * CASE_FIRST_FLAG,
    EMBEDDING_STARTS = 4 * CASE_FIRST_FLAG,
    EMBEDDING_TYPES = 8 * CASE_FIRST_FLAG,
};
enum { TOKENS, WORD, POSITION, TYPE, EMBEDDING_IN_STARTS, TYPES };

static void embedding_leaves(OpSetup *s)
{
    const size_t *d = s->at->dim;
    leaf_integers(s, TOKENS, d[0], d[1], 0, (int)d[2] - 1);
    leaf_matrix(s, WORD, d[2], d[3]);
    leaf_matrix(s, POSITION, d[4], d[3]);
    if (s->at->flags & EMBEDDING_TYPE)
        leaf_matrix(s, TYPE, 2, d[3]);
    if (s->at->flags & EMBEDDING_STARTS)
        leaf_starts(s, EMBEDDING_IN_STARTS, d[0], d[1]);
    if (s->at->flags & EMBEDDING_TYPES)
        leaf_integers(s, TYPES, d[0], d[1], 0, 1);
}

static int32_t untrained_token(const OpSetup *s)
{
    return s->at->flags & EMBEDDING_UNTRAINED ? (int32_t)s->leaf[TOKENS].x[0] : -1;
}

static Tensor *embedding_record(const OpSetup *s, Graph *g, Tensor *const *in)
{
    Sequences all = {s->at->dim[0], in[EMBEDDING_IN_STARTS], s->at->dim[1]};
    return op_embedding(g, in[TOKENS], all, in[WORD], in[POSITION], in[TYPE], in[TYPES],
                        untrained_token(s));
}

/* Place of a row in its sequence; 0 for a filler. */
static size_t place_of(const double *starts, size_t B, size_t T, size_t row)
{
    for (size_t b = 0; b < B; b++) {
        Range own = rows_of_sequence(starts, T, b);
        if (row >= own.from && row < own.to)
            return row - own.from;
    }
    return 0;
}

/* The untrained row is a constant: read from where nothing is perturbed. */
static void embedding_forward(const OpSetup *s, double *const *x, double *y)
{
    const size_t *d = s->at->dim, T = d[1], C = d[3];
    for (size_t i = 0; i < d[0] * T; i++) {
        size_t place = place_of(x[EMBEDDING_IN_STARTS], d[0], T, i);
        int32_t token = (int32_t)x[TOKENS][i];
        size_t type = x[TYPES] ? (size_t)x[TYPES][i] : 0;
        const double *word = token == untrained_token(s) ? s->leaf[WORD].x : x[WORD];
        for (size_t c = 0; c < C; c++)
            y[i * C + c] = word[(size_t)token * C + c] + x[POSITION][place * C + c] +
                           (x[TYPE] ? x[TYPE][type * C + c] : 0);
    }
}

static const OpCase embedding_cases[] = {
    {{1, 1, 1, 1, 1}, CASE_EXACT},
    {{2, 3, 5, 7, 4}, CASE_EXACT},
    {{3, 17, 11, 65, 20}, CASE_EXACT | EMBEDDING_TYPE},
    {{2, 9, 4, 63, 9}, CASE_EXACT | EMBEDDING_UNTRAINED},
    {{4, 5, 3, 129, 6}, CASE_EXACT | EMBEDDING_TYPE | EMBEDDING_UNTRAINED},
    {{4, 5, 7, 33, 6}, CASE_EXACT | EMBEDDING_STARTS | EMBEDDING_UNTRAINED},
    {{9, 11, 7, 65, 11}, CASE_EXACT | EMBEDDING_STARTS | EMBEDDING_TYPE},
    {{5, 7, 6, 65, 8}, CASE_EXACT | EMBEDDING_TYPE | EMBEDDING_TYPES},
    {{5, 7, 6, 33, 8}, CASE_EXACT | EMBEDDING_STARTS | EMBEDDING_TYPE | EMBEDDING_TYPES},
    {{4, 40, 50, 400, 64}, EMBEDDING_TYPE}, /* enough for two threads */
};

const OpSpec op_embedding_spec = {
    .def = &op_embedding_def,
    .letters = "B T V C P",
    .leaves = embedding_leaves,
    .record = embedding_record,
    .forward = embedding_forward,
    .value_error = 6.5e-8,
    .gradient_error = 4.5e-7,
    .cases = embedding_cases,
    .num_cases = COUNT_OF(embedding_cases),
};
