/* attention: one head of one sequence, for forward (attention.c) and backward
 * (attention_backward.c). */
#pragma once

#include "autograd/kernels/simd/half.h"
#include "autograd/kernels/simd/simd.h"
#include "autograd/kernels/simd/vmath.h"

typedef struct Head {
    const Attention *a;
    size_t past, T, D; /* T: keys, of which past are before the first query */
    DType kv_type;
    size_t kv_stride; /* elements from a row of k and v to the next */
    /* The head's first element in q, in k and v, and in out. */
    size_t q_at, kv_at, out_at;
    float *lse;          /* or NULL */
    const int32_t *mask; /* [T], or NULL */
} Head;

/* The i-th head of the task. */
ALWAYS_INLINE Head head_of(const AttentionTask *task, size_t i)
{
    const Attention *a = task->a;
    size_t h = task->h + i, shared = a->KV ? a->H / a->KV : 1;
    Range rows = sequence_rows(a->starts, a->T, task->b);
    size_t T = attention_keys(a, task->b), in_cache = task->b * (a->H / shared) + h / shared;
    return (Head){
        .a = a,
        .past = attention_past(a, task->b),
        .T = T,
        .D = a->D,
        .kv_type = a->capacity ? a->cache_type : a->type,
        .kv_stride = a->capacity ? a->D : a->qkv_stride,
        .q_at = rows.from * a->qkv_stride + h * a->D,
        .kv_at = a->capacity ? in_cache * a->capacity * a->D
                             : rows.from * a->qkv_stride + h / shared * a->D,
        .out_at = (rows.from * a->H + h) * a->D,
        .lse = a->lse ? a->lse + rows.from * a->H + h * T : NULL,
        .mask = a->key_mask ? a->key_mask + task->b * a->T : NULL,
    };
}

/* Row t of the head in q, in Attention.type, and in x, which is k or v, in kv_type. */
ALWAYS_INLINE const void *q_row(const Head *head, size_t t)
{
    size_t at = head->q_at + t * head->a->qkv_stride;
    return (const char *)head->a->q + at * dtype_size(head->a->type);
}

ALWAYS_INLINE const void *kv_row(const Head *head, const void *x, size_t t)
{
    size_t at = head->kv_at + t * head->kv_stride;
    return (const char *)x + dtype_bytes(head->kv_type, at);
}

/* How many keys query t sees; the mask may hide more. */
ALWAYS_INLINE size_t visible_keys(const Head *head, size_t t)
{
    return head->a->causal ? head->past + t + 1 : head->T;
}

/* In scores[n][width] of the keys from s0 on and the queries from `first` on, sets those of masked
 * keys to -infinity, and if `causal` those of keys after their query. */
ALWAYS_INLINE void hide_keys(const Head *head, size_t first, size_t width, bool causal, size_t s0,
                             size_t n, float *scores)
{
    static const float numbers[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const vf lane = vload(numbers), hidden = vset1(-INFINITY);
    const int32_t *mask = head->mask;
    for (size_t s = s0; mask && s < s0 + n; s++)
        for (size_t j = 0; !mask[s] && j < width; j += VL)
            vstore(scores + (s - s0) * width + j, hidden);
    for (size_t j = 0; causal && j < width; j += VL) {
        size_t query = head->past + first + j; /* its position among the keys */
        for (size_t s = s0 > query ? s0 : query + 1; s < s0 + n; s++) {
            float *at = scores + (s - s0) * width + j;
            vstore(at, vif_less(lane, vset1((float)(s - query)), hidden, vload(at)));
        }
    }
}

enum { SUM_CHAIN = 32 }; /* keys, as in the matrix product */

/* exp(scale (score - top)); 0 for a score of -infinity, also while no key is visible. Only the
 * difference is scaled: the rounding of the factor would grow with a large score. */
ALWAYS_INLINE vf weight_of(vf score, vf top, float scale)
{
    return vexp2_negative((score - top) * (scale * 1.442695041f));
}

/* As in decoding: then the heads that share keys are worked together. */
ALWAYS_INLINE bool is_single_query(const AttentionTask *task)
{
    return task->a->capacity > 0 && task->last - task->first == 1;
}

ALWAYS_INLINE size_t whole_vectors(size_t n)
{
    return (n + VL - 1) / VL * VL;
}

/* Takes the next `floats` of scratch, in whole cache lines. */
ALWAYS_INLINE float *take(float **scratch, size_t floats)
{
    float *p = *scratch;
    *scratch += (floats + 15) / 16 * 16;
    return p;
}

/* ---- the members of a team, backward ---- */

ALWAYS_INLINE float *own_scratch(const AttentionTeam *team, size_t member)
{
    return team->own + member * team->own_floats;
}

/* The member's share of the first `keys` keys, in whole ATTENTION_ROWS but for the last. */
ALWAYS_INLINE Range own_keys(const AttentionTeam *team, size_t keys)
{
    Range r = share((keys + ATTENTION_ROWS - 1) / ATTENTION_ROWS, team->member, team->members);
    size_t from = r.from * ATTENTION_ROWS, to = r.to * ATTENTION_ROWS;
    return (Range){from < keys ? from : keys, to < keys ? to : keys};
}

/* Zeros the member's share of n floats. */
ALWAYS_INLINE void clear_own(const AttentionTeam *team, float *x, size_t n)
{
    Range r = share(n, team->member, team->members);
    memset(x + r.from, 0, (r.to - r.from) * sizeof(float));
}

/* ---- the time of its parts, as Attention.part_ns has them ---- */

enum { PART_SCORES, PART_SOFTMAX, PART_VALUES };

/* When a part begins; 0 where nobody asks. */
ALWAYS_INLINE int64_t parts_begin(const Head *head)
{
    return head->a->part_ns ? clock_ns() : 0;
}

/* Adds the time since *since to a part; the next one begins. */
ALWAYS_INLINE void part_ends(const Head *head, int part, int64_t *since)
{
    if (!head->a->part_ns)
        return;
    int64_t now = clock_ns();
    __atomic_fetch_add(&head->a->part_ns[part], (uint64_t)(now - *since), __ATOMIC_RELAXED);
    *since = now;
}

/* ---- rows in bf16: attention_bf16.c ---- */

/* Rows of `channels` numbers, in bf16 or in fp32, which is rounded. */
typedef struct Rows {
    DType type;
    const void *first;
    size_t stride, channels; /* elements */
} Rows;

ALWAYS_INLINE const void *row_of(const Rows *x, size_t t)
{
    return (const char *)x->first + t * x->stride * dtype_size(x->type);
}

ALWAYS_INLINE Rows q_rows(const Head *head, size_t t)
{
    return (Rows){head->a->type, q_row(head, t), head->a->qkv_stride, head->D};
}

ALWAYS_INLINE Rows kv_rows(const Head *head, const void *x, size_t t)
{
    return (Rows){head->kv_type, kv_row(head, x, t), head->kv_stride, head->D};
}

/* Units of so many elements, in pairs. */
ALWAYS_INLINE size_t units_of(size_t elements)
{
    return (elements + 1) / 2;
}

/* A of a sum over channels: each row in units, out_row apart. */
void KERNEL(attention_round)(Rows x, size_t rows, uint32_t *out, size_t out_row);

/* A of a sum over rows: out[channels][units of rows], out_row apart. stage: VL rows. */
void KERNEL(attention_turn)(Rows x, size_t rows, uint32_t *stage, uint32_t *out, size_t out_row);

/* B of a sum over channels: out[units of channels][width], zeros from `rows` on. stage: VL rows. */
void KERNEL(attention_lanes)(Rows x, size_t rows, size_t width, uint32_t *stage, uint32_t *out);

/* B of a sum over rows, 2 `units` of them with zeros from `rows` on: panels of channels as wide as
 * a tile, each [units][its width]. */
void KERNEL(attention_zip)(const Tile *tile, Rows x, size_t rows, size_t units, uint32_t *out);

/* c[rows][width] = or += A B, `units` units deep; a panel of B. */
void KERNEL(attention_multiply)(const LowKernel *kernel, const uint32_t *a, size_t a_row,
                                size_t rows, size_t units, const uint32_t *b, size_t width,
                                float *c, bool add);

/* ---- the two products of forward: attention_products.c ---- */

/* The operands of a head: fp32, or bf16 in units of two where there is a kernel. Or of one query of
 * each of `heads` heads from `head` on that share keys and values. */
typedef struct Operands {
    const Head *head;
    size_t heads;  /* 0: lanes are queries; else they are heads */
    bool is_short; /* worked by attention_short.c */
    const LowKernel *kernel;
    const void *keys, *values; /* A of the two products; for `heads` in bf16 no values */
    size_t key_row, value_row; /* distance of their rows, in fp32 or units */
    void *queries;             /* B of the first: [D or its units][width] */
    /* B of the second in bf16, for the caller to fill: [units of keys][width]; else NULL. */
    uint32_t *weights;
    void *stage;
    /* For `heads`: keys or values, in bf16 a panel of them, as B of a product, and its result, a
     * head in a row. */
    float *panels, *rows;
} Operands;

/* Packs keys and values where they cannot be read in place; takes memory for all from scratch. */
Operands KERNEL(attention_operands)(const Head *head, const AttentionTask *task, float **scratch);

/* Packs `count` queries from `first` on, and zeros up to `width`. */
void KERNEL(attention_pack_queries)(const Operands *o, size_t first, size_t count, size_t width);

/* Over a cache: from now on `query` of `heads` heads is multiplied, at most VL of them.
 * Both products then have a width of VL. */
void KERNEL(attention_take_heads)(Operands *o, const Head *first, size_t heads, size_t query);

/* Asks for rows [from, to) of k or v. */
void KERNEL(attention_prefetch)(const Head *head, const void *x, size_t from, size_t to);

/* Some keys that meet some queries, one in each lane. */
typedef struct KeyBlock {
    size_t s0, n;       /* the n keys from s0 on */
    ptrdiff_t diagonal; /* lane j sees the first j + diagonal + 1 of them */
} KeyBlock;

/* How many of the keys any lane of the v-th vector sees. */
ALWAYS_INLINE size_t keys_of_vector(const KeyBlock *b, size_t v)
{
    return bounded(b->diagonal + (ptrdiff_t)((v + 1) * VL), b->n);
}

/* scores[n][width] of the keys, for the queries packed last. In fp32 a vector gets those of the
 * keys that it sees, others have any value. */
void KERNEL(attention_scores)(const Operands *o, const KeyBlock *b, size_t width, float *scores);

/* mixed[D][width] = or += v^T w of the keys; s0 is even. w: [n][width], of which a vector needs
 * those that it sees; with a kernel Operands.weights instead, and all of them. */
void KERNEL(attention_mix)(const Operands *o, const KeyBlock *b, size_t width, const float *w,
                           bool add, float *mixed);

/* ---- short heads, those of few channels, in fp32: attention_short.c ---- */

/* Whether heads of D channels are short. */
bool KERNEL(attention_is_short)(size_t D);

/* As attention_scores. */
void KERNEL(attention_score_short)(const Operands *o, const KeyBlock *b, size_t width,
                                   float *scores);

/* A vector of queries and the n keys from s0 on: mixed[D] = or += the values times their weights
 * exp(scale (score - top)); returns the sum of the weights. scores and mixed: the vector's part, of
 * rows of `width`. */
vf KERNEL(attention_mix_short)(const Operands *o, size_t s0, size_t n, size_t width,
                               const float *scores, vf top, bool add, float *mixed);

/* ---- backward in bf16: attention_backward_bf16.c ---- */

/* As attention_backward, of a task with a kernel. */
void KERNEL(attention_backward_bf16)(const AttentionTask *task, const AttentionTeam *team);
