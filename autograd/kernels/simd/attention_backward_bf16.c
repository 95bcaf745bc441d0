/* attention_backward_bf16: the heads of one task, backward, whose five products are in bf16.
 *
 * One idea: queries are lanes, as in forward. A tile's width of queries at a time meets all keys
 * that it may see. Probabilities and the gradients of the scores, [keys][queries], are rounded once
 * each: their rows are A of the gradients of keys and values, and pairs of their rows are B of that
 * of the queries. Softmax and all sums are fp32. */
#include "autograd/kernels/simd/attention.h"

/* What the heads of a task share. */
typedef struct Shared {
    const LowKernel *kernel;
    size_t row, turned_row;         /* distance of the rows of the next three, in units */
    uint32_t *keys, *values;        /* [T][units of D] */
    uint32_t *turned;               /* keys, [D][units of T] */
    float *dk, *dv;                 /* sums: panels of channels, each [T][its width] */
    uint32_t *q, *dout;             /* of a block of queries: [units of D][width] */
    uint32_t *q_pairs, *dout_pairs; /* panels of channels, each [width / 2][its width] */
    float *scores, *dp;             /* [keys][width] */
    uint32_t *p_rows, *ds_rows;     /* [keys][width / 2] */
    uint32_t *ds_pairs;             /* [units of keys][width] */
    float *dq;                      /* [D][width] */
    uint32_t *stage;
} Shared;

static uint32_t *take_units(float **scratch, size_t units)
{
    return (uint32_t *)take(scratch, units);
}

static Shared prepare(const AttentionTask *task, const Head *head, float **scratch)
{
    const Attention *a = head->a;
    const size_t T = head->T, D = head->D, channels = whole_vectors(D);
    Shared s = {.kernel = task->kernel,
                .row = low_row_stride(units_of(D)),
                .turned_row = low_row_stride(units_of(T))};
    s.keys = take_units(scratch, T * s.row);
    s.values = take_units(scratch, T * s.row);
    s.turned = take_units(scratch, D * s.turned_row);
    s.dk = take(scratch, T * channels);
    s.dv = take(scratch, T * channels);
    s.q = take_units(scratch, units_of(D) * NR);
    s.dout = take_units(scratch, units_of(D) * NR);
    s.q_pairs = take_units(scratch, NR / 2 * channels);
    s.dout_pairs = take_units(scratch, NR / 2 * channels);
    s.scores = take(scratch, T * NR);
    s.dp = take(scratch, T * NR);
    s.p_rows = take_units(scratch, T * NR / 2);
    s.ds_rows = take_units(scratch, T * NR / 2);
    s.ds_pairs = take_units(scratch, units_of(T) * NR);
    s.dq = take(scratch, D * NR);
    s.stage = take_units(scratch, VL * D);
    KERNEL(attention_round)(kv_rows(head, a->k, 0), T, s.keys, s.row);
    KERNEL(attention_round)(kv_rows(head, a->v, 0), T, s.values, s.row);
    KERNEL(attention_turn)(kv_rows(head, a->k, 0), T, s.stage, s.turned, s.turned_row);
    memset(s.dk, 0, T * channels * sizeof(float));
    memset(s.dv, 0, T * channels * sizeof(float));
    return s;
}

/* A block of queries, one in each lane. */
typedef struct Block {
    size_t first, count, width; /* width: count in whole vectors */
    size_t keys;                /* how many the last query may see */
} Block;

/* Lanes of a vector of queries: what scores are reduced by, the factor that makes the sum of the
 * probabilities 1, and sum p dp. */
typedef struct Lanes {
    vf lse, norm, delta;
} Lanes;

/* Turns scores into probabilities without their norm. A query that sees nothing gets zeros. */
static Lanes weigh(const Head *head, const Block *block, size_t j, float *scores, const float *dp)
{
    const float scale = head->a->scale;
    const float *at = head->lse + block->first + j;
    vf lse = vload_some(at, block->count > j ? block->count - j : 0), sum = {0}, weighted = {0};
    lse = vif_less(vset1(-INFINITY), lse, lse, vset1(0));
    for (size_t i = 0; i < block->keys; i++, scores += block->width, dp += block->width) {
        vf p = vexp(vload(scores + j) * scale - lse);
        sum += p;
        weighted += p * vload(dp + j);
        vstore(scores + j, p);
    }
    vf norm = vif_less(sum, vset1(0.5f), vset1(0), 1.0f / sum);
    return (Lanes){lse, norm, weighted * norm};
}

/* Two keys, or the last, of one vector of queries: rounds p and ds = p (dp - sum p dp) scale. */
ALWAYS_INLINE void round_two(const Shared *s, const Lanes *l, size_t width, size_t j, size_t key,
                             bool both, float scale)
{
    vu rounded[2] = {{0}};
    for (size_t i = 0; i < 1 + (size_t)both; i++) {
        const size_t at = (key + i) * width + j;
        vf p = vload(s->scores + at) * l->norm;
        rounded[i] = vround_bf16(p * (vload(s->dp + at) - l->delta) * scale);
        *(vh_any *)((uint16_t *)s->p_rows + at) = vnarrow_bf16(p);
        *(vh_any *)((uint16_t *)s->ds_rows + at) = __builtin_convertvector(rounded[i], vh);
    }
    vstore((float *)s->ds_pairs + key / 2 * width + j, (vf)(rounded[0] | rounded[1] << 16));
}

static void softmax_backward(const Shared *s, const Head *head, const Block *block)
{
    hide_keys(head, block->first, block->width, head->a->causal, 0, block->keys, s->scores);
    for (size_t j = 0; j < block->width; j += VL) {
        const Lanes l = weigh(head, block, j, s->scores, s->dp);
        size_t key = 0;
        for (; key + 2 <= block->keys; key += 2)
            round_two(s, &l, block->width, j, key, true, head->a->scale);
        if (key < block->keys)
            round_two(s, &l, block->width, j, key, false, head->a->scale);
    }
}

/* sums += a^T b of the block's queries: a [keys][width / 2], b as attention_zip makes it. */
static void fold(const Shared *s, const Head *head, const Block *block, const uint32_t *a,
                 const uint32_t *b, float *sums)
{
    const size_t D = head->D, units = block->width / 2;
    for (size_t p = 0; p < panel_count(&simd_tile, D); p++) {
        size_t from = panel_start(&simd_tile, D, p),
               width = panel_start(&simd_tile, D, p + 1) - from;
        KERNEL(attention_multiply)
        (s->kernel, a, units, block->keys, units, b + units * from, width, sums + head->T * from,
         true);
    }
}

/* Writes the block's dq, adds to dk and dv. */
static void one_block(const Shared *s, const AttentionTask *task, const Head *head,
                      const Block *block)
{
    const Attention *a = head->a;
    const size_t D = head->D, width = block->width, units = units_of(D);
    const Rows q = q_rows(head, block->first);
    const Rows dout = {DT_F32, task->dout + head->out_at + block->first * a->H * D, a->H * D, D};
    int64_t since = parts_begin(head);
    KERNEL(attention_lanes)(q, block->count, width, s->stage, s->q);
    KERNEL(attention_multiply)
    (s->kernel, s->keys, s->row, block->keys, units, s->q, width, s->scores, false);
    part_ends(head, PART_SCORES, &since);
    KERNEL(attention_lanes)(dout, block->count, width, s->stage, s->dout);
    KERNEL(attention_multiply)
    (s->kernel, s->values, s->row, block->keys, units, s->dout, width, s->dp, false);
    part_ends(head, PART_VALUES, &since);
    softmax_backward(s, head, block);
    part_ends(head, PART_SOFTMAX, &since);
    KERNEL(attention_multiply)
    (s->kernel, s->turned, s->turned_row, D, units_of(block->keys), s->ds_pairs, width, s->dq,
     false);
    KERNEL(interleave)
    (D, block->count, (const uint32_t *)s->dq, width,
     (uint32_t *)(task->dq + head->q_at + block->first * a->qkv_stride), a->qkv_stride);
    KERNEL(attention_zip)(q, block->count, width / 2, s->q_pairs);
    fold(s, head, block, s->ds_rows, s->q_pairs, s->dk);
    part_ends(head, PART_SCORES, &since);
    KERNEL(attention_zip)(dout, block->count, width / 2, s->dout_pairs);
    fold(s, head, block, s->p_rows, s->dout_pairs, s->dv);
    part_ends(head, PART_VALUES, &since);
}

/* sums, panels of channels, into rows. */
static void store_rows(const Head *head, const float *sums, float *out)
{
    const size_t D = head->D;
    for (size_t p = 0; p < panel_count(&simd_tile, D); p++) {
        size_t from = panel_start(&simd_tile, D, p),
               width = panel_start(&simd_tile, D, p + 1) - from;
        size_t n = D - from < width ? D - from : width;
        for (size_t t = 0; t < head->T; t++, sums += width)
            memcpy(out + t * head->kv_stride + from, sums, n * sizeof(float));
    }
}

void KERNEL(attention_backward_bf16)(const AttentionTask *task, float *scratch)
{
    const Head first = head_of(task, 0);
    const Shared s = prepare(task, &first, &scratch);
    const size_t T = first.T;
    for (size_t i = 0; i < task->heads; i++) {
        const Head head = head_of(task, i);
        for (size_t b = 0; b < panel_count(&simd_tile, T); b++) {
            Block block = {.first = panel_start(&simd_tile, T, b)};
            block.width = panel_start(&simd_tile, T, b + 1) - block.first;
            block.count = T - block.first < block.width ? T - block.first : block.width;
            block.keys = visible_keys(&head, block.first + block.count - 1);
            one_block(&s, task, &head, &block);
        }
    }
    store_rows(&first, s.dk, task->dk + first.kv_at);
    store_rows(&first, s.dv, task->dv + first.kv_at);
}
