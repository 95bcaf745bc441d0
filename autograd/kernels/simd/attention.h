/* attention: one head of one sequence, as forward (attention.c) and backward (attention_backward.c)
 * see it. */
#ifndef TARE_SIMD_ATTENTION_H
#define TARE_SIMD_ATTENTION_H

#include "simd.h"
#include "vmath.h"

typedef struct Head {
    const Attention *a;
    size_t T, D;
    const float *q, *k, *v; /* row t is qkv_stride floats further */
    float *out, *lse;       /* row t of out is H*D floats further; lse may be NULL */
    const int32_t *mask;    /* [T], or NULL */
} Head;

ALWAYS_INLINE Head head_of(const AttentionTask *task)
{
    const Attention *a = task->a;
    Range rows = sequence_rows(a->starts, a->T, task->b);
    size_t at = rows.from * a->qkv_stride + task->h * a->D, T = rows.to - rows.from;
    return (Head){
        .a = a,
        .T = T,
        .D = a->D,
        .q = a->q + at,
        .k = a->k + at,
        .v = a->v + at,
        .out = a->out + (rows.from * a->H + task->h) * a->D,
        .lse = a->lse ? a->lse + rows.from * a->H + task->h * T : NULL,
        .mask = a->key_mask ? a->key_mask + task->b * a->T : NULL,
    };
}

/* How many keys query t sees, masks aside. */
ALWAYS_INLINE size_t visible_keys(const Head *head, size_t t)
{
    return head->a->causal ? t + 1 : head->T;
}

/* Takes the next `floats` of scratch, in whole cache lines. */
ALWAYS_INLINE float *take(float **scratch, size_t floats)
{
    float *p = *scratch;
    *scratch += (floats + 15) / 16 * 16;
    return p;
}

#endif
