/* end_token: its naive forward in double and its cases; see op_cases.h. */
#include "tests/support/op_cases.h"

enum { END_TOKEN_STARTS = CASE_FIRST_FLAG, END_TOKEN_LAST = 2 * CASE_FIRST_FLAG };

static void end_token_leaves(OpSetup *s)
{
    const size_t *d = s->at->dim;
    leaf_matrix(s, 0, d[0] * d[1], d[2]);
    if (s->at->flags & END_TOKEN_STARTS)
        leaf_starts(s, 1, d[0], d[1]);
}

static Tensor *end_token_record(const OpSetup *s, Graph *g, Tensor *const *in)
{
    return op_end_token(g, in[0], (Sequences){s->at->dim[0], in[1], s->at->dim[1]},
                        s->at->flags & END_TOKEN_LAST);
}

static void end_token_forward(const OpSetup *s, double *const *x, double *y)
{
    const size_t T = s->at->dim[1], C = s->at->dim[2];
    for (size_t b = 0; b < s->at->dim[0]; b++) {
        Range rows = rows_of_sequence(x[1], T, b);
        size_t end = s->at->flags & END_TOKEN_LAST ? rows.to - 1 : rows.from;
        for (size_t c = 0; c < C; c++)
            y[b * C + c] = rows.from < rows.to ? x[0][end * C + c] : 0;
    }
}

static const OpCase end_token_cases[] = {
    {{1, 1, 1}, CASE_EXACT},
    {{3, 5, 17}, CASE_EXACT},
    {{2, 7, 65}, CASE_EXACT},
    {{7, 2, 17}, CASE_EXACT | END_TOKEN_STARTS},
    {{3, 5, 17}, CASE_EXACT | END_TOKEN_LAST},
    {{7, 2, 17}, CASE_EXACT | END_TOKEN_STARTS | END_TOKEN_LAST}};

const OpSpec op_end_token_spec = {
    .def = &op_end_token_def,
    .letters = "B T C",
    .leaves = end_token_leaves,
    .record = end_token_record,
    .forward = end_token_forward,
    .value_error = 0,
    .gradient_error = 1.7e-10,
    .cases = end_token_cases,
    .num_cases = COUNT_OF(end_token_cases),
};
