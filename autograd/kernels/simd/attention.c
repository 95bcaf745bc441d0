/* attention: some heads of one sequence, forward. Backward is attention_backward.c; the products
 * are in attention_products.c.
 *
 * One idea: queries are lanes. A block of scores, [keys][queries] for up to a tile's width of
 * queries, comes from the tile kernel of the matrix product and is the panel of its next product,
 * with the values. Maximum, exponential and sum run down the keys without any work across lanes,
 * and every head fills its vectors. Only one block of scores exists: further keys rescale the
 * softmax (Milakov & Gimelshein 2018; Dao et al. 2022). The work on a query does not depend on its
 * neighbours, so results do not depend on how queries are divided. A single query over a cache, as
 * in decoding, would leave all lanes but one empty: there the heads that share keys are lanes.
 * Heads of few channels need no tiles (attention_short.c). */
#include "autograd/kernels/simd/attention.h"

/* A block of queries of a head, one in each lane; or one query of several heads. */
typedef struct Queries {
    const Head *head; /* of the first lane */
    const Operands *operands;
    size_t first, count, width; /* width: count in whole vectors, at most NR */
    size_t keys;                /* how many the last query may see */
    size_t out_lane;            /* elements of out from a lane to the next */
} Queries;

static vf highest_score(const float *scores, size_t n, size_t width, vf top)
{
    enum { CHAINS = 4 }; /* or each maximum waits for the one before it */
    vf tops[CHAINS] = {top, top, top, top};
    size_t s = 0;
    for (; s + CHAINS <= n; s += CHAINS)
#pragma GCC unroll 4
        for (size_t i = 0; i < CHAINS; i++)
            tops[i] = vmax(tops[i], vload(scores + (s + i) * width));
    for (; s < n; s++)
        tops[0] = vmax(tops[0], vload(scores + s * width));
    return vmax(vmax(tops[0], tops[1]), vmax(tops[2], tops[3]));
}

/* Stores the weights of two keys over their scores or, where `pairs` is not NULL, rounded to bf16
 * into it. Without `both` the second key does not exist. */
ALWAYS_INLINE void store_weights(float *scores, uint32_t *pairs, size_t width, vf even, vf odd,
                                 bool both)
{
    if (pairs) {
        vstore((float *)pairs, (vf)(vround_bf16(even) | vround_bf16(odd) << 16));
        return;
    }
    vstore(scores, even);
    if (both)
        vstore(scores + width, odd);
}

/* Turns the scores of one vector of queries into weights; returns their sums. */
static vf weigh_scores(float *scores, uint32_t *pairs, size_t n, size_t width, vf top, float scale)
{
    vf total = {0};
    for (size_t from = 0; from < n; from += SUM_CHAIN) {
        vf sum = {0};
        for (size_t s = from; s < n && s < from + SUM_CHAIN; s += 2) {
            float *at = scores + s * width;
            bool both = s + 1 < n;
            vf even = weight_of(vload(at), top, scale);
            vf odd = both ? weight_of(vload(at + width), top, scale) : (vf){0};
            sum += even;
            sum += odd;
            store_weights(at, pairs ? pairs + s / 2 * width : NULL, width, even, odd, both);
        }
        total += sum;
    }
    return total;
}

/* The log of the sums of exp(scale score), of the first `count` lanes at most. */
static void store_lse(const Head *head, float *lse, size_t count, vf top, vf sum)
{
    vf any = top * head->a->scale + vlog(sum) + (sum - sum); /* NaN stays NaN */
    vstore_some(lse, vif_less(sum, vset1(0.5f), vset1(-INFINITY), any), count);
}

/* Stores a vector of lanes from `lane` on, [D][width], into out, each times its lane of factor. */
static void store_lanes(const Queries *qs, const float *mixed, size_t lane, vf factor)
{
    const Head *head = qs->head;
    const Attention *a = head->a;
    const size_t D = head->D, width = qs->width, count = qs->count - lane;
    const size_t at = head->out_at + qs->first * a->H * D + lane * qs->out_lane;
    mixed += lane;
    for (size_t d = 0; d < D; d += VL) {
        vf square[VL];
        for (size_t i = 0; i < VL; i++)
            square[i] = d + i < D ? vload(mixed + (d + i) * width) * factor : (vf){0};
        vtranspose(square);
        for (size_t i = 0; i < VL && i < count; i++)
            vstore_as(a->out_type, a->out, at + i * qs->out_lane + d, square[i], D - d);
    }
}

/* The v-th vector of queries meets more keys: its scores become weights. What `mixed` holds of it
 * is rescaled to the new maximum, unless these keys are the first. For short heads the values times
 * their weights are added as well. */
static void softmax_lanes(const Queries *qs, size_t v, const KeyBlock *keys, float *scores, vf *top,
                          vf *sum, float *mixed)
{
    const size_t n = keys_of_vector(keys, v), width = qs->width;
    const float scale = qs->head->a->scale;
    const bool add = keys->s0 > 0;
    scores += v * VL;
    mixed += v * VL;
    vf now = highest_score(scores, n, width, *top);
    vf shift = vif_less(vset1(-INFINITY), now, now, vset1(0));
    vf rescale = weight_of(*top, shift, scale), fresh;
    for (size_t d = 0; add && d < qs->head->D; d++)
        vstore(mixed + d * width, vload(mixed + d * width) * rescale);
    if (qs->operands->is_short) {
        fresh = KERNEL(attention_mix_short)(qs->operands, keys->s0, n, width, scores, shift, add,
                                            mixed);
    } else {
        uint32_t *weights = qs->operands->weights, *pairs = weights ? weights + v * VL : NULL;
        fresh = weigh_scores(scores, pairs, n, width, shift, scale);
    }
    *sum = vfma(*sum, rescale, fresh);
    *top = now;
}

/* Weights of bf16 of the keys from the n-th on, which the v-th vector does not see. */
static void clear_weights(const Queries *qs, size_t v, size_t n, size_t keys)
{
    uint32_t *weights = qs->operands->weights;
    for (size_t u = units_of(n); weights && u < units_of(keys); u++)
        vstore((float *)weights + u * qs->width + v * VL, (vf){0});
}

static void attend(const Queries *qs, float *scores, float *mixed)
{
    const Head *head = qs->head;
    int64_t since = parts_begin(head);
    const size_t width = qs->width, vectors = width / VL;
    const bool single = qs->operands->heads > 0;
    const bool is_short = qs->operands->is_short;
    const bool causal = head->a->causal && !single; /* one query sees all keys */
    vf top[NV], sum[NV] = {{0}};
    for (size_t v = 0; v < vectors; v++)
        top[v] = vset1(-INFINITY);
    for (size_t s = 0; s < qs->keys; s += ATTENTION_KEYS) {
        size_t n = qs->keys - s < ATTENTION_KEYS ? qs->keys - s : ATTENTION_KEYS;
        if (single && s == 0)
            KERNEL(attention_prefetch)(head, head->a->k, 0, n);
        if (single)
            KERNEL(attention_prefetch)(head, head->a->v, s, s + n);
        const ptrdiff_t before = (ptrdiff_t)(head->past + qs->first) - (ptrdiff_t)s;
        const KeyBlock keys = {s, n, causal ? before : (ptrdiff_t)n};
        KERNEL(attention_scores)(qs->operands, &keys, width, scores);
        part_ends(head, PART_SCORES, &since);
        hide_keys(head, qs->first, width, causal, s, n, scores);
        for (size_t v = 0; v < vectors; v++) {
            size_t seen = keys_of_vector(&keys, v);
            if (seen > 0)
                softmax_lanes(qs, v, &keys, scores, &top[v], &sum[v], mixed);
            clear_weights(qs, v, seen, n);
        }
        part_ends(head, is_short ? PART_VALUES : PART_SOFTMAX, &since);
        if (single && s + n < qs->keys) {
            size_t end = s + n + ATTENTION_KEYS;
            KERNEL(attention_prefetch)(head, head->a->k, s + n, end < qs->keys ? end : qs->keys);
        }
        if (!is_short)
            KERNEL(attention_mix)(qs->operands, &keys, width, scores, s > 0, mixed);
        part_ends(head, PART_VALUES, &since);
    }
    for (size_t v = 0; v < vectors; v++) {
        vf factor = vif_less(sum[v], vset1(0.5f), vset1(0), 1.0f / sum[v]);
        if (head->lse)
            store_lse(head, head->lse + qs->first + v * VL, qs->count - v * VL, top[v], sum[v]);
        store_lanes(qs, mixed, v * VL, factor);
    }
    part_ends(head, PART_SOFTMAX, &since);
}

/* All queries of the task for one head. */
static void attend_head(const AttentionTask *task, const Head *head, Operands *operands,
                        float *scores, float *mixed)
{
    const size_t count = task->last - task->first, blocks = panel_count(&simd_tile, count);
    operands->head = head;
    for (size_t i = 0; i < blocks; i++) {
        size_t from = panel_start(&simd_tile, count, i);
        size_t width = panel_start(&simd_tile, count, i + 1) - from;
        Queries qs = {.head = head,
                      .operands = operands,
                      .first = task->first + from,
                      .width = width,
                      .out_lane = head->a->H * head->D};
        qs.count = count - from < width ? count - from : width;
        qs.keys = visible_keys(head, qs.first + qs.count - 1);
        KERNEL(attention_pack_queries)(operands, qs.first, qs.count, width);
        attend(&qs, scores, mixed);
    }
}

/* The task's only query, for all its heads. */
static void attend_heads(const AttentionTask *task, Operands *operands, float *scores, float *mixed)
{
    for (size_t i = 0; i < task->heads; i += VL) {
        const Head head = head_of(task, i);
        const size_t count = task->heads - i < VL ? task->heads - i : VL;
        const Queries qs = {.head = &head,
                            .operands = operands,
                            .first = task->first,
                            .count = count,
                            .width = VL,
                            .keys = visible_keys(&head, task->first),
                            .out_lane = head.D};
        KERNEL(attention_take_heads)(operands, &head, count, task->first);
        attend(&qs, scores, mixed);
    }
}

void KERNEL(attention_forward)(const AttentionTask *task, float *scratch)
{
    const Head first = head_of(task, 0);
    float *mixed = take(&scratch, first.D * NR);
    float *scores = take(&scratch, ATTENTION_KEYS * NR);
    Operands operands = KERNEL(attention_operands)(&first, task, &scratch);
    if (is_single_query(task)) {
        attend_heads(task, &operands, scores, mixed);
        return;
    }
    for (size_t i = 0; i < task->heads; i++) {
        const Head head = head_of(task, i);
        attend_head(task, &head, &operands, scores, mixed);
    }
}
