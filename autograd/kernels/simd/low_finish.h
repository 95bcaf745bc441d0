/* low_finish: the sums of a tile become elements of C: scaled (i8), added to what is there, through the
 * epilogue, rounded to C's format. The only place where a small gemm_run rounds its result.
 *
 * A whole tile by itself (low_finish.c) and row by row between the steps of the next one (low_tile.c) have
 * to come out the same, bit for bit. */
#ifndef TARE_AUTOGRAD_KERNELS_SIMD_LOW_FINISH_H
#define TARE_AUTOGRAD_KERNELS_SIMD_LOW_FINISH_H

#include "autograd/kernels/simd/gelu_near.h"

/* The sums as fp32, with the bias, added to what C has where they accumulate. */
ALWAYS_INLINE vf finish_begin(const void *from, DType type, size_t i, size_t j, size_t n, vf bias)
{
    const LowFinish *f = from;
    vf y = vload(f->sums + i * f->width + j);
    vf c = f->accumulate ? vload_as(type, f->c, i * f->c_row + j, n) : (vf){0};
    if (!f->row_scale)
        return (f->accumulate ? c + y : y) + bias; /* as where blocks over k are added elsewhere */
    vi offset = (vi)vload((const float *)(f->column_sum + j)) << 7;
    vf scale = f->row_scale[i] * vload(f->column_scale + j);
    return vfma(__builtin_convertvector((vi)y - offset, vf), scale,
                f->accumulate ? c + bias : bias);
}

/* Row i of a tile that may be left unfinished: see isa.h. */
ALWAYS_INLINE void finish_row(Act kind, DType type, const LowFinish *f, size_t i)
{
    LowFinish own = *f;
    own.accumulate = false;
    own.epi.z = NULL;
#pragma GCC unroll 3
    for (size_t j = 0; j < NV * VL; j += VL) {
        vf bias = own.epi.bias ? vload(own.epi.bias + j) : (vf){0};
        vf v = finish_begin(&own, type, i, j, VL, bias);
        epilogue_vector(kind, act_near, type, &own.epi, v, own.c, i * own.c_row + j, VL);
    }
}

#endif
