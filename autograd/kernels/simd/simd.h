/* simd: what the files of this folder share: vectors, and the names of one another's kernels.
 * Shapes and meanings are in kernels.h and isa.h. */
#ifndef TARE_AUTOGRAD_KERNELS_SIMD_SIMD_H
#define TARE_AUTOGRAD_KERNELS_SIMD_SIMD_H

#include "autograd/kernels/isa.h"
#include "autograd/kernels/simd/vec.h"

static const Tile simd_tile = {.rows = MR, .lanes = VL, .vectors = NV};

/* Asks memory for the lines in which these bytes lie, as many as a step of a tile reads of B at most. */
ALWAYS_INLINE void fetch_lines(const char *at, size_t bytes)
{
    _Static_assert(NR * sizeof(float) <= 192, "three lines");
    __builtin_prefetch(at);
    if (bytes > 64)
        __builtin_prefetch(at + 64);
    if (bytes > 128)
        __builtin_prefetch(at + 128);
}

/* gemm */
void KERNEL(pack_b)(size_t k, size_t n, size_t first, size_t last, const float *b, size_t b_row,
                    size_t b_col, float *out);
void KERNEL(gemm_block)(const GemmBlock *block);
void KERNEL(epilogue)(const Epilogue *epi, float *c, size_t c_row, size_t rows, size_t from,
                      size_t to);

/* small formats */
void KERNEL(widen)(DType from, const void *x, float *y, size_t n);
void KERNEL(narrow)(DType to, const float *x, void *y, size_t n);
float KERNEL(quantize_scale)(const float *x, size_t n);
void KERNEL(quantize)(const float *x, float scale, int8_t *q, size_t n);
void KERNEL(interleave)(size_t rows, size_t units, const uint32_t *in, size_t in_row, uint32_t *out,
                        size_t out_row);
void KERNEL(zip_bf16)(const float *even, const float *odd, size_t n, uint32_t *out);
void KERNEL(tile_bf16)(const LowTile *t);
void KERNEL(tile_f16)(const LowTile *t);
void KERNEL(tile_i8)(const LowTile *t);
void KERNEL(low_finish)(const LowFinish *f);

/* rows */
void KERNEL(exp)(const float *x, float *y, size_t n);
void KERNEL(act_forward)(Act act, const float *z, float *y, size_t n);
void KERNEL(act_backward)(Act act, const float *z, const float *dy, float *dz, size_t n);
void KERNEL(add)(const float *a, const float *b, float *y, size_t n);
void KERNEL(layernorm_forward)(const float *x, const float *w, const float *b, float eps, float *y,
                               float *mean, float *rstd, size_t rows, size_t C);
void KERNEL(layernorm_backward)(const float *x, const float *w, const float *mean,
                                const float *rstd, const float *dy, float *dx, bool add_dx,
                                float *dw, float *db, size_t rows, size_t C);
void KERNEL(logsumexp_update)(const float *x, size_t n, float *max, float *sum);
void KERNEL(softmax_from_lse)(float *x, size_t n, float lse, float scale);
void KERNEL(sum_rows)(const float *x, size_t stride, size_t rows, size_t C, bool add, float *out);
void KERNEL(adamw)(float *w, const float *g, float *m, float *v, size_t n, float lr, float beta1,
                   float beta2, float eps, float decay, float c1, float c2, float gscale);
void KERNEL(dropout)(const float *x, float *y, size_t n, uint64_t key, uint64_t first,
                     uint32_t dropped);
void KERNEL(normal)(float *y, size_t n, uint64_t seed, uint64_t stream, uint64_t first, float mean,
                    float std);

/* attention */
void KERNEL(attention_forward)(const AttentionTask *task, float *scratch);
void KERNEL(attention_backward)(const AttentionTask *task, float *scratch);

double KERNEL(fma_loop)(size_t rounds);

#endif
