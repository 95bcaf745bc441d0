/* attention_products: the operands of a head's two products, and the products.
 *
 * One idea: keys and values are A of the two products, queries and weights are B. fp32 keys and
 * values are therefore never packed: they are read in place, or widened once for the head. In bf16
 * both are packed, but for the keys of a cache, which lie as they are needed; a unit of the values
 * is one channel of two keys (attention_bf16.c). */
#include "autograd/kernels/simd/attention.h"

/* ---- fp32 ---- */

/* Prefetches a row of q, k or v: rows are too far apart for the processor's own prefetching. */
static void prefetch_row(const Head *head, const char *row)
{
    for (size_t at = 0; at < dtype_bytes(head->kv_type, head->D); at += 64)
        __builtin_prefetch(row + at);
}

void KERNEL(attention_prefetch)(const Head *head, const void *x, size_t from, size_t to)
{
    for (size_t t = from; t < to; t++)
        prefetch_row(head, kv_row(head, x, t));
}

/* All rows of k or v, [T][D]. Meanwhile rows of `next` are prefetched, unless it is NULL. */
static void widen_rows(const Head *head, const void *x, const void *next, float *out)
{
    for (size_t t = 0; t < head->T; t++) {
        if (next)
            prefetch_row(head, kv_row(head, next, t));
        KERNEL(widen)(head->kv_type, kv_row(head, x, t), out + t * head->D, head->D);
    }
}

static void find_operands_f32(Operands *o, float **scratch)
{
    const Head *head = o->head;
    const Attention *a = head->a;
    o->queries = take(scratch, head->D * NR);
    o->stage = a->type == DT_F32 ? NULL : take(scratch, NR * head->D);
    if (a->capacity) {
        const size_t most = head->D > ATTENTION_KEYS ? head->D : ATTENTION_KEYS;
        o->panels = take(scratch, head->D * ATTENTION_KEYS + VL * most);
        o->rows = take(scratch, VL * most);
    }
    if (head->kv_type == DT_F32) {
        o->keys = kv_row(head, a->k, 0);
        o->values = kv_row(head, a->v, 0);
        o->key_row = o->value_row = head->kv_stride;
        return;
    }
    float *keys = take(scratch, head->T * head->D), *values = take(scratch, head->T * head->D);
    widen_rows(head, a->k, a->v, keys);
    widen_rows(head, a->v, NULL, values);
    o->keys = keys;
    o->values = values;
    o->key_row = o->value_row = head->D;
}

static void pack_queries_f32(const Operands *o, size_t first, size_t count)
{
    const Head *head = o->head;
    const Attention *a = head->a;
    const float *q = q_row(head, first);
    size_t stride = a->qkv_stride;
    if (a->type != DT_F32) {
        for (size_t i = 0; i < count; i++)
            KERNEL(widen)
        (a->type, q_row(head, first + i), (float *)o->stage + i * head->D, head->D);
        q = o->stage;
        stride = head->D;
    }
    KERNEL(pack_b)(head->D, count, 0, 1, q, 1, stride, o->queries);
}

/* ---- fp32, one query of each of some heads ---- */

/* lanes[n][VL] = or += o->rows, a head in each, `row` apart. */
static void turn_heads(const Operands *o, size_t n, size_t row, float *lanes, bool add)
{
    for (size_t j = 0; j < n; j += VL) {
        vf square[VL];
        for (size_t i = 0; i < VL; i++)
            square[i] = i < o->heads ? vload_some(o->rows + i * row + j, n - j) : (vf){0};
        vtranspose(square);
        for (size_t i = 0; i < VL && j + i < n; i++) {
            float *at = lanes + (j + i) * VL;
            vstore(at, add ? vload(at) + square[i] : square[i]);
        }
    }
}

/* So few queries are rows of A, and keys and values are B, packed as they come, because most lanes
 * of queries would be empty. Every sum has the order that it has in lanes. lanes[n][VL] = or +=
 * the result. */
static void multiply_heads(const Operands *o, GemmBlock block, float *lanes, bool add)
{
    block.rows = o->heads;
    block.last = panel_count(&simd_tile, block.n);
    block.depth = block.k;
    block.b_pack = o->panels;
    block.c = o->rows;
    block.c_row = block.n;
    KERNEL(gemm_block)(&block);
    turn_heads(o, block.n, block.n, lanes, add);
}

static void score_heads(const Operands *o, size_t s0, size_t n, float *scores)
{
    const GemmBlock block = {
        .n = n,
        .k = o->head->D,
        .a = o->queries,
        .a_row = o->head->D,
        .a_col = 1,
        .b = (const float *)o->keys + s0 * o->key_row,
        .b_row = 1,
        .b_col = o->key_row,
    };
    multiply_heads(o, block, scores, false);
}

static void mix_heads(const Operands *o, size_t s0, size_t n, const float *w, bool add,
                      float *mixed)
{
    const GemmBlock block = {
        .n = o->head->D,
        .k = n,
        .a = w,
        .a_row = 1,
        .a_col = VL,
        .b = (const float *)o->values + s0 * o->value_row,
        .b_row = o->value_row,
        .b_col = 1,
    };
    multiply_heads(o, block, mixed, add);
}

/* ---- bf16 ---- */

static void pack_keys_bf16(Operands *o, const AttentionTask *task, float **scratch)
{
    enum { AHEAD = 16 };
    const Head *head = o->head;
    const Attention *a = head->a;
    const size_t T = head->T;
    o->key_row = low_row_stride(units_of(head->D));
    uint32_t *keys = (uint32_t *)take(scratch, T * o->key_row);
    for (size_t t = 0; t < T; t++) {
        prefetch_row(head, kv_row(head, a->k, t + AHEAD < T ? t + AHEAD : t));
        prefetch_row(head, kv_row(head, a->v, t));
        if (t >= task->first && t < task->last)
            prefetch_row(head, q_row(head, t));
        KERNEL(attention_round)(kv_rows(head, a->k, t), 1, keys + t * o->key_row, 0);
    }
    o->keys = keys;
}

static void find_operands_bf16(Operands *o, const AttentionTask *task, float **scratch)
{
    const Head *head = o->head;
    const Attention *a = head->a;
    const size_t most = head->D > ATTENTION_KEYS ? head->D : ATTENTION_KEYS;
    o->queries = take(scratch, units_of(head->D) * NR);
    o->weights = (uint32_t *)take(scratch, units_of(ATTENTION_KEYS) * NR);
    o->stage = take(scratch, VL * most);
    if (!a->capacity) {
        pack_keys_bf16(o, task, scratch);
    } else {
        o->keys = kv_row(head, a->k, 0);
        o->key_row = head->kv_stride / 2;
    }
    if (is_single_query(task)) {
        o->panels = take(scratch, units_of(most) * NR);
        o->rows = take(scratch, VL * NR);
        return;
    }
    o->value_row = low_row_stride(units_of(head->T));
    uint32_t *values = (uint32_t *)take(scratch, head->D * o->value_row);
    KERNEL(attention_turn)(kv_rows(head, a->v, 0), head->T, o->stage, values, o->value_row);
    o->values = values;
}

/* ---- bf16, one query of each of some heads ---- */

/* o->rows[heads][width] = A B: heads in rows of A, a panel of B. */
static void multiply_panel(const Operands *o, const void *a, size_t a_row, size_t units,
                           size_t width)
{
    KERNEL(attention_multiply)
    (o->kernel, a, a_row, o->heads, units, (const uint32_t *)o->panels, width, o->rows, false);
}

static void score_heads_bf16(const Operands *o, size_t s0, size_t n, float *scores)
{
    const size_t units = units_of(o->head->D);
    for (size_t p = 0; p < panel_count(&simd_tile, n); p++) {
        size_t from = panel_start(&simd_tile, n, p),
               width = panel_start(&simd_tile, n, p + 1) - from,
               count = n - from < width ? n - from : width;
        const uint32_t *keys = (const uint32_t *)o->keys + (s0 + from) * o->key_row;
        if (count < width)
            memset(o->panels, 0, units * width * sizeof *o->panels);
        KERNEL(interleave)(count, units, keys, o->key_row, (uint32_t *)o->panels, width);
        multiply_panel(o, o->queries, units, units, width);
        turn_heads(o, count, width, scores + from * VL, false);
    }
}

static void mix_heads_bf16(const Operands *o, size_t s0, size_t n, bool add, float *mixed)
{
    const Head *head = o->head;
    const size_t units = units_of(n), D = head->D;
    KERNEL(interleave)(units, VL, o->weights, VL, o->stage, units_of(ATTENTION_KEYS));
    for (size_t p = 0; p < panel_count(&simd_tile, D); p++) {
        size_t from = panel_start(&simd_tile, D, p),
               width = panel_start(&simd_tile, D, p + 1) - from,
               count = D - from < width ? D - from : width;
        Rows values = kv_rows(head, head->a->v, s0);
        values.first = (const char *)values.first + from * dtype_size(values.type);
        values.channels = count;
        KERNEL(attention_zip)(&simd_tile, values, n, units, (uint32_t *)o->panels);
        multiply_panel(o, o->stage, units_of(ATTENTION_KEYS), units, width);
        turn_heads(o, count, width, mixed + from * VL, add);
    }
}

/* ---- either ---- */

Operands KERNEL(attention_operands)(const Head *head, const AttentionTask *task, float **scratch)
{
    Operands o = {.head = head, .kernel = task->kernel};
    o.is_short = !o.kernel && !is_single_query(task) && KERNEL(attention_is_short)(head->D);
    if (o.kernel)
        find_operands_bf16(&o, task, scratch);
    else
        find_operands_f32(&o, scratch);
    return o;
}

void KERNEL(attention_pack_queries)(const Operands *o, size_t first, size_t count, size_t width)
{
    if (o->kernel)
        KERNEL(attention_lanes)(q_rows(o->head, first), count, width, o->stage, o->queries);
    else
        pack_queries_f32(o, first, count);
}

void KERNEL(attention_take_heads)(Operands *o, const Head *first, size_t heads, size_t query)
{
    const void *queries = q_row(first, query);
    o->head = first;
    o->heads = heads;
    if (!o->kernel)
        KERNEL(widen)(first->a->type, queries, o->queries, heads * first->D);
    else if (first->a->type == DT_F32)
        KERNEL(narrow)(DT_BF16, queries, o->queries, heads * first->D);
    else
        memcpy(o->queries, queries, heads * first->D * sizeof(uint16_t));
}

void KERNEL(attention_scores)(const Operands *o, const KeyBlock *b, size_t width, float *scores)
{
    const size_t D = o->head->D, s0 = b->s0, n = b->n;
    if (o->heads > 0) {
        if (o->kernel)
            score_heads_bf16(o, s0, n, scores);
        else
            score_heads(o, s0, n, scores);
        return;
    }
    if (o->kernel) {
        KERNEL(attention_multiply)
        (o->kernel, (const uint32_t *)o->keys + s0 * o->key_row, o->key_row, n, units_of(D),
         o->queries, width, scores, false);
        return;
    }
    if (o->is_short) {
        KERNEL(attention_score_short)(o, b, width, scores);
        return;
    }
    const GemmBlock block = {
        .rows = n,
        .n = width,
        .last = 1,
        .k = D,
        .a = (const float *)o->keys + s0 * o->key_row,
        .a_row = o->key_row,
        .a_col = 1,
        .b = o->queries,
        .depth = D,
        .c = scores,
        .c_row = width,
        .triangle = TRIANGLE_C_UPPER,
        .diagonal = b->diagonal,
    };
    KERNEL(gemm_block)(&block);
}

void KERNEL(attention_mix)(const Operands *o, const KeyBlock *b, size_t width, const float *w,
                           bool add, float *mixed)
{
    const size_t D = o->head->D, s0 = b->s0, n = b->n;
    if (o->heads > 0) {
        if (o->kernel)
            mix_heads_bf16(o, s0, n, add, mixed);
        else
            mix_heads(o, s0, n, w, add, mixed);
        return;
    }
    if (o->kernel) {
        KERNEL(attention_multiply)
        (o->kernel, (const uint32_t *)o->values + units_of(s0), o->value_row, D, units_of(n),
         o->weights, width, mixed, add);
        return;
    }
    const GemmBlock block = {
        .rows = D,
        .n = width,
        .last = 1,
        .k = n,
        .a = (const float *)o->values + s0 * o->value_row,
        .a_row = 1,
        .a_col = o->value_row,
        .b = w,
        .depth = n,
        .c = mixed,
        .c_row = width,
        .add = add,
        .triangle = TRIANGLE_B_UPPER,
        .diagonal = b->diagonal,
    };
    KERNEL(gemm_block)(&block);
}
