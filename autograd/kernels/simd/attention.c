/* attention: one head of one sequence, forward and backward.
 *
 * One idea: the keys and values of the head are packed once, then ATTENTION_ROWS queries at a time
 * meet all keys they may see by the tile kernels of the matrix product, so that only rows x T
 * scores exist. Backward makes the probabilities again from the kept log-sum-exp (Dao et al. 2022).
 * Heads among threads are attention.c's business, one folder up. */
#include "simd.h"
#include "vmath.h"

typedef struct Head {
    const Attention *a;
    size_t T, D, ld; /* ld: row length of a block of scores */
    size_t key_panels, channel_panels;
    const float *q, *k, *v;
    float *out, *lse;  /* row t of out is H*D floats further */
    const float *bias; /* [T] 0 or -infinity, or NULL: what a masked key adds to its score */
} Head;

/* Scores are worked in whole vectors, hence the rounding; the extra line keeps the rows of a
 * block from meeting in one cache set when T is a power of two. */
static size_t score_row(size_t T)
{
    return (T + 15) / 16 * 16 + 16;
}

/* Takes the next `floats` of scratch, in whole cache lines. */
static float *take(float **scratch, size_t floats)
{
    float *p = *scratch;
    *scratch += (floats + 15) / 16 * 16;
    return p;
}

static size_t whole_vectors(size_t n)
{
    return (n + VL - 1) / VL * VL;
}

static Head head_of(const AttentionTask *task, float **scratch)
{
    const Attention *a = task->a;
    size_t at = task->b * a->T * a->qkv_stride + task->h * a->D;
    Head head = {
        .a = a,
        .T = a->T,
        .D = a->D,
        .ld = score_row(a->T),
        .key_panels = panel_count(&simd_tile, a->T),
        .channel_panels = panel_count(&simd_tile, a->D),
        .q = a->q + at,
        .k = a->k + at,
        .v = a->v + at,
        .out = a->out + (task->b * a->T * a->H + task->h) * a->D,
        .lse = a->lse ? a->lse + (task->b * a->H + task->h) * a->T : NULL,
    };
    float *bias = take(scratch, head.ld);
    if (a->key_mask) {
        for (size_t s = 0; s < a->T; s++)
            bias[s] = a->key_mask[task->b * a->T + s] ? 0 : -INFINITY;
        head.bias = bias;
    }
    return head;
}

/* How many keys query t sees, masks aside. */
static size_t visible_keys(const Head *head, size_t t)
{
    return head->a->causal ? t + 1 : head->T;
}

/* scores[rows, keys] = x[rows, D] (packed [D, T]); x has the stride of q or of dout. */
static void score_block(const Head *head, const float *x, size_t x_row, const float *packed,
                        size_t rows, size_t keys, float *scores)
{
    size_t last = 0;
    while (panel_start(&simd_tile, head->T, last) < keys)
        last++;
    KERNEL(gemm_block)
    (&(GemmBlock){
        .rows = rows,
        .n = head->T,
        .last = last,
        .k = head->D,
        .a = x,
        .a_row = x_row,
        .a_col = 1,
        .b = packed,
        .depth = head->D,
        .c = scores,
        .c_row = head->ld,
    });
}

/* y[rows, D] = or += weights[rows, k] (packed [depth, D]). */
static void mix_block(const Head *head, const float *weights, size_t a_row, size_t a_col,
                      const float *packed, size_t rows, size_t k, size_t depth, float *y,
                      size_t y_row, bool add)
{
    KERNEL(gemm_block)
    (&(GemmBlock){
        .rows = rows,
        .n = head->D,
        .last = head->channel_panels,
        .k = k,
        .a = weights,
        .a_row = a_row,
        .a_col = a_col,
        .b = packed,
        .depth = depth,
        .c = y,
        .c_row = y_row,
        .add = add,
    });
}

/* s[i] = scale s[i] + bias[i] over the visible keys, -infinity up to a whole vector; the maximum. */
static float scale_scores(const Head *head, float *s, size_t visible)
{
    float scale = head->a->scale;
    for (size_t i = visible; i < whole_vectors(visible); i++)
        s[i] = -INFINITY;
    vf top = vset1(-INFINITY);
    for (size_t i = 0; i < visible; i += VL) {
        vf x = vload(s + i) * scale;
        if (head->bias)
            x +=
                i + VL <= visible ? vload(head->bias + i) : vload_part(head->bias + i, visible - i);
        top = vmax(top, x);
        vstore(s + i, x);
    }
    return vhighest(top);
}

static void clear(float *s, size_t from, size_t to)
{
    if (from < to)
        memset(s + from, 0, (to - from) * sizeof(float));
}

/* Scores to unnormalised probabilities exp(s - max), zero where nothing is visible. Returns what
 * the row must still be multiplied with; *lse is the log of the sum of exp(s). */
static float softmax_row(const Head *head, float *s, size_t visible, size_t keys, float *lse)
{
    float top = scale_scores(head, s, visible);
    if (top == -INFINITY) {
        clear(s, 0, keys);
        *lse = -INFINITY;
        return 0;
    }
    vf sum = {0};
    for (size_t i = 0; i < visible; i += VL) {
        vf e = vexp(vload(s + i) - top);
        sum += e;
        vstore(s + i, e);
    }
    clear(s, whole_vectors(visible), keys);
    float total = vsum(sum);
    *lse = top + logf(total);
    return 1.0f / total;
}

static void scale_row(float *y, size_t n, float factor)
{
    size_t i = 0;
    for (; i + VL <= n; i += VL)
        vstore(y + i, vload(y + i) * factor);
    for (; i < n; i++)
        y[i] *= factor;
}

void KERNEL(attention_forward)(const AttentionTask *task, float *scratch)
{
    const Head head = head_of(task, &scratch);
    const size_t T = head.T, D = head.D, stride = head.a->qkv_stride, out_row = head.a->H * D;
    const size_t seen = visible_keys(&head, task->last - 1);
    float *keys_packed = take(&scratch, D * whole_vectors(T));
    float *values_packed = take(&scratch, T * whole_vectors(D));
    float *scores = take(&scratch, ATTENTION_ROWS * head.ld);
    KERNEL(pack_b)(D, T, 0, head.key_panels, head.k, 1, stride, keys_packed);
    KERNEL(pack_b)(seen, D, 0, head.channel_panels, head.v, stride, 1, values_packed);

    for (size_t t0 = task->first; t0 < task->last; t0 += ATTENTION_ROWS) {
        size_t rows = task->last - t0 < ATTENTION_ROWS ? task->last - t0 : ATTENTION_ROWS;
        size_t keys = visible_keys(&head, t0 + rows - 1);
        float factor[ATTENTION_ROWS];
        score_block(&head, head.q + t0 * stride, stride, keys_packed, rows, keys, scores);
        for (size_t r = 0; r < rows; r++) {
            float lse;
            factor[r] =
                softmax_row(&head, scores + r * head.ld, visible_keys(&head, t0 + r), keys, &lse);
            if (head.lse)
                head.lse[t0 + r] = lse;
        }
        float *out = head.out + t0 * out_row;
        mix_block(&head, scores, head.ld, 1, values_packed, rows, keys, seen, out, out_row, false);
        for (size_t r = 0; r < rows; r++)
            scale_row(out + r * out_row, D, factor[r]);
    }
}

/* ---- backward ---- */

/* s: scores to probabilities; ds: d probabilities dp to d scores, ds = p (dp - sum p dp) scale. The
 * rounding of lse, the same factor for the whole row, is divided out. */
static void softmax_row_backward(const Head *head, float *s, float *ds, size_t visible, size_t keys,
                                 float lse)
{
    if (lse == -INFINITY) {
        clear(s, 0, keys);
        clear(ds, 0, keys);
        return;
    }
    scale_scores(head, s, visible);
    for (size_t i = visible; i < whole_vectors(visible); i++)
        ds[i] = 0;
    vf sum = {0}, weighted = {0};
    for (size_t i = 0; i < visible; i += VL) {
        vf p = vexp(vload(s + i) - lse);
        sum += p;
        weighted += p * vload(ds + i);
        vstore(s + i, p);
    }
    float norm = 1.0f / vsum(sum), delta = vsum(weighted) * norm;
    for (size_t i = 0; i < visible; i += VL) {
        vf p = vload(s + i) * norm;
        vstore(s + i, p);
        vstore(ds + i, p * (vload(ds + i) - delta) * head->a->scale);
    }
    clear(s, whole_vectors(visible), keys);
    clear(ds, whole_vectors(visible), keys);
}

void KERNEL(attention_backward)(const AttentionTask *task, float *scratch)
{
    const Head head = head_of(task, &scratch);
    const size_t T = head.T, D = head.D, stride = head.a->qkv_stride, out_row = head.a->H * D;
    const size_t at = (size_t)(head.q - head.a->q);
    const float *dout = task->dout + (head.out - head.a->out);
    float *dq = task->dq + at, *dk = task->dk + at, *dv = task->dv + at;
    float *keys_packed = take(&scratch, D * whole_vectors(T));
    float *values_packed = take(&scratch, D * whole_vectors(T));
    float *keys_by_row = take(&scratch, T * whole_vectors(D));
    float *queries = take(&scratch, ATTENTION_ROWS * whole_vectors(D));
    float *douts = take(&scratch, ATTENTION_ROWS * whole_vectors(D));
    float *s = take(&scratch, ATTENTION_ROWS * head.ld);
    float *ds = take(&scratch, ATTENTION_ROWS * head.ld);
    KERNEL(pack_b)(D, T, 0, head.key_panels, head.k, 1, stride, keys_packed);
    KERNEL(pack_b)(D, T, 0, head.key_panels, head.v, 1, stride, values_packed);
    KERNEL(pack_b)(T, D, 0, head.channel_panels, head.k, stride, 1, keys_by_row);
    for (size_t t = 0; t < T; t++) {
        clear(dk + t * stride, 0, D);
        clear(dv + t * stride, 0, D);
    }

    for (size_t t0 = 0; t0 < T; t0 += ATTENTION_ROWS) {
        size_t rows = T - t0 < ATTENTION_ROWS ? T - t0 : ATTENTION_ROWS;
        size_t keys = visible_keys(&head, t0 + rows - 1);
        const float *q = head.q + t0 * stride, *dy = dout + t0 * out_row;
        score_block(&head, q, stride, keys_packed, rows, keys, s);
        score_block(&head, dy, out_row, values_packed, rows, keys, ds);
        for (size_t r = 0; r < rows; r++)
            softmax_row_backward(&head, s + r * head.ld, ds + r * head.ld,
                                 visible_keys(&head, t0 + r), keys, head.lse[t0 + r]);
        KERNEL(pack_b)(rows, D, 0, head.channel_panels, q, stride, 1, queries);
        KERNEL(pack_b)(rows, D, 0, head.channel_panels, dy, out_row, 1, douts);
        mix_block(&head, ds, head.ld, 1, keys_by_row, rows, keys, T, dq + t0 * stride, stride,
                  false);
        mix_block(&head, ds, 1, head.ld, queries, keys, rows, rows, dk, stride, true);
        mix_block(&head, s, 1, head.ld, douts, keys, rows, rows, dv, stride, true);
    }
}
