/* attention: one head of one sequence, forward; backward is attention_backward.c.
 *
 * One idea: queries are lanes. The scores of up to a tile's width of queries against some keys,
 * [keys][queries], come from the tile kernel of the matrix product and are the panel that it reads
 * next, against the values. Maximum, exponential and sum run down the keys with nothing to do across
 * lanes, no head is too small to fill a vector, and neither keys nor values are packed. Only these
 * scores exist: a softmax over more keys is rescaled as they come (Milakov & Gimelshein 2018; Dao et
 * al. 2022). What is done to a query does not depend on its neighbours, so neither do results on how
 * queries are divided. */
#include "attention.h"

enum { SUM_CHAIN = 32 }; /* as in the matrix product */

/* Some queries of a head, one to a lane. */
typedef struct Queries {
    const Head *head;
    size_t first, count, width; /* width: count in whole vectors, at most NR */
    size_t keys;                /* those that the last query may see */
} Queries;

/* scores[n][queries] of the n keys from s0 on. */
static void score_keys(const Queries *qs, size_t s0, size_t n, const float *packed, float *scores)
{
    const Head *head = qs->head;
    KERNEL(gemm_block)
    (&(GemmBlock){
        .rows = n,
        .n = qs->width,
        .last = 1,
        .k = head->D,
        .a = head->k + s0 * head->a->qkv_stride,
        .a_row = head->a->qkv_stride,
        .a_col = 1,
        .b = packed,
        .depth = head->D,
        .c = scores,
        .c_row = qs->width,
    });
}

/* mixed[channels][queries] = or += v^T p of the n keys from s0 on. */
static void mix_values(const Queries *qs, size_t s0, size_t n, const float *p, float *mixed)
{
    const Head *head = qs->head;
    KERNEL(gemm_block)
    (&(GemmBlock){
        .rows = head->D,
        .n = qs->width,
        .last = 1,
        .k = n,
        .a = head->v + s0 * head->a->qkv_stride,
        .a_row = 1,
        .a_col = head->a->qkv_stride,
        .b = p,
        .depth = n,
        .c = mixed,
        .c_row = qs->width,
        .add = s0 > 0,
    });
}

/* Scores of masked keys, and of keys after their query, become -infinity. */
static void hide_keys(const Queries *qs, size_t s0, size_t n, float *scores)
{
    static const float numbers[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const vf lane = vload(numbers), hidden = vset1(-INFINITY);
    const int32_t *mask = qs->head->mask;
    for (size_t s = s0; mask && s < s0 + n; s++)
        for (size_t j = 0; !mask[s] && j < qs->width; j += VL)
            vstore(scores + (s - s0) * qs->width + j, hidden);
    for (size_t j = 0; qs->head->a->causal && j < qs->width; j += VL) {
        size_t query = qs->first + j;
        for (size_t s = s0 > query ? s0 : query + 1; s < s0 + n; s++) {
            float *at = scores + (s - s0) * qs->width + j;
            vstore(at, vif_less(lane, vset1((float)(s - query)), hidden, vload(at)));
        }
    }
}

static vf highest_score(const float *scores, size_t n, size_t width, vf top)
{
    for (size_t s = 0; s < n; s++)
        top = vmax(top, vload(scores + s * width));
    return top;
}

/* exp(scale (score - top)); 0 for a score of -infinity, even where nothing is visible yet. Only the
 * difference is scaled: a large score would carry the rounding of the factor with it. */
ALWAYS_INLINE vf weight_of(vf score, vf top, float scale)
{
    return vexp2_negative((score - top) * (scale * 1.442695041f));
}

/* Scores of one vector of queries become their weights; the sums of these. */
static vf weigh_scores(float *scores, size_t n, size_t width, vf top, float scale)
{
    vf total = {0};
    for (size_t from = 0; from < n; from += SUM_CHAIN) {
        vf sum = {0};
        for (size_t s = from; s < n && s < from + SUM_CHAIN; s++) {
            vf weight = weight_of(vload(scores + s * width), top, scale);
            sum += weight;
            vstore(scores + s * width, weight);
        }
        total += sum;
    }
    return total;
}

/* The log of the sums of exp(scale score). */
static void store_lse(const Head *head, float *lse, size_t count, vf top, vf sum)
{
    for (size_t i = 0; i < count && i < VL; i++)
        lse[i] = top[i] * head->a->scale + logf(sum[i]);
}

/* A vector of queries from [D][width] to rows of out, each times its lane of factor. */
static void store_queries(const Head *head, const float *mixed, size_t width, size_t count,
                          vf factor, float *out)
{
    size_t D = head->D, out_row = head->a->H * D;
    for (size_t d = 0; d < D; d += VL) {
        vf square[VL];
        for (size_t i = 0; i < VL; i++)
            square[i] = d + i < D ? vload(mixed + (d + i) * width) * factor : (vf){0};
        vtranspose(square);
        for (size_t i = 0; i < VL && i < count; i++)
            if (d + VL <= D)
                vstore(out + i * out_row + d, square[i]);
            else
                vstore_part(out + i * out_row + d, square[i], D - d);
    }
}

/* One vector of queries meets n more keys: what it has so far, in `mixed` where it has anything, is
 * brought down to the new maximum. */
static void softmax_lanes(const Queries *qs, size_t n, float *scores, vf *top, vf *sum,
                          float *mixed)
{
    const float scale = qs->head->a->scale;
    vf now = highest_score(scores, n, qs->width, *top);
    vf shift = vif_less(vset1(-INFINITY), now, now, vset1(0));
    vf rescale = weight_of(*top, shift, scale);
    *sum = *sum * rescale + weigh_scores(scores, n, qs->width, shift, scale);
    for (size_t d = 0; mixed && d < qs->head->D; d++)
        vstore(mixed + d * qs->width, vload(mixed + d * qs->width) * rescale);
    *top = now;
}

static void attend(const Queries *qs, const float *packed, float *scores, float *mixed)
{
    const Head *head = qs->head;
    const size_t width = qs->width, vectors = width / VL;
    vf top[NV], sum[NV] = {{0}};
    for (size_t v = 0; v < vectors; v++)
        top[v] = vset1(-INFINITY);
    for (size_t s = 0; s < qs->keys; s += ATTENTION_KEYS) {
        size_t n = qs->keys - s < ATTENTION_KEYS ? qs->keys - s : ATTENTION_KEYS;
        score_keys(qs, s, n, packed, scores);
        hide_keys(qs, s, n, scores);
        for (size_t v = 0; v < vectors; v++)
            softmax_lanes(qs, n, scores + v * VL, &top[v], &sum[v], s > 0 ? mixed + v * VL : NULL);
        mix_values(qs, s, n, scores, mixed);
    }
    for (size_t v = 0; v < vectors; v++) {
        size_t query = qs->first + v * VL, count = qs->count - v * VL;
        vf factor = vif_less(sum[v], vset1(0.5f), vset1(0), 1.0f / sum[v]);
        if (head->lse)
            store_lse(head, head->lse + query, count, top[v], sum[v]);
        store_queries(head, mixed + v * VL, width, count, factor,
                      head->out + query * head->a->H * head->D);
    }
}

void KERNEL(attention_forward)(const AttentionTask *task, float *scratch)
{
    const Head head = head_of(task);
    const size_t count = task->last - task->first, blocks = panel_count(&simd_tile, count);
    float *packed = take(&scratch, head.D * NR);
    float *mixed = take(&scratch, head.D * NR);
    float *scores = take(&scratch, ATTENTION_KEYS * NR);
    for (size_t i = 0; i < blocks; i++) {
        size_t from = panel_start(&simd_tile, count, i);
        size_t width = panel_start(&simd_tile, count, i + 1) - from;
        Queries qs = {.head = &head, .first = task->first + from, .width = width};
        qs.count = count - from < width ? count - from : width;
        qs.keys = visible_keys(&head, qs.first + qs.count - 1);
        KERNEL(pack_b)
        (head.D, qs.count, 0, 1, head.q + qs.first * head.a->qkv_stride, 1, head.a->qkv_stride,
         packed);
        attend(&qs, packed, scores, mixed);
    }
}
