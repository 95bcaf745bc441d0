/* act: exp and the activations over arrays, forward and backward, and the epilogue of a matrix
 * product that applies them. The functions on one vector are in vmath.h and epilogue.h. */
#include "autograd/kernels/simd/epilogue.h"

/* Beyond +-10 the derivative is 0 or 1, to the last bit. */
ALWAYS_INLINE vf gelu_tanh_slope(vf z)
{
    z = vmin(vset1(10), vmax(vset1(-10), z));
    vf z2 = z * z, e = vexp(z * (z2 * -GELU_3 - GELU_1));
    vf s = 1.0f / (1.0f + e);
    return s + z * (e * s) * s * (3.0f * GELU_3 * z2 + GELU_1);
}

ALWAYS_INLINE vf slope(Act kind, vf z)
{
    vf density, t;
    switch (kind) {
    case ACT_GELU_TANH:
        return gelu_tanh_slope(z);
    case ACT_GELU_ERF:
        z = vmin(vset1(20), vmax(vset1(-20), z));
        t = vphi(z, &density);
        return t + z * density;
    case ACT_RELU:
        return vif_less(vset1(0), z, vset1(1), vset1(0));
    case ACT_TANH:
        t = vtanh(z);
        return 1.0f - t * t;
    case ACT_NONE:
        break;
    }
    return vset1(1);
}

void KERNEL(exp)(const float *x, float *y, size_t n)
{
    size_t i = 0;
    for (; i + VL <= n; i += VL)
        vstore(y + i, vexp(vload(x + i)));
    if (i < n)
        vstore_part(y + i, vexp(vload_part(x + i, n - i)), n - i);
}

ALWAYS_INLINE void forward_loop(Act kind, const float *z, float *y, size_t n)
{
    size_t i = 0;
    for (; i + VL <= n; i += VL)
        vstore(y + i, act(kind, vload(z + i)));
    if (i < n)
        vstore_part(y + i, act(kind, vload_part(z + i, n - i)), n - i);
}

ALWAYS_INLINE void backward_loop(Act kind, const float *z, const float *dy, float *dz, size_t n)
{
    size_t i = 0;
    for (; i + VL <= n; i += VL)
        vstore(dz + i, vload(dy + i) * slope(kind, vload(z + i)));
    if (i < n)
        vstore_part(dz + i, vload_part(dy + i, n - i) * slope(kind, vload_part(z + i, n - i)),
                    n - i);
}

void KERNEL(act_forward)(Act kind, const float *z, float *y, size_t n)
{
#define CALL(constant) forward_loop(constant, z, y, n)
    FOR_ACT(kind, CALL)
#undef CALL
}

void KERNEL(act_backward)(Act kind, const float *z, const float *dy, float *dz, size_t n)
{
#define CALL(constant) backward_loop(constant, z, dy, dz, n)
    FOR_ACT(kind, CALL)
#undef CALL
}

/* ---- epilogue ---- */

typedef struct Rows {
    const float *c;
    size_t c_row;
} Rows;

ALWAYS_INLINE vf read_row(const void *from, DType type, size_t i, size_t j, size_t n, vf bias)
{
    const Rows *rows = from;
    return vload_as(type, rows->c, i * rows->c_row + j, n) + bias;
}

void KERNEL(epilogue)(const Epilogue *epi, float *c, size_t c_row, size_t rows, size_t from,
                      size_t to)
{
    if (!epi->bias && !epi->z && !epi->residual && epi->act == ACT_NONE)
        return;
    const Rows all = {c, c_row};
#define CALL(constant)                                                                             \
    epilogue_loop(constant, act, DT_F32, epi, read_row, &all, c, c_row, rows, from, to)
    FOR_ACT(epi->act, CALL)
#undef CALL
}
