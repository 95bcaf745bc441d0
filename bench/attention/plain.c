/* plain: attention as its formula says (Vaswani et al. 2017): all scores of a head by one matrix
 * product, a softmax over rows, one product with the values; backward from the probabilities that
 * forward has stored.
 *
 * It is the reference of `flash`: heads one after the other, nothing skipped above the diagonal,
 * nothing repeated. Products and softmax divide rows among threads. */
#include "bench/attention/layer.h"

#include <math.h>
#include <string.h>

static double probabilities_bytes(const Attention *a)
{
    return (double)a->B * (double)a->H * (double)a->T * (double)a->T * (double)dtype_size(a->type);
}

/* A head in fp32: rows of q, k and v are `row` floats apart, those of out, o, `o_row`.
 * Scratch: the matrix product's own, two matrices [T,T], and the head widened. */
typedef struct Head {
    const AttentionLayer *l;
    size_t first, column; /* its first row and column in q, k, v and out */
    const float *q, *k, *v;
    size_t row, o_row;
    float *o;
    char *kept; /* [T,T] in a.type */
    void *gemm_scratch;
    float *probabilities, *other; /* [T,T] */
} Head;

static double scratch_bytes(const Attention *a, int threads)
{
    const double T = (double)a->T, D = (double)a->D;
    double floats = a->type == DT_F32 ? T * T : 2 * T * T + 4 * T * D;
    return (double)gemm_scratch_bytes(threads) + floats * sizeof(float);
}

/* Rows of q, k or v of the head, [T,D]. */
static void widen_rows(const Head *h, const void *x, float *out)
{
    const Attention *a = &h->l->a;
    const char *rows =
        (const char *)x + (h->first * a->qkv_stride + h->column) * dtype_size(a->type);
    for (size_t t = 0; t < a->T; t++)
        kernels()->widen(a->type, rows + t * a->qkv_stride * dtype_size(a->type), out + t * a->D,
                         a->D);
}

static void open_small(Head *h, float *memory)
{
    const Attention *a = &h->l->a;
    const size_t matrix = a->T * a->T, rows = a->T * a->D;
    float *wide = memory + 2 * matrix;
    const void *source[] = {a->q, a->k, a->v};
    for (size_t i = 0; i < 3; i++)
        widen_rows(h, source[i], wide + i * rows);
    h->q = wide;
    h->k = wide + rows;
    h->v = wide + 2 * rows;
    h->o = wide + 3 * rows;
    h->row = h->o_row = a->D;
    h->probabilities = memory;
    h->other = memory + matrix;
}

static Head head_of(const AttentionLayer *l, size_t b, size_t head)
{
    const Attention *a = &l->a;
    Head h = {.l = l, .first = b * a->T, .column = head * a->D, .gemm_scratch = l->scratch};
    float *memory = (float *)((char *)l->scratch + gemm_scratch_bytes(l->threads));
    h.kept = (char *)l->kept + (b * a->H + head) * a->T * a->T * dtype_size(a->type);
    if (a->type != DT_F32) {
        open_small(&h, memory);
        return h;
    }
    const size_t at = h.first * a->qkv_stride + h.column;
    h.q = (const float *)a->q + at;
    h.k = (const float *)a->k + at;
    h.v = (const float *)a->v + at;
    h.row = a->qkv_stride;
    h.o_row = a->H * a->D;
    h.o = (float *)a->out + h.first * h.o_row + h.column;
    h.probabilities = (float *)h.kept;
    h.other = memory;
    return h;
}

/* ---- softmax ---- */

static size_t visible_keys(const Attention *a, size_t t)
{
    return a->causal ? t + 1 : a->T;
}

/* Scores of query t become probabilities, 0 of keys that it does not see. */
static void softmax_row(const Head *h, size_t t)
{
    const Attention *a = &h->l->a;
    float *s = h->probabilities + t * a->T, top = -INFINITY, sum = 0;
    const size_t visible = visible_keys(a, t);
    for (size_t i = 0; i < visible; i++)
        s[i] *= a->scale;
    kernels()->logsumexp_update(s, visible, &top, &sum);
    kernels()->softmax_from_lse(s, visible, top + logf(sum), 1);
    memset(s + visible, 0, (a->T - visible) * sizeof *s);
    if (a->type != DT_F32)
        kernels()->narrow(a->type, s, h->kept + t * a->T * dtype_size(a->type), a->T);
}

/* dP becomes the gradient of the scores: P (dP - sum P dP) scale. */
static void softmax_row_backward(const Head *h, size_t t)
{
    const Attention *a = &h->l->a;
    const float *p = h->probabilities + t * a->T;
    float *dp = h->other + t * a->T;
    double delta = 0;
    for (size_t i = 0; i < a->T; i++)
        delta += (double)p[i] * (double)dp[i];
    for (size_t i = 0; i < a->T; i++)
        dp[i] = p[i] * (dp[i] - (float)delta) * a->scale;
}

static void widen_kept_row(const Head *h, size_t t)
{
    const Attention *a = &h->l->a;
    if (a->type != DT_F32)
        kernels()->widen(a->type, h->kept + t * a->T * dtype_size(a->type),
                         h->probabilities + t * a->T, a->T);
}

static void each_query(const Head *h, void (*work)(const Head *h, size_t t))
{
#pragma omp parallel for schedule(static) num_threads(h->l->threads)
    for (size_t t = 0; t < h->l->a.T; t++)
        work(h, t);
}

/* ---- products ---- */

/* A matrix: element (i, j) is at[i * row + j * col]. */
typedef struct Matrix {
    const float *at;
    size_t row, col;
} Matrix;

/* c[m,n] = a[m,k] b[k,n]. */
static void multiply(const Head *h, size_t m, size_t n, size_t k, Matrix a, Matrix b, float *c,
                     size_t c_row)
{
    gemm_run(&(Gemm){.m = m,
                     .n = n,
                     .k = k,
                     .a = a.at,
                     .a_row = a.row,
                     .a_col = a.col,
                     .b = b.at,
                     .b_row = b.row,
                     .b_col = b.col,
                     .product = h->l->a.product,
                     .c = c,
                     .c_row = c_row},
             h->l->threads, h->gemm_scratch);
}

static void store_out(const Head *h)
{
    const Attention *a = &h->l->a;
    const size_t size = dtype_size(a->out_type), row = a->H * a->D;
    for (size_t t = 0; a->type != DT_F32 && t < a->T; t++)
        kernels()->narrow(a->out_type, h->o + t * a->D,
                          (char *)a->out + ((h->first + t) * row + h->column) * size, a->D);
}

static void head_forward(const Head *h)
{
    const Attention *a = &h->l->a;
    const size_t T = a->T, D = a->D;
    multiply(h, T, T, D, (Matrix){h->q, h->row, 1}, (Matrix){h->k, 1, h->row}, h->probabilities, T);
    each_query(h, softmax_row);
    multiply(h, T, D, T, (Matrix){h->probabilities, T, 1}, (Matrix){h->v, h->row, 1}, h->o,
             h->o_row);
    store_out(h);
}

static void head_backward(const Head *h)
{
    const Attention *a = &h->l->a;
    const size_t T = a->T, D = a->D, C = a->H * D, row = a->qkv_stride;
    const Matrix dout = {h->l->dout + h->first * C + h->column, C, 1};
    float *dq = h->l->dqkv + h->first * row + h->column, *dk = dq + C, *dv = dk + C;
    each_query(h, widen_kept_row);
    multiply(h, T, D, T, (Matrix){h->probabilities, 1, T}, dout, dv, row);
    multiply(h, T, T, D, dout, (Matrix){h->v, 1, h->row}, h->other, T);
    each_query(h, softmax_row_backward);
    multiply(h, T, D, T, (Matrix){h->other, T, 1}, (Matrix){h->k, h->row, 1}, dq, row);
    multiply(h, T, D, T, (Matrix){h->other, 1, T}, (Matrix){h->q, h->row, 1}, dk, row);
}

static void each_head(const AttentionLayer *l, void (*work)(const Head *h))
{
    for (size_t b = 0; b < l->a.B; b++)
        for (size_t i = 0; i < l->a.H; i++) {
            const Head h = head_of(l, b, i);
            work(&h);
        }
}

static void forward(const AttentionLayer *l)
{
    each_head(l, head_forward);
}

static void backward(const AttentionLayer *l)
{
    each_head(l, head_backward);
}

const AttentionImpl attention_plain = {"plain", probabilities_bytes, scratch_bytes, forward,
                                       backward};
