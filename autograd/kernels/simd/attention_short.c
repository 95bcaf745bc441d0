/* attention_short: forward of heads of few channels, in fp32.
 *
 * One idea: what a tile of the matrix product sets up costs as much as its few steps, and the
 * exponentials cost as much as a product. So a vector of queries, one in each lane, stays in
 * registers while the keys go by, and a weight meets its value in the register in which it was
 * made. The next weights are made meanwhile: the steps of an exponential wait for each other, those
 * of the product do not. Sums have the order and the roundings of the tiles: a query alone over a
 * cache, which is worked by these, gets the same bits. */
#include "autograd/kernels/simd/attention.h"

enum { MOST_CHANNELS = 16, AT_ONCE = 4 /* keys */ };

bool KERNEL(attention_is_short)(size_t D)
{
    return VL > 4 && (D == 8 || (VL == 16 && D == MOST_CHANNELS));
}

ALWAYS_INLINE void score(const Operands *o, const KeyBlock *b, size_t v, const size_t D,
                         size_t width, float *scores)
{
    const float *key = (const float *)o->keys + b->s0 * o->key_row;
    const size_t n = keys_of_vector(b, v);
    vf query[MOST_CHANNELS];
#pragma GCC unroll 16
    for (size_t d = 0; d < D; d++)
        query[d] = vload((const float *)o->queries + d * width + v * VL);
    for (size_t s = 0; s < n; s++, key += o->key_row) {
        vf sum = vset1(key[0]) * query[0];
#pragma GCC unroll 16
        for (size_t d = 1; d < D; d++)
            sum = vfma(vset1(key[d]), query[d], sum);
        vstore(scores + s * width + v * VL, sum);
    }
}

void KERNEL(attention_score_short)(const Operands *o, const KeyBlock *b, size_t width,
                                   float *scores)
{
    for (size_t v = 0; v < width / VL; v++) {
        if (o->head->D == 8)
            score(o, b, v, 8, width, scores);
        else
            score(o, b, v, MOST_CHANNELS, width, scores);
    }
}

/* Sums of weights, and of values times their weights. */
typedef struct Sums {
    vf weights, values[MOST_CHANNELS];
} Sums;

ALWAYS_INLINE void add_value(Sums *chain, const float *value, vf weight, const size_t D)
{
    chain->weights += weight;
#pragma GCC unroll 16
    for (size_t d = 0; d < D; d++)
        chain->values[d] = vfma(vset1(value[d]), weight, chain->values[d]);
}

/* A chain ends and the next begins. It does so after the same keys whatever n is, as in the matrix
 * product, so that sums do not depend on the keys that other queries see. */
ALWAYS_INLINE void end_chain(Sums *chain, Sums *total, const size_t D)
{
    total->weights += chain->weights;
#pragma GCC unroll 16
    for (size_t d = 0; d < D; d++)
        total->values[d] += chain->values[d];
    *chain = (Sums){0};
}

ALWAYS_INLINE vf mix(const Operands *o, size_t s0, size_t n, const size_t D, size_t width,
                     const float *scores, vf top, bool add, float *mixed)
{
    const float *value = (const float *)o->values + s0 * o->value_row;
    const size_t row = o->value_row;
    const float scale = o->head->a->scale;
    Sums chain = {0}, total = {0};
    vf now[AT_ONCE], next[AT_ONCE];
    size_t s = 0;
    if (n >= AT_ONCE) {
#pragma GCC unroll 4
        for (size_t i = 0; i < AT_ONCE; i++)
            now[i] = weight_of(vload(scores + i * width), top, scale);
        for (; s + 2 * AT_ONCE <= n; s += AT_ONCE) {
#pragma GCC unroll 4
            for (size_t i = 0; i < AT_ONCE; i++) {
                next[i] = weight_of(vload(scores + (s + AT_ONCE + i) * width), top, scale);
                add_value(&chain, value + (s + i) * row, now[i], D);
            }
#pragma GCC unroll 4
            for (size_t i = 0; i < AT_ONCE; i++)
                now[i] = next[i];
            if ((s + AT_ONCE) % SUM_CHAIN == 0)
                end_chain(&chain, &total, D);
        }
#pragma GCC unroll 4
        for (size_t i = 0; i < AT_ONCE; i++)
            add_value(&chain, value + (s + i) * row, now[i], D);
        s += AT_ONCE;
        if (s % SUM_CHAIN == 0)
            end_chain(&chain, &total, D);
    }
    for (; s < n; s++)
        add_value(&chain, value + s * row, weight_of(vload(scores + s * width), top, scale), D);
    end_chain(&chain, &total, D);
#pragma GCC unroll 16
    for (size_t d = 0; d < D; d++) {
        float *at = mixed + d * width;
        vstore(at, add ? vload(at) + total.values[d] : total.values[d]);
    }
    return total.weights;
}

vf KERNEL(attention_mix_short)(const Operands *o, size_t s0, size_t n, size_t width,
                               const float *scores, vf top, bool add, float *mixed)
{
    if (o->head->D == 8)
        return mix(o, s0, n, 8, width, scores, top, add, mixed);
    return mix(o, s0, n, MOST_CHANNELS, width, scores, top, add, mixed);
}
