/* attention_backward_bf16: the heads of one task, backward, whose five products are in bf16.
 *
 * One idea: queries are lanes, as in forward. A tile's width of queries at a time meets all keys
 * that it may see. Probabilities and the gradients of the scores, [keys][queries], are rounded once
 * each: their rows are A of the gradients of keys and values, and pairs of their rows are B of that
 * of the queries. Softmax and all sums are fp32. A team divides the work as in
 * attention_backward.c. */
#include "autograd/kernels/simd/attention.h"

/* Queries in a block at most. */
enum { MOST = 4 * VL > NR ? 4 * VL : NR };

/* Panels of queries and of channels. Tile registers are 16 units deep and want 32 or 64 queries;
 * what 64 make of many keys has no room in the second-level cache. */
static Tile panels_of(const LowKernel *kernel, size_t T)
{
    Tile tile = simd_tile;
    if (kernel->rows)
        tile.vectors = T > 1024 ? 2 : 4;
    return tile;
}

/* What the heads of a task share. */
typedef struct Shared {
    const LowKernel *kernel;
    Tile tile;
    size_t row, turned_row;  /* distance of the rows of the next three, in units */
    uint32_t *keys, *values; /* [T][units of D] */
    uint32_t *turned;        /* keys, [D][units of T] */
    float *dk, *dv;          /* sums: panels of channels, each [T][its width] */
} Shared;

/* A block of queries, one in each lane, and what a member makes of it. */
typedef struct Block {
    size_t first, count, width;     /* width: count in whole vectors */
    size_t keys;                    /* how many the last query may see */
    uint32_t *q, *dout;             /* [units of D][width] */
    uint32_t *q_pairs, *dout_pairs; /* panels of channels, each [width / 2][its width] */
    float *scores, *dp;             /* [keys][width] */
    uint32_t *p_rows, *ds_rows;     /* [keys][width / 2] */
    uint32_t *ds_pairs;             /* [units of keys][width] */
    float *dq;                      /* [D][width] */
    uint32_t *stage;
} Block;

static uint32_t *take_units(float **scratch, size_t units)
{
    return (uint32_t *)take(scratch, units);
}

/* The index-th block of the head, in the scratch of a member. */
static Block block_of(const Tile *tile, const Head *head, const AttentionTeam *team, size_t index,
                      size_t member)
{
    const size_t T = head->T, D = head->D, channels = whole_vectors(D);
    float *scratch = own_scratch(team, member);
    Block b = {.first = panel_start(tile, T, index)};
    b.width = panel_start(tile, T, index + 1) - b.first;
    b.count = T - b.first < b.width ? T - b.first : b.width;
    b.keys = visible_keys(head, b.first + b.count - 1);
    b.q = take_units(&scratch, units_of(D) * MOST);
    b.dout = take_units(&scratch, units_of(D) * MOST);
    b.q_pairs = take_units(&scratch, MOST / 2 * channels);
    b.dout_pairs = take_units(&scratch, MOST / 2 * channels);
    b.scores = take(&scratch, T * MOST);
    b.dp = take(&scratch, T * MOST);
    b.p_rows = take_units(&scratch, T * MOST / 2);
    b.ds_rows = take_units(&scratch, T * MOST / 2);
    b.ds_pairs = take_units(&scratch, units_of(T) * MOST);
    b.dq = take(&scratch, D * MOST);
    b.stage = take_units(&scratch, VL * D);
    return b;
}

static Shared prepare(const AttentionTask *task, const Head *head, const AttentionTeam *team)
{
    const Attention *a = head->a;
    const size_t T = head->T, D = head->D, channels = whole_vectors(D);
    float *scratch = team->shared;
    Shared s = {.kernel = task->kernel,
                .tile = panels_of(task->kernel, head->T),
                .row = low_row_stride(units_of(D)),
                .turned_row = low_row_stride(units_of(T))};
    s.keys = take_units(&scratch, T * s.row);
    s.values = take_units(&scratch, T * s.row);
    s.turned = take_units(&scratch, D * s.turned_row);
    s.dk = take(&scratch, T * channels);
    s.dv = take(&scratch, T * channels);
    const Range range = own_keys(team, T);
    const size_t from = range.from, rows = range.to - from;
    uint32_t *stage = block_of(&s.tile, head, team, 0, team->member).stage;
    KERNEL(attention_round)(kv_rows(head, a->k, from), rows, s.keys + from * s.row, s.row);
    KERNEL(attention_round)(kv_rows(head, a->v, from), rows, s.values + from * s.row, s.row);
    KERNEL(attention_turn)
    (kv_rows(head, a->k, from), rows, stage, s.turned + from / 2, s.turned_row);
    clear_own(team, s.dk, T * channels);
    clear_own(team, s.dv, T * channels);
    return s;
}

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
ALWAYS_INLINE void round_two(const Block *b, const Lanes *l, size_t j, size_t key, bool both,
                             float scale)
{
    vu rounded[2] = {{0}};
    for (size_t i = 0; i < 1 + (size_t)both; i++) {
        const size_t at = (key + i) * b->width + j;
        vf p = vload(b->scores + at) * l->norm;
        rounded[i] = vround_bf16(p * (vload(b->dp + at) - l->delta) * scale);
        *(vh_any *)((uint16_t *)b->p_rows + at) = vnarrow_bf16(p);
        *(vh_any *)((uint16_t *)b->ds_rows + at) = __builtin_convertvector(rounded[i], vh);
    }
    vstore((float *)b->ds_pairs + key / 2 * b->width + j, (vf)(rounded[0] | rounded[1] << 16));
}

static void softmax_backward(const Head *head, const Block *b)
{
    hide_keys(head, b->first, b->width, head->a->causal, 0, b->keys, b->scores);
    for (size_t j = 0; j < b->width; j += VL) {
        const Lanes l = weigh(head, b, j, b->scores, b->dp);
        size_t key = 0;
        for (; key + 2 <= b->keys; key += 2)
            round_two(b, &l, j, key, true, head->a->scale);
        if (key < b->keys)
            round_two(b, &l, j, key, false, head->a->scale);
    }
}

/* Writes dq of the block, and leaves probabilities and the gradients of the scores. */
static void work_queries(const Shared *s, const AttentionTask *task, const Head *head,
                         const Block *b)
{
    const Attention *a = head->a;
    const size_t D = head->D, width = b->width, units = units_of(D);
    const Rows q = q_rows(head, b->first);
    const Rows dout = {DT_F32, task->dout + head->out_at + b->first * a->H * D, a->H * D, D};
    int64_t since = parts_begin(head);
    KERNEL(attention_lanes)(q, b->count, width, b->stage, b->q);
    KERNEL(attention_multiply)
    (s->kernel, s->keys, s->row, b->keys, units, b->q, width, b->scores, false);
    part_ends(head, PART_SCORES, &since);
    KERNEL(attention_lanes)(dout, b->count, width, b->stage, b->dout);
    KERNEL(attention_multiply)
    (s->kernel, s->values, s->row, b->keys, units, b->dout, width, b->dp, false);
    part_ends(head, PART_VALUES, &since);
    softmax_backward(head, b);
    part_ends(head, PART_SOFTMAX, &since);
    KERNEL(attention_multiply)
    (s->kernel, s->turned, s->turned_row, D, units_of(b->keys), b->ds_pairs, width, b->dq, false);
    KERNEL(interleave)
    (D, b->count, (const uint32_t *)b->dq, width,
     (uint32_t *)(task->dq + head->q_at + b->first * a->qkv_stride), a->qkv_stride);
    KERNEL(attention_zip)(&s->tile, q, b->count, width / 2, b->q_pairs);
    part_ends(head, PART_SCORES, &since);
    KERNEL(attention_zip)(&s->tile, dout, b->count, width / 2, b->dout_pairs);
    part_ends(head, PART_VALUES, &since);
}

/* sums += x^T y of the block's queries, of the keys in `range`: x [keys][width / 2], y as
 * attention_zip makes it. */
static void fold(const Shared *s, const Head *head, const Block *b, Range range, const uint32_t *x,
                 const uint32_t *y, float *sums)
{
    const size_t D = head->D, units = b->width / 2;
    for (size_t p = 0; p < panel_count(&s->tile, D); p++) {
        size_t from = panel_start(&s->tile, D, p), width = panel_start(&s->tile, D, p + 1) - from;
        KERNEL(attention_multiply)
        (s->kernel, x + range.from * units, units, range.to - range.from, units, y + units * from,
         width, sums + head->T * from + range.from * width, true);
    }
}

/* Adds the block to dk and dv of those keys that its queries may see. */
static void work_keys(const Shared *s, const Head *head, const Block *b, Range range)
{
    range.to = range.to < b->keys ? range.to : b->keys;
    if (range.from >= range.to)
        return;
    int64_t since = parts_begin(head);
    fold(s, head, b, range, b->ds_rows, b->q_pairs, s->dk);
    part_ends(head, PART_SCORES, &since);
    fold(s, head, b, range, b->p_rows, b->dout_pairs, s->dv);
    part_ends(head, PART_VALUES, &since);
}

/* Writes dq, adds to dk and dv of the keys: a block for each member at a time. */
static void one_head(const Shared *s, const AttentionTask *task, const Head *head,
                     const AttentionTeam *team)
{
    const size_t blocks = panel_count(&s->tile, head->T);
    for (size_t at = 0; at < blocks; at += team->members) {
        size_t count = blocks - at < team->members ? blocks - at : team->members;
        if (team->member < count) {
            const Block own = block_of(&s->tile, head, team, at + team->member, team->member);
            work_queries(s, task, head, &own);
        }
        attention_wait(team);
        const Block last = block_of(&s->tile, head, team, at + count - 1, count - 1);
        const Range range = own_keys(team, last.keys);
        for (size_t i = 0; i < count; i++) {
            const Block b = block_of(&s->tile, head, team, at + i, i);
            work_keys(s, head, &b, range);
        }
        attention_wait(team);
    }
}

/* sums, panels of channels, into the rows of the keys in `range`. */
static void store_rows(const Tile *tile, const Head *head, Range range, const float *sums,
                       float *out)
{
    const size_t D = head->D;
    for (size_t p = 0; p < panel_count(tile, D); p++) {
        size_t from = panel_start(tile, D, p), width = panel_start(tile, D, p + 1) - from;
        size_t n = D - from < width ? D - from : width;
        for (size_t t = range.from; t < range.to; t++)
            memcpy(out + t * head->kv_stride + from, sums + head->T * from + t * width,
                   n * sizeof(float));
    }
}

void KERNEL(attention_backward_bf16)(const AttentionTask *task, const AttentionTeam *team)
{
    const Head first = head_of(task, 0);
    const Shared s = prepare(task, &first, team);
    attention_wait(team);
    for (size_t i = 0; i < task->heads; i++) {
        const Head head = head_of(task, i);
        one_head(&s, task, &head, team);
    }
    const Range range = own_keys(team, first.T);
    store_rows(&s.tile, &first, range, s.dk, task->dk + first.kv_at);
    store_rows(&s.tile, &first, range, s.dv, task->dv + first.kv_at);
}
