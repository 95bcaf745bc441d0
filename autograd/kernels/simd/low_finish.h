/* low_finish: the sums of a tile become elements of C: scaled, added to what is there, taken
 * through the epilogue, rounded to C's format. No other place rounds the result of a product of a
 * small format.
 *
 * A tile is finished as a whole (low_finish.c) or row by row between the steps of the next tile
 * (low_tile.c), with the same result, bit for bit. */
#pragma once

#include "autograd/kernels/simd/gelu_near.h"

/* The sums as fp32 plus the bias, plus C where they accumulate. */
ALWAYS_INLINE vf finish_begin(const void *from, DType type, size_t i, size_t j, size_t n, vf bias)
{
    const LowFinish *f = from;
    vf y = vload(f->sums + i * f->width + j);
    vf c = f->accumulate ? vload_as(type, f->c, i * f->c_row + j, n) : (vf){0};
    if (!f->column_scale) {
        y = f->row_scale ? y * f->row_scale[i] : y; /* by a power of two: exact */
        return (f->accumulate ? c + y : y) + bias;  /* in the order of gemm_tile.c */
    }
    vi offset = (vi)vload((const float *)(f->column_sum + j)) << 7;
    vf scale = f->row_scale[i] * vload(f->column_scale + j);
    return vfma(__builtin_convertvector((vi)y - offset, vf), scale,
                f->accumulate ? c + bias : bias);
}

/* Row i of a whole tile. */
ALWAYS_INLINE void finish_whole_row(Act kind, ActFn *through, DType type, const LowFinish *f,
                                    size_t i)
{
#pragma GCC unroll 3
    for (size_t j = 0; j < NV * VL; j += VL) {
        vf bias = f->epi.bias ? vload(f->epi.bias + j) : (vf){0};
        vf v = finish_begin(f, type, i, j, VL, bias);
        epilogue_vector(kind, through, type, &f->epi, v, f->c, i * f->c_row + j, VL);
    }
}

/* Of a tile without z that does not accumulate. */
ALWAYS_INLINE void finish_row(Act kind, DType type, const LowFinish *f, size_t i)
{
    LowFinish row = *f;
    row.accumulate = false;
    row.epi.z = NULL;
    finish_whole_row(kind, act_near, type, &row, i);
}

/* The activations of tiles that are finished row by row. */
#define FOR_FINISHES(X, type) X(ACT_NONE, type) X(ACT_GELU_TANH, type) X(ACT_GELU_ERF, type)
