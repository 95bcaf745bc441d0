/* attention_backward: one head of one sequence, backward.
 *
 * One idea: keys and values are packed once; then ATTENTION_ROWS queries at a time meet all keys
 * that they may see, so that only rows x T scores exist. The log-sum-exp that forward kept gives
 * the probabilities again (Dao et al. 2022). All products are gemm_block's; products of bf16 have a
 * file of their own.
 *
 * Each member of a team works such a block of queries; then each adds all their blocks, in order,
 * to the gradients of a share of the keys. So every sum has one order, whatever the team. */
#include "autograd/kernels/simd/attention.h"

/* Row length of a block of scores: whole vectors, and one cache line more, so that rows do not fall
 * into one cache set where T is a power of two. */
static size_t score_row(size_t T)
{
    return (T + 15) / 16 * 16 + 16;
}

/* What to add to each key's score, -infinity for a masked one; where there is a mask. */
static void fill_bias(const Head *head, float *bias)
{
    for (size_t s = 0; head->mask && s < whole_vectors(head->T); s++)
        bias[s] = s < head->T && head->mask[s] ? 0 : -INFINITY;
}

/* scores[rows, keys] = x[rows, D] (packed [D, T]) of the queries from `first` on, for the keys that
 * they may see. */
static void score_block(const Head *head, const float *x, size_t first, const float *packed,
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
        .a_row = head->D,
        .a_col = 1,
        .b = packed,
        .depth = head->D,
        .c = scores,
        .c_row = score_row(head->T),
        .triangle = head->a->causal ? TRIANGLE_C_LOWER : TRIANGLE_NONE,
        .diagonal = (ptrdiff_t)first,
    };
    KERNEL(gemm_block)(&block);
}

/* block.c[rows, D] = or += A[rows, k] (packed [depth, D]). */
static void mix_block(const Head *head, GemmBlock block, Triangle triangle)
{
    block.n = head->D;
    block.last = panel_count(&simd_tile, head->D);
    block.triangle = head->a->causal ? triangle : TRIANGLE_NONE;
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
    float *bias, *by_channel, *values, *by_row; /* keys [D, T], values [D, T], keys [T, D] */
    float *dk, *dv;
} Keys;

/* Panel p of the keys and values [D, T], and its rows of the keys [T, D]. */
static void pack_panel(const Head *head, const Keys *keys, size_t p, float *memory)
{
    const size_t T = head->T, D = head->D, from = panel_start(&simd_tile, T, p);
    const size_t to = panel_start(&simd_tile, T, p + 1), rows = (to < T ? to : T) - from;
    const float *vs = gathered(kv_rows(head, head->a->v, from), rows, memory);
    KERNEL(pack_b)(D, rows, 0, 1, vs, 1, D, keys->values + D * from);
    const float *ks = gathered(kv_rows(head, head->a->k, from), rows, memory);
    KERNEL(pack_b)(D, rows, 0, 1, ks, 1, D, keys->by_channel + D * from);
    for (size_t c = 0; c < panel_count(&simd_tile, D); c++) {
        size_t at = panel_start(&simd_tile, D, c), width = panel_start(&simd_tile, D, c + 1) - at;
        KERNEL(pack_b)(rows, D, c, c + 1, ks, D, 1, keys->by_row + T * at + from * width);
    }
}

static Keys pack_keys(const Head *head, const AttentionTeam *team)
{
    const size_t T = head->T, D = head->D;
    float *scratch = team->shared;
    Keys keys = {.bias = take(&scratch, score_row(T))};
    keys.by_channel = take(&scratch, D * whole_vectors(T));
    keys.values = take(&scratch, D * whole_vectors(T));
    keys.by_row = take(&scratch, T * whole_vectors(D));
    keys.dk = take(&scratch, T * D);
    keys.dv = take(&scratch, T * D);
    if (team->member == 0)
        fill_bias(head, keys.bias);
    Range panels = share(panel_count(&simd_tile, T), team->member, team->members);
    for (size_t p = panels.from; p < panels.to; p++)
        pack_panel(head, &keys, p, own_scratch(team, team->member));
    clear_own(team, keys.dk, T * D);
    clear_own(team, keys.dv, T * D);
    return keys;
}

/* ATTENTION_ROWS queries of a head, or the last, and what a member makes of them. */
typedef struct Block {
    size_t first, rows, visible; /* visible: how many keys the last may see */
    float *q, *dout;             /* [rows, D] */
    float *queries, *douts;      /* the same, packed */
    float *s, *ds;               /* [rows, visible] */
} Block;

static Block block_of(const Head *head, const AttentionTeam *team, size_t first, size_t member)
{
    const size_t D = head->D, left = head->T - first;
    float *scratch = own_scratch(team, member);
    Block b = {.first = first, .rows = left < ATTENTION_ROWS ? left : ATTENTION_ROWS};
    b.visible = visible_keys(head, first + b.rows - 1);
    b.queries = take(&scratch, ATTENTION_ROWS * whole_vectors(D));
    b.douts = take(&scratch, ATTENTION_ROWS * whole_vectors(D));
    b.s = take(&scratch, ATTENTION_ROWS * score_row(head->T));
    b.ds = take(&scratch, ATTENTION_ROWS * score_row(head->T));
    b.q = take(&scratch, ATTENTION_ROWS * D);
    b.dout = take(&scratch, ATTENTION_ROWS * D);
    return b;
}

/* Writes dq of the block, and leaves probabilities and the gradients of the scores. */
static void work_queries(const AttentionTask *task, const Head *head, const Keys *keys,
                         const Block *b)
{
    const size_t D = head->D, stride = head->a->qkv_stride, out_row = head->a->H * D;
    const size_t ld = score_row(head->T), channel_panels = panel_count(&simd_tile, D);
    const Rows dout = {DT_F32, task->dout + head->out_at + b->first * out_row, out_row, D};
    float *dq = task->dq + head->q_at + b->first * stride;
    int64_t since = parts_begin(head);
    gathered(q_rows(head, b->first), b->rows, b->q);
    score_block(head, b->q, b->first, keys->by_channel, b->rows, b->visible, b->s);
    part_ends(head, PART_SCORES, &since);
    gathered(dout, b->rows, b->dout);
    score_block(head, b->dout, b->first, keys->values, b->rows, b->visible, b->ds);
    part_ends(head, PART_VALUES, &since);
    for (size_t r = 0; r < b->rows; r++)
        softmax_row_backward(head, head->mask ? keys->bias : NULL, b->s + r * ld, b->ds + r * ld,
                             visible_keys(head, b->first + r), b->visible, head->lse[b->first + r]);
    part_ends(head, PART_SOFTMAX, &since);
    KERNEL(pack_b)(b->rows, D, 0, channel_panels, b->q, D, 1, b->queries);
    mix_block(head,
              (GemmBlock){.rows = b->rows,
                          .k = b->visible,
                          .a = b->ds,
                          .a_row = ld,
                          .a_col = 1,
                          .b = keys->by_row,
                          .depth = head->T,
                          .c = dq,
                          .c_row = stride,
                          .diagonal = (ptrdiff_t)b->first},
              TRIANGLE_A_LOWER);
    part_ends(head, PART_SCORES, &since);
    KERNEL(pack_b)(b->rows, D, 0, channel_panels, b->dout, D, 1, b->douts);
    part_ends(head, PART_VALUES, &since);
}

_Static_assert(ATTENTION_ROWS <= 32, "what is left out would change where chains of sums begin");

/* sums += weights^T x of the block's queries, of the keys in `range`: weights [rows, keys]. */
static void fold(const Head *head, const Block *b, Range range, const float *weights,
                 const float *x, float *sums)
{
    mix_block(head,
              (GemmBlock){.rows = range.to - range.from,
                          .k = b->rows,
                          .a = weights + range.from,
                          .a_row = 1,
                          .a_col = score_row(head->T),
                          .b = x,
                          .depth = b->rows,
                          .c = sums + range.from * head->D,
                          .c_row = head->D,
                          .add = true,
                          .diagonal = (ptrdiff_t)b->first - (ptrdiff_t)range.from},
              TRIANGLE_A_UPPER);
}

/* Adds the block to dk and dv of those keys that its queries may see. */
static void work_keys(const Head *head, const Keys *keys, const Block *b, Range range)
{
    range.to = range.to < b->visible ? range.to : b->visible;
    if (range.from >= range.to)
        return;
    int64_t since = parts_begin(head);
    fold(head, b, range, b->ds, b->queries, keys->dk);
    part_ends(head, PART_SCORES, &since);
    fold(head, b, range, b->s, b->douts, keys->dv);
    part_ends(head, PART_VALUES, &since);
}

/* Writes dq, adds to dk and dv of the keys: a block for each member at a time. */
static void one_head(const AttentionTask *task, const Head *head, const Keys *keys,
                     const AttentionTeam *team)
{
    const size_t blocks = (head->T + ATTENTION_ROWS - 1) / ATTENTION_ROWS;
    for (size_t at = 0; at < blocks; at += team->members) {
        size_t count = blocks - at < team->members ? blocks - at : team->members;
        if (team->member < count) {
            const Block own =
                block_of(head, team, (at + team->member) * ATTENTION_ROWS, team->member);
            work_queries(task, head, keys, &own);
        }
        attention_wait(team);
        const Block last = block_of(head, team, (at + count - 1) * ATTENTION_ROWS, count - 1);
        const Range range = own_keys(team, last.visible);
        for (size_t i = 0; i < count; i++) {
            const Block b = block_of(head, team, (at + i) * ATTENTION_ROWS, i);
            work_keys(head, keys, &b, range);
        }
        attention_wait(team);
    }
}

void KERNEL(attention_backward)(const AttentionTask *task, const AttentionTeam *team)
{
    if (task->kernel) {
        KERNEL(attention_backward_bf16)(task, team);
        return;
    }
    const Head first = head_of(task, 0);
    const Keys keys = pack_keys(&first, team);
    attention_wait(team);
    for (size_t i = 0; i < task->heads; i++) {
        const Head head = head_of(task, i);
        one_head(task, &head, &keys, team);
    }
    const Range range = own_keys(team, first.T);
    for (size_t t = range.from; t < range.to; t++) {
        size_t at = first.kv_at + t * first.kv_stride;
        memcpy(task->dk + at, keys.dk + t * first.D, first.D * sizeof(float));
        memcpy(task->dv + at, keys.dv + t * first.D, first.D * sizeof(float));
    }
}
