/* decoder: the row kernels that the Llama family has beside those of GPT-2: RMS norm, rotary
 * embedding, gate. Shapes and formulas are in kernels.def. */
#include "autograd/kernels/simd/simd.h"
#include "autograd/kernels/simd/vmath.h"

/* ---- RMS norm ---- */

/* Four partial sums keep the adders busy. */
ALWAYS_INLINE float sum_squares(const float *x, size_t n)
{
    vf sum[4] = {{0}};
    size_t i = 0;
    for (; i + 4 * VL <= n; i += 4 * VL)
#pragma GCC unroll 4
        for (size_t u = 0; u < 4; u++) {
            vf v = vload(x + i + u * VL);
            sum[u] += v * v;
        }
    for (; i + VL <= n; i += VL) {
        vf v = vload(x + i);
        sum[0] += v * v;
    }
    float total = vsum((sum[0] + sum[1]) + (sum[2] + sum[3]));
    for (; i < n; i++)
        total += x[i] * x[i];
    return total;
}

void KERNEL(rmsnorm_forward)(const float *x, const float *w, float eps, float *y, float *rstd,
                             size_t rows, size_t C)
{
    for (size_t r = 0; r < rows; r++, x += C, y += C) {
        float s = 1.0f / __builtin_sqrtf(sum_squares(x, C) / (float)C + eps);
        size_t i = 0;
        for (; i + VL <= C; i += VL)
            vstore(y + i, vload(x + i) * s * vload(w + i));
        for (; i < C; i++)
            y[i] = x[i] * s * w[i];
        rstd[r] = s;
    }
}

/* One row: adds to dw; the sum of dy w xhat. */
static float rmsnorm_sums(const float *x, const float *w, float rstd, const float *dy, float *dw,
                          size_t C)
{
    vf sum = {0};
    size_t i = 0;
    for (; i + VL <= C; i += VL) {
        vf g = vload(dy + i) * (vload(x + i) * rstd);
        vstore(dw + i, vload(dw + i) + g);
        sum += g * vload(w + i);
    }
    float total = vsum(sum);
    for (; i < C; i++) {
        float g = dy[i] * (x[i] * rstd);
        dw[i] += g;
        total += g * w[i];
    }
    return total;
}

void KERNEL(rmsnorm_backward)(const float *x, const float *w, const float *rstd, const float *dy,
                              float *dx, bool add_dx, float *dw, size_t rows, size_t C)
{
    for (size_t r = 0; r < rows; r++, x += C, dy += C, dx += C) {
        float s = rstd[r], mean = rmsnorm_sums(x, w, s, dy, dw, C) / (float)C;
        size_t i = 0;
        for (; i + VL <= C; i += VL) {
            vf d = (vload(dy + i) * vload(w + i) - vload(x + i) * s * mean) * s;
            vstore(dx + i, add_dx ? vload(dx + i) + d : d);
        }
        for (; i < C; i++) {
            float d = (dy[i] * w[i] - x[i] * s * mean) * s;
            dx[i] = add_dx ? dx[i] + d : d;
        }
    }
}

/* ---- rotary embedding ---- */

static void rotate_halves(const float *x, const float *cosine, const float *sine, float sign,
                          float *y, size_t half)
{
    size_t i = 0;
    for (; i + VL <= half; i += VL) {
        vf a = vload(x + i), b = vload(x + half + i), c = vload(cosine + i);
        vf s = vload(sine + i) * sign;
        vstore(y + i, a * c - b * s);
        vstore(y + half + i, b * c + a * s);
    }
    for (; i < half; i++) {
        float a = x[i], b = x[half + i], s = sine[i] * sign;
        y[i] = a * cosine[i] - b * s;
        y[half + i] = b * cosine[i] + a * s;
    }
}

static void rotate_pairs(const float *x, const float *cosine, const float *sine, float sign,
                         float *y, size_t half)
{
    for (size_t i = 0; i < half; i++) {
        float a = x[2 * i], b = x[2 * i + 1], s = sine[i] * sign;
        y[2 * i] = a * cosine[i] - b * s;
        y[2 * i + 1] = b * cosine[i] + a * s;
    }
}

void KERNEL(rotate)(const float *x, const float *cosine, const float *sine, bool interleaved,
                    bool back, float *y, size_t heads, size_t D)
{
    float sign = back ? -1 : 1;
    for (size_t h = 0; h < heads; h++, x += D, y += D)
        (interleaved ? rotate_pairs : rotate_halves)(x, cosine, sine, sign, y, D / 2);
}

/* ---- gate ---- */

/* 0 below -88, where exp(-z) is infinite. */
ALWAYS_INLINE vf sigmoid(vf z)
{
    return 1.0f / (1.0f + vexp(-z));
}

void KERNEL(silu_gate_forward)(const float *gate, const float *up, float *y, size_t n)
{
    size_t i = 0;
    for (; i + VL <= n; i += VL) {
        vf z = vload(gate + i);
        vstore(y + i, z * sigmoid(z) * vload(up + i));
    }
    if (i < n) {
        vf z = vload_part(gate + i, n - i);
        vstore_part(y + i, z * sigmoid(z) * vload_part(up + i, n - i), n - i);
    }
}

/* silu'(z) = s + z s (1 - s), s the sigmoid. */
ALWAYS_INLINE void gate_gradient(vf z, vf up, vf dy, vf *dgate, vf *dup)
{
    vf s = sigmoid(z);
    *dgate = dy * up * (s + z * s * (1.0f - s));
    *dup = dy * (z * s);
}

void KERNEL(silu_gate_backward)(const float *gate, const float *up, const float *dy, float *dgate,
                                float *dup, size_t n)
{
    size_t i = 0;
    vf dg, du;
    for (; i + VL <= n; i += VL) {
        gate_gradient(vload(gate + i), vload(up + i), vload(dy + i), &dg, &du);
        vstore(dgate + i, dg);
        vstore(dup + i, du);
    }
    if (i < n) {
        size_t k = n - i;
        gate_gradient(vload_part(gate + i, k), vload_part(up + i, k), vload_part(dy + i, k), &dg,
                      &du);
        vstore_part(dgate + i, dg, k);
        vstore_part(dup + i, du, k);
    }
}
