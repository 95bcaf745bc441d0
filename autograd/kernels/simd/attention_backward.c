/* attention_backward: one head of one sequence, backward.
 *
 * One idea: keys and values are packed once; then ATTENTION_ROWS queries at a time meet all keys
 * that they may see, so that only rows x T scores exist. The log-sum-exp that forward kept gives
 * the probabilities again (Dao et al. 2022). All products are gemm_block's; products of bf16 have a
 * file of their own. */
#include "autograd/kernels/simd/attention.h"

/* Row length of a block of scores: whole vectors, and one cache line more, so that rows do not fall
 * into one cache set where T is a power of two. */
static size_t score_row(size_t T)
{
    return (T + 15) / 16 * 16 + 16;
}

/* What to add to each key's score, -infinity for a masked one; NULL without a mask. */
static const float *key_bias(const Head *head, float *bias)
{
    for (size_t s = 0; head->mask && s < whole_vectors(head->T); s++)
        bias[s] = s < head->T && head->mask[s] ? 0 : -INFINITY;
    return head->mask ? bias : NULL;
}

/* scores[rows, keys] = x[rows, D] (packed [D, T]); x has the stride of q or of dout. */
static void score_block(const Head *head, const float *x, size_t x_row, const float *packed,
                        size_t rows, size_t keys, float *scores)
{
    size_t last = 0;
    while (panel_start(&simd_tile, head->T, last) < keys)
        last++;
    const GemmBlock block = {
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
        .c_row = score_row(head->T),
    };
    KERNEL(gemm_block)(&block);
}

/* y[rows, D] = or += weights[rows, k] (packed [depth, D]). */
static void mix_block(const Head *head, const float *weights, size_t a_row, size_t a_col,
                      const float *packed, size_t rows, size_t k, size_t depth, float *y,
                      size_t y_row, bool add)
{
    const GemmBlock block = {
        .rows = rows,
        .n = head->D,
        .last = panel_count(&simd_tile, head->D),
        .k = k,
        .a = weights,
        .a_row = a_row,
        .a_col = a_col,
        .b = packed,
        .depth = depth,
        .c = y,
        .c_row = y_row,
        .add = add,
    };
    KERNEL(gemm_block)(&block);
}

static void clear(float *s, size_t from, size_t to)
{
    if (from < to)
        memset(s + from, 0, (to - from) * sizeof(float));
}

/* Turns scores s into probabilities p, and their gradient dp, in ds, into that of the scores: ds
 * = p (dp - sum p dp) scale. The rounding of lse is one factor for the whole row and is divided
 * out. */
static void softmax_row_backward(const Head *head, const float *bias, float *s, float *ds,
                                 size_t visible, size_t keys, float lse)
{
    const float scale = head->a->scale;
    const size_t end = whole_vectors(visible);
    if (lse == -INFINITY) {
        clear(s, 0, keys);
        clear(ds, 0, keys);
        return;
    }
    for (size_t i = visible; i < end; i++)
        s[i] = -INFINITY;
    clear(ds, visible, end);
    vf sum = {0}, weighted = {0};
    for (size_t i = 0; i < end; i += VL) {
        vf x = vload(s + i) * scale - lse;
        vf p = vexp(bias ? x + vload(bias + i) : x);
        sum += p;
        weighted += p * vload(ds + i);
        vstore(s + i, p);
    }
    float norm = 1.0f / vsum(sum), delta = vsum(weighted) * norm;
    for (size_t i = 0; i < end; i += VL) {
        vf p = vload(s + i) * norm;
        vstore(s + i, p);
        vstore(ds + i, p * (vload(ds + i) - delta) * scale);
    }
    clear(s, end, keys);
    clear(ds, end, keys);
}

/* Rows of q, k, v or dout in fp32, back to back: where they lie they are often a multiple of 4096
 * bytes apart, and all of them would fall into one cache set. */
static const float *gathered(Rows x, size_t rows, float *memory)
{
    for (size_t t = 0; t < rows; t++)
        KERNEL(widen)(x.type, row_of(&x, t), memory + t * x.channels, x.channels);
    return memory;
}

/* What the heads of a task share: their keys and values, packed, and the sums of the gradients of
 * both, [T, D]. */
typedef struct Keys {
    const float *bias, *by_channel, *values, *by_row; /* keys [D, T], values [D, T], keys [T, D] */
    float *dk, *dv;
} Keys;

static Keys pack_keys(const Head *head, float **scratch)
{
    const size_t T = head->T, D = head->D, panels = panel_count(&simd_tile, T);
    float *memory = take(scratch, T * D);
    const float *bias = key_bias(head, take(scratch, score_row(T)));
    float *by_channel = take(scratch, D * whole_vectors(T));
    float *values = take(scratch, D * whole_vectors(T));
    float *by_row = take(scratch, T * whole_vectors(D));
    float *dk = take(scratch, T * D), *dv = take(scratch, T * D);
    const float *vs = gathered(kv_rows(head, head->a->v, 0), T, memory);
    KERNEL(pack_b)(D, T, 0, panels, vs, 1, D, values);
    const float *ks = gathered(kv_rows(head, head->a->k, 0), T, memory);
    KERNEL(pack_b)(D, T, 0, panels, ks, 1, D, by_channel);
    KERNEL(pack_b)(T, D, 0, panel_count(&simd_tile, D), ks, D, 1, by_row);
    clear(dk, 0, T * D);
    clear(dv, 0, T * D);
    return (Keys){bias, by_channel, values, by_row, dk, dv};
}

/* Writes dq, adds to dk and dv of the keys. */
static void one_head(const AttentionTask *task, const Head *head, const Keys *keys, float *scratch)
{
    const size_t T = head->T, D = head->D, stride = head->a->qkv_stride, out_row = head->a->H * D;
    const size_t ld = score_row(T), channel_panels = panel_count(&simd_tile, D);
    float *dq = task->dq + head->q_at;
    float *queries = take(&scratch, ATTENTION_ROWS * whole_vectors(D));
    float *douts = take(&scratch, ATTENTION_ROWS * whole_vectors(D));
    float *s = take(&scratch, ATTENTION_ROWS * ld);
    float *ds = take(&scratch, ATTENTION_ROWS * ld);
    float *q_memory = take(&scratch, ATTENTION_ROWS * D);
    float *dout_memory = take(&scratch, ATTENTION_ROWS * D);
    for (size_t t0 = 0; t0 < T; t0 += ATTENTION_ROWS) {
        size_t rows = T - t0 < ATTENTION_ROWS ? T - t0 : ATTENTION_ROWS;
        size_t visible = visible_keys(head, t0 + rows - 1);
        const Rows dout = {DT_F32, task->dout + head->out_at + t0 * out_row, out_row, D};
        int64_t since = parts_begin(head);
        const float *q = gathered(q_rows(head, t0), rows, q_memory);
        score_block(head, q, D, keys->by_channel, rows, visible, s);
        part_ends(head, PART_SCORES, &since);
        const float *dy = gathered(dout, rows, dout_memory);
        score_block(head, dy, D, keys->values, rows, visible, ds);
        part_ends(head, PART_VALUES, &since);
        for (size_t r = 0; r < rows; r++)
            softmax_row_backward(head, keys->bias, s + r * ld, ds + r * ld,
                                 visible_keys(head, t0 + r), visible, head->lse[t0 + r]);
        part_ends(head, PART_SOFTMAX, &since);
        KERNEL(pack_b)(rows, D, 0, channel_panels, q, D, 1, queries);
        mix_block(head, ds, ld, 1, keys->by_row, rows, visible, T, dq + t0 * stride, stride, false);
        mix_block(head, ds, 1, ld, queries, visible, rows, rows, keys->dk, D, true);
        part_ends(head, PART_SCORES, &since);
        KERNEL(pack_b)(rows, D, 0, channel_panels, dy, D, 1, douts);
        mix_block(head, s, 1, ld, douts, visible, rows, rows, keys->dv, D, true);
        part_ends(head, PART_VALUES, &since);
    }
}

void KERNEL(attention_backward)(const AttentionTask *task, float *scratch)
{
    if (task->kernel) {
        KERNEL(attention_backward_bf16)(task, scratch);
        return;
    }
    const Head first = head_of(task, 0);
    const Keys keys = pack_keys(&first, &scratch);
    for (size_t i = 0; i < task->heads; i++) {
        const Head head = head_of(task, i);
        one_head(task, &head, &keys, scratch);
    }
    for (size_t t = 0; t < first.T; t++) {
        size_t at = first.kv_at + t * first.kv_stride;
        memcpy(task->dk + at, keys.dk + t * first.D, first.D * sizeof(float));
        memcpy(task->dv + at, keys.dv + t * first.D, first.D * sizeof(float));
    }
}
