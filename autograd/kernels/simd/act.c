/* act: exp and the activations over arrays, forward and backward, and the epilogue of a matrix
 * product that applies them. The functions on one vector are in vmath.h. */
#include "simd.h"
#include "vmath.h"

/* 2 sqrt(2/pi) (z + 0.044715 z^3) = z (GELU_1 + GELU_3 z^2): tanh GELU is z times the logistic
 * function of it, which keeps the small values of large negative z accurate. */
#define GELU_1 1.595769122f
#define GELU_3 0.07135481627f

ALWAYS_INLINE vf gelu_tanh(vf z)
{
    vf u = z * (z * z * -GELU_3 - GELU_1);
    return z / (1.0f + vexp(u));
}

/* Beyond +-10 the derivative is 0 or 1 to the last bit. */
ALWAYS_INLINE vf gelu_tanh_slope(vf z)
{
    z = vmin(vset1(10), vmax(vset1(-10), z));
    vf z2 = z * z, e = vexp(z * (z2 * -GELU_3 - GELU_1));
    vf s = 1.0f / (1.0f + e);
    return s + z * (e * s) * s * (3.0f * GELU_3 * z2 + GELU_1);
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

/* The activation is a constant in each of these loops, so the switch is outside them. */
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

void KERNEL(act_forward)(Act kind, const float *z, float *y, size_t n)
{
#define CALL(constant) forward_loop(constant, z, y, n)
    FOR_ACT(kind, CALL)
#undef CALL
}

void KERNEL(act_backward)(Act kind, const float *z, const float *dy, float *dz, size_t n){
#define CALL(constant) backward_loop(constant, z, dy, dz, n)
    FOR_ACT(kind, CALL)
#undef CALL
}

/* ---- epilogue ---- */

ALWAYS_INLINE vf load_some(const float *p, size_t n)
{
    return n >= VL ? vload(p) : vload_part(p, n);
}

ALWAYS_INLINE void store_some(float *p, vf v, size_t n)
{
    if (n >= VL)
        vstore(p, v);
    else
        vstore_part(p, v, n);
}

/* Column by column of vectors: what belongs to a column stays in registers. */
ALWAYS_INLINE void epilogue_loop(Act kind, const Epilogue *epi, float *c, size_t c_row, size_t rows,
                                 size_t from, size_t to)
{
    const float *residual = epi->residual;
    for (size_t j = from; j < to; j += VL) {
        size_t n = to - j;
        vf bias = epi->bias ? load_some(epi->bias + j, n) : (vf){0};
        for (size_t i = 0; i < rows; i++) {
            size_t at = i * c_row + j;
            vf v = load_some(c + at, n) + bias;
            if (epi->z)
                store_some(epi->z + at, v, n);
            v = act(kind, v);
            if (residual)
                v += load_some(residual + at, n);
            store_some(c + at, v, n);
        }
    }
}

void KERNEL(epilogue)(const Epilogue *epi, float *c, size_t c_row, size_t rows, size_t from,
                      size_t to)
{
    if (!epi->bias && !epi->z && !epi->residual && epi->act == ACT_NONE)
        return;
#define CALL(constant) epilogue_loop(constant, epi, c, c_row, rows, from, to)
    FOR_ACT(epi->act, CALL)
#undef CALL
}
