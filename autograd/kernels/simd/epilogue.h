/* epilogue: the activations on one vector, and the loop over bias, activation and residual behind a
 * matrix product, for every source of its elements and every format of C. */
#pragma once

#include "autograd/kernels/simd/half.h"
#include "autograd/kernels/simd/simd.h"
#include "autograd/kernels/simd/vmath.h"

/* 2 sqrt(2/pi) (z + 0.044715 z^3) = z (GELU_1 + GELU_3 z^2): tanh GELU is z times the logistic
 * function of it, which keeps the small values of large negative z accurate. */
#define GELU_1 1.595769122f
#define GELU_3 0.07135481627f

ALWAYS_INLINE vf gelu_tanh(vf z)
{
    vf u = z * (z * z * -GELU_3 - GELU_1);
    return z / (1.0f + vexp(u));
}

ALWAYS_INLINE vf act(Act kind, vf z)
{
    switch (kind) {
    case ACT_GELU_TANH:
        return gelu_tanh(z);
    case ACT_GELU_ERF:
        return z * vphi(z, NULL);
    case ACT_RELU:
        return vmax(vset1(0), z);
    case ACT_TANH:
        return vtanh(z);
    case ACT_NONE:
        break;
    }
    return z;
}

/* The kind is a constant in each call, so that the switch stays outside the loop. */
#define FOR_ACT(kind, call)                                                                        \
    switch (kind) {                                                                                \
    case ACT_NONE:                                                                                 \
        call(ACT_NONE);                                                                            \
        break;                                                                                     \
    case ACT_GELU_TANH:                                                                            \
        call(ACT_GELU_TANH);                                                                       \
        break;                                                                                     \
    case ACT_GELU_ERF:                                                                             \
        call(ACT_GELU_ERF);                                                                        \
        break;                                                                                     \
    case ACT_RELU:                                                                                 \
        call(ACT_RELU);                                                                            \
        break;                                                                                     \
    case ACT_TANH:                                                                                 \
        call(ACT_TANH);                                                                            \
        break;                                                                                     \
    }

/* Applies an activation, which is a constant in each call, to z. */
typedef vf ActFn(Act kind, vf z);

/* Finishes n elements, a vector at most, from element `at` of c on. v: their sums with the bias. */
ALWAYS_INLINE void epilogue_vector(Act kind, ActFn *through, DType type, const Epilogue *epi, vf v,
                                   void *c, size_t at, size_t n)
{
    if (epi->z)
        vstore_some(epi->z + at, v, n);
    v = through(kind, v);
    if (epi->residual)
        v += vload_as(type, epi->residual, at, n);
    vstore_as(type, c, at, v, n);
}

/* Reads what an epilogue begins with: n sums of row i from column j on, plus the bias. `type` is
 * C's. */
typedef vf BeginFn(const void *from, DType type, size_t i, size_t j, size_t n, vf bias);

/* Finishes columns [from, to), one vector of columns after the other, so that its bias stays in a
 * register. */
ALWAYS_INLINE void epilogue_loop(Act kind, ActFn *through, DType type, const Epilogue *epi,
                                 BeginFn *begin, const void *source, void *c, size_t c_row,
                                 size_t rows, size_t from, size_t to)
{
    for (size_t j = from; j < to; j += VL) {
        size_t n = to - j;
        vf bias = epi->bias ? vload_some(epi->bias + j, n) : (vf){0};
        for (size_t i = 0; i < rows; i++)
            epilogue_vector(kind, through, type, epi, begin(source, type, i, j, n, bias), c,
                            i * c_row + j, n);
    }
}
