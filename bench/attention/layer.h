/* layer: one attention layer with its memory: inputs, output, what is saved, gradients.
 *
 * The one idea: two implementations of one table: `flash` is the project's attention kernel,
 * `plain` the obvious one (plain.c) that stores every probability. It exists to be beaten, and to
 * check. The same inputs follow from the same seed. */
#pragma once

#include "autograd/kernels/kernels.h"

typedef struct AttentionLayer AttentionLayer;

typedef struct AttentionImpl {
    const char *name;
    double (*kept_bytes)(const Attention *a); /* for backward, beside q, k and v */
    double (*scratch_bytes)(const Attention *a, int threads);
    void (*forward)(const AttentionLayer *l);
    void (*backward)(const AttentionLayer *l);
} AttentionImpl;

extern const AttentionImpl attention_flash, attention_plain;
const AttentionImpl *attention_impl(const char *name); /* "flash" or "plain" */

struct AttentionLayer {
    const AttentionImpl *impl;
    Attention a; /* q, k, v side by side as a model has them; out; of plain no lse */
    int threads;
    void *kept;  /* flash: log-sum-exp [B,H,T]; plain: probabilities [B,H,T,T] in a.type */
    float *dout; /* [B*T, H*D] */
    float *dqkv; /* as q, k, v */
    void *scratch;
    char *block; /* all of it */
    size_t bytes;
};

/* The shape of a layer without pointers: q, k and v [B, T, H, D] of `type`. */
Attention attention_layer_shape(size_t B, size_t T, size_t H, size_t D, bool causal, DType type);

/* Two products forward, four backward, each of 2 T T D operations; causal ones counted half. Flash
 * repeats one that is not counted. */
double attention_layer_flops(const Attention *a, bool backward);

/* Bytes that backward reads of the forward pass, and that a process with this layer has at its
 * peak. Exact as long as they are below 2^53. */
double attention_saved_bytes(const Attention *a, const AttentionImpl *impl);
double attention_process_bytes(const Attention *a, const AttentionImpl *impl, int threads);

/* Maps a layer of this shape and fills q, k, v and dout: N(0, 1) by seed. -1 where the system
 * refuses. */
int attention_layer_init(AttentionLayer *l, const Attention *shape, const AttentionImpl *impl,
                         int threads, uint64_t seed, Err *err);
void attention_layer_release(AttentionLayer *l);

/* Runs both layers, of one shape and seed, and returns the largest difference over the largest
 * value of y, of out or of the gradients together, whichever is worse; NaN where one is no
 * number. */
double attention_difference(AttentionLayer *x, AttentionLayer *y);
