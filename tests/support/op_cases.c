/* op_cases: see op_cases.h. The formulas are those of ops.h, loop by loop. */
#include "tests/support/op_cases.h"

#include <math.h>
#include <stdlib.h>

#include "tests/support/ref.h"

/* ---- leaves ---- */

static double random_number(const OpSetup *s, int leaf, size_t i)
{
    return rng_uniform((uint64_t)(s->at - s->spec->cases), (uint64_t)leaf, i);
}

static double random_whole(const OpSetup *s, int leaf, size_t i, int low, int high)
{
    return low + floor(random_number(s, leaf, i) * (high - low + 1));
}

static void leaf_new(OpSetup *s, int i, int ndim, const size_t *shape)
{
    Leaf *leaf = &s->leaf[i];
    *leaf = (Leaf){.present = true, .ndim = ndim, .count = 1};
    for (int d = 0; d < ndim; d++)
        leaf->count *= leaf->shape[d] = shape[d];
    leaf->x = xmalloc(leaf->count * sizeof *leaf->x);
}

static void floats(OpSetup *s, int i, int ndim, const size_t *shape)
{
    leaf_new(s, i, ndim, shape);
    for (size_t k = 0; k < s->leaf[i].count; k++)
        s->leaf[i].x[k] =
            s->exact ? random_whole(s, i, k, -3, 3) : (float)(2 * random_number(s, i, k) - 1);
}

static void matrix(OpSetup *s, int i, size_t rows, size_t cols)
{
    floats(s, i, 2, (size_t[]){rows, cols});
}

static void vector(OpSetup *s, int i, size_t n)
{
    floats(s, i, 1, &n);
}

static void integers(OpSetup *s, int i, size_t rows, size_t cols, int low, int high)
{
    leaf_new(s, i, 2, (size_t[]){rows, cols});
    s->leaf[i].integer = true;
    for (size_t k = 0; k < s->leaf[i].count; k++)
        s->leaf[i].x[k] = random_whole(s, i, k, low, high);
}

/* Where B sequences of up to `longest` rows begin; of B * longest rows the last may be fillers. */
static void starts(OpSetup *s, int i, size_t B, size_t longest)
{
    leaf_new(s, i, 1, (size_t[]){B + 1});
    s->leaf[i].integer = true;
    double at = s->leaf[i].x[0] = 0;
    for (size_t b = 0; b < B; b++) {
        s->leaf[i].x[b + 1] = at += random_whole(s, i, b, 0, (int)longest);
    }
}

/* The rows of sequence b, of T rows each where there is no `starts`. */
static Range rows_of(const double *starts, size_t T, size_t b)
{
    return starts ? (Range){(size_t)starts[b], (size_t)starts[b + 1]} : (Range){b * T, (b + 1) * T};
}

void op_setup_init(OpSetup *s, const OpSpec *spec, const OpCase *at, bool exact)
{
    *s = (OpSetup){.spec = spec, .at = at, .exact = exact};
    spec->leaves(s);
    if (exact && spec->exact)
        spec->exact(s);
}

void op_setup_release(OpSetup *s)
{
    for (int i = 0; i < MAX_INPUTS; i++)
        free(s->leaf[i].x);
}

/* ---- embedding: B, T, V, C, P ---- */

enum {
    EMBEDDING_TYPE = CASE_FIRST_FLAG,
    EMBEDDING_UNTRAINED = 2 * CASE_FIRST_FLAG,
    EMBEDDING_STARTS = 4 * CASE_FIRST_FLAG,
};
enum { TOKENS, WORD, POSITION, TYPE, EMBEDDING_IN_STARTS };

static void embedding_leaves(OpSetup *s)
{
    const size_t *d = s->at->dim;
    integers(s, TOKENS, d[0], d[1], 0, (int)d[2] - 1);
    matrix(s, WORD, d[2], d[3]);
    matrix(s, POSITION, d[4], d[3]);
    if (s->at->flags & EMBEDDING_TYPE)
        matrix(s, TYPE, 2, d[3]);
    if (s->at->flags & EMBEDDING_STARTS)
        starts(s, EMBEDDING_IN_STARTS, d[0], d[1]);
}

static int32_t untrained_token(const OpSetup *s)
{
    return s->at->flags & EMBEDDING_UNTRAINED ? (int32_t)s->leaf[TOKENS].x[0] : -1;
}

static Tensor *embedding_record(const OpSetup *s, Graph *g, Tensor *const *in)
{
    Sequences all = {s->at->dim[0], in[EMBEDDING_IN_STARTS], s->at->dim[1]};
    return op_embedding(g, in[TOKENS], all, in[WORD], in[POSITION], in[TYPE], untrained_token(s));
}

/* Place of a row in its sequence; 0 for a filler. */
static size_t place_of(const double *starts, size_t B, size_t T, size_t row)
{
    for (size_t b = 0; b < B; b++) {
        Range own = rows_of(starts, T, b);
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
        const double *word = token == untrained_token(s) ? s->leaf[WORD].x : x[WORD];
        for (size_t c = 0; c < C; c++)
            y[i * C + c] = word[(size_t)token * C + c] + x[POSITION][place * C + c] +
                           (x[TYPE] ? x[TYPE][c] : 0);
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
    {{4, 40, 50, 400, 64}, EMBEDDING_TYPE}, /* enough for two threads */
};

/* ---- layernorm: rows, C ---- */

enum { X, W, B };

static void layernorm_leaves(OpSetup *s)
{
    const size_t *d = s->at->dim;
    matrix(s, X, d[0], d[1]);
    vector(s, W, d[1]);
    vector(s, B, d[1]);
}

/* Rows of as many +1 as -1 (C is a power of two from 16): mean 0 and variance 1 exactly, with epsilon 0. */
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

/* ---- linear: rows, K, O ---- */

enum { LINEAR_BIAS = CASE_FIRST_FLAG, LINEAR_RESIDUAL = 2 * CASE_FIRST_FLAG };
enum { RESIDUAL = 3 };
#define LINEAR_ACT(act) ((unsigned)(act)*4 * CASE_FIRST_FLAG)

static Act linear_act(const OpSetup *s)
{
    return (Act)(s->at->flags / (4 * CASE_FIRST_FLAG));
}

static void linear_leaves(OpSetup *s)
{
    const size_t *d = s->at->dim;
    matrix(s, X, d[0], d[1]);
    matrix(s, W, d[2], d[1]);
    if (s->at->flags & LINEAR_BIAS)
        vector(s, B, d[2]);
    if (s->at->flags & LINEAR_RESIDUAL)
        matrix(s, RESIDUAL, d[0], d[2]);
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

/* ---- attention: B, T, H, D ---- */

enum {
    ATTENTION_CAUSAL = CASE_FIRST_FLAG,
    ATTENTION_MASK = 2 * CASE_FIRST_FLAG,
    ATTENTION_ONE_KEY = 4 * CASE_FIRST_FLAG, /* the mask leaves one key in each sequence */
    ATTENTION_STARTS = 8 * CASE_FIRST_FLAG,
};
enum { QKV, MASK, ATTENTION_IN_STARTS };

static void attention_leaves(OpSetup *s)
{
    const size_t *d = s->at->dim, rows = d[0] * d[1];
    matrix(s, QKV, rows, 3 * d[2] * d[3]);
    if (s->at->flags & (ATTENTION_MASK | ATTENTION_ONE_KEY))
        integers(s, MASK, d[0], d[1], 0, 1);
    if (s->at->flags & ATTENTION_ONE_KEY)
        for (size_t i = 0; i < rows; i++)
            s->leaf[MASK].x[i] = i % d[1] == d[1] / 2;
    if (s->at->flags & ATTENTION_STARTS)
        starts(s, ATTENTION_IN_STARTS, d[0], d[1]);
}

/* With queries of zero every visible key weighs the same: exact where their number is a power of
 * two. Where one key or none is visible any query will do. */
static void attention_exact(OpSetup *s)
{
    size_t C = s->at->dim[2] * s->at->dim[3];
    for (size_t k = 0; s->at->flags & CASE_EXACT_VALUE && k < s->leaf[QKV].count; k++)
        if (k % (3 * C) < C)
            s->leaf[QKV].x[k] = 0;
}

static Tensor *attention_record(const OpSetup *s, Graph *g, Tensor *const *in)
{
    Sequences all = {s->at->dim[0], in[ATTENTION_IN_STARTS], s->at->dim[1]};
    return op_attention(g, in[QKV], in[MASK], all, s->at->dim[2], s->at->flags & ATTENTION_CAUSAL,
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
    const size_t *d = s->at->dim, T = d[1], D = d[3], C = d[2] * D;
    for (size_t i = 0; i < d[0] * T * C; i++)
        y[i] = 0;
    for (size_t b = 0; b < d[0]; b++) {
        Range rows = rows_of(x[ATTENTION_IN_STARTS], T, b);
        for (size_t i = rows.from; i < rows.to; i++)
            for (size_t h = 0; h < d[2]; h++) {
                const double *query = x[QKV] + i * 3 * C + h * D;
                const double *sequence = x[QKV] + rows.from * 3 * C + h * D;
                size_t keys = (s->at->flags & ATTENTION_CAUSAL ? i + 1 : rows.to) - rows.from;
                attend(query, sequence + C, sequence + 2 * C, 3 * C,
                       x[MASK] ? x[MASK] + rows.from : NULL, keys, D, y + i * C + h * D);
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
};

/* ---- dropout, which outside training is x + residual: rows, C ---- */

enum { DROPOUT_RESIDUAL = CASE_FIRST_FLAG };

static void dropout_leaves(OpSetup *s)
{
    matrix(s, 0, s->at->dim[0], s->at->dim[1]);
    if (s->at->flags & DROPOUT_RESIDUAL)
        matrix(s, 1, s->at->dim[0], s->at->dim[1]);
}

static Tensor *dropout_record(const OpSetup *s, Graph *g, Tensor *const *in)
{
    (void)s;
    return op_dropout(g, in[0], 0.25f, in[1]);
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

/* ---- first_token: B, T, C ---- */

enum { FIRST_TOKEN_STARTS = CASE_FIRST_FLAG };

static void first_token_leaves(OpSetup *s)
{
    const size_t *d = s->at->dim;
    matrix(s, 0, d[0] * d[1], d[2]);
    if (s->at->flags & FIRST_TOKEN_STARTS)
        starts(s, 1, d[0], d[1]);
}

static Tensor *first_token_record(const OpSetup *s, Graph *g, Tensor *const *in)
{
    return op_first_token(g, in[0], (Sequences){s->at->dim[0], in[1], s->at->dim[1]});
}

static void first_token_forward(const OpSetup *s, double *const *x, double *y)
{
    const size_t T = s->at->dim[1], C = s->at->dim[2];
    for (size_t b = 0; b < s->at->dim[0]; b++) {
        Range rows = rows_of(x[1], T, b);
        for (size_t c = 0; c < C; c++)
            y[b * C + c] = rows.from < rows.to ? x[0][rows.from * C + c] : 0;
    }
}

static const OpCase first_token_cases[] = {{{1, 1, 1}, CASE_EXACT},
                                           {{3, 5, 17}, CASE_EXACT},
                                           {{2, 7, 65}, CASE_EXACT},
                                           {{7, 2, 17}, CASE_EXACT | FIRST_TOKEN_STARTS}};

/* ---- cross_entropy: n, V ---- */

enum { LOSS_IGNORED = CASE_FIRST_FLAG };
enum { LOGITS, LABELS };

static void targets(OpSetup *s, int i, size_t n, size_t V)
{
    integers(s, i, 1, n, 0, (int)V - 1);
    for (size_t k = 0; s->at->flags & LOSS_IGNORED && k < n; k++)
        if (k % 2)
            s->leaf[i].x[k] = -1;
}

static void cross_entropy_leaves(OpSetup *s)
{
    matrix(s, LOGITS, s->at->dim[0], s->at->dim[1]);
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

/* ---- linear_cross_entropy: n, C, V ---- */

enum { TARGETS = 2 };

static void linear_cross_entropy_leaves(OpSetup *s)
{
    const size_t *d = s->at->dim;
    matrix(s, X, d[0], d[1]);
    matrix(s, W, d[2], d[1]);
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

/* ---- the table ---- */

#define SPEC(op) .def = &op_##op##_def, .cases = op##_cases, .num_cases = COUNT_OF(op##_cases)

const OpSpec op_specs[] = {
    {SPEC(embedding), .letters = "B T V C P", .leaves = embedding_leaves,
     .record = embedding_record, .forward = embedding_forward, .value_error = 6.5e-8,
     .gradient_error = 4.5e-7},
    {SPEC(layernorm), .letters = "rows C", .leaves = layernorm_leaves, .exact = layernorm_exact,
     .record = layernorm_record, .forward = layernorm_forward, .value_error = 1.3e-7,
     .gradient_error = 2.7e-7},
    {SPEC(linear), .letters = "rows K O", .leaves = linear_leaves, .exact = linear_exact,
     .record = linear_record, .forward = linear_forward, .value_error = 3.5e-7,
     .gradient_error = 1.2e-6},
    {SPEC(attention), .letters = "B T H D", .single_reader = true, .leaves = attention_leaves,
     .exact = attention_exact, .record = attention_record, .forward = attention_all,
     .value_error = 3.1e-7, .gradient_error = 4.7e-7},
    {SPEC(dropout), .letters = "rows C", .leaves = dropout_leaves, .record = dropout_record,
     .forward = dropout_forward, .value_error = 3.3e-8, .gradient_error = 1.1e-9},
    {SPEC(first_token), .letters = "B T C", .leaves = first_token_leaves,
     .record = first_token_record, .forward = first_token_forward, .value_error = 0,
     .gradient_error = 1.7e-10},
    {SPEC(cross_entropy), .letters = "n V", .leaves = cross_entropy_leaves,
     .exact = cross_entropy_exact, .record = cross_entropy_record, .forward = cross_entropy_forward,
     .value_error = 2.8e-8, .gradient_error = 2.0e-7},
    {SPEC(linear_cross_entropy), .letters = "n C V", .leaves = linear_cross_entropy_leaves,
     .exact = linear_cross_entropy_exact, .record = linear_cross_entropy_record,
     .forward = linear_cross_entropy_forward, .value_error = 7.3e-8, .gradient_error = 7.1e-7},
};
const size_t num_op_specs = COUNT_OF(op_specs);
