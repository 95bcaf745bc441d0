/* vmath: elementary functions on one vector. Errors are the largest seen by
 * tests/unit/autograd/test_vmath.c, which steps through the floats of every exponent; NaN gives
 * NaN. Argument reduction follows Cody & Waite (1980); the coefficients are weighted minimax fits
 * made for these ranges. */
#pragma once

#include "autograd/kernels/simd/vec.h"

#include <math.h>

/* Adding and taking away 1.5 * 2^23 rounds to an integer, which then sits in the low bits. */
#define ROUND_MAGIC 12582912.0f

/* exp(r) 2^n for |r| <= ln(2) / 2 and n in the low bits of t. */
ALWAYS_INLINE vf vexp_scaled(vf r, vf t)
{
    vf p = 1.395171974e-3f * r + 8.369598538e-3f;
    p = p * r + 4.166618735e-2f;
    p = p * r + 1.666651219e-1f;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    return (vf)((vu)p + ((vu)t << 23));
}

/* exp(x), error 0.79 ulp, without FMA 1.08; 0 below ln(2^-126) = -87.33 (no denormals), infinity
 * above 88.72. */
ALWAYS_INLINE vf vexp(vf x)
{
    vf t = x * 1.442695041f + ROUND_MAGIC, n = t - ROUND_MAGIC;
    vf y = vexp_scaled((x - n * 0.693359375f) + n * 2.12194440e-4f, t);
    y = vif_less(x, vset1(-87.336544f), vset1(0), y);
    return vif_less(x, vset1(88.72284f), y, x + INFINITY);
}

/* 2^x for x <= 0, all that a softmax needs; 0 below -126 (no denormals). Error 1.00 ulp without
 * FMA, 0.79 with AVX2; with AVX-512, where an instruction looks up powers of sixteenths, 0.69. */
#if VL == 16
ALWAYS_INLINE vf vexp2_negative(vf x)
{
    /* Rounded, and what the rounding left. */
    static const vf power[2] = {{0x1.000000p+0f, 0x1.0b5586p+0f, 0x1.172b84p+0f, 0x1.2387a6p+0f,
                                 0x1.306fe0p+0f, 0x1.3dea64p+0f, 0x1.4bfdaep+0f, 0x1.5ab07ep+0f,
                                 0x1.6a09e6p+0f, 0x1.7a1148p+0f, 0x1.8ace54p+0f, 0x1.9c4918p+0f,
                                 0x1.ae89fap+0f, 0x1.c199bep+0f, 0x1.d5818ep+0f, 0x1.ea4afap+0f},
                                {0x0.000000p+0f, 0x1.9f3122p-25f, -0x1.c15742p-27f, 0x1.ceac48p-25f,
                                 0x1.4636e2p-25f, 0x1.824684p-25f, -0x1.593abcp-25f,
                                 -0x1.5bd5ecp-27f, 0x1.9fcef4p-26f, -0x1.829fd0p-25f,
                                 0x1.15506ep-27f, 0x1.51f848p-27f, -0x1.a94b14p-26f,
                                 -0x1.3d56b2p-27f, -0x1.822dbcp-27f, 0x1.52486cp-27f}};
    vf t = x + ROUND_MAGIC / 16, n = t - ROUND_MAGIC / 16, r = x - n;
    vf p = 5.550410866e-2f * r + 2.402265069e-1f;
    p = (p * r + 6.931471806e-1f) * r;
    vf most = (vf)_mm512_permutexvar_ps((__m512i)t, (__m512)power[0]);
    vf rest = (vf)_mm512_permutexvar_ps((__m512i)t, (__m512)power[1]);
    p = most + (p * most + rest);
    __mmask16 is_normal = _mm512_cmp_ps_mask((__m512)x, (__m512)vset1(-126), _CMP_NLT_UQ);
    return (vf)_mm512_maskz_scalef_ps(is_normal, (__m512)p, (__m512)n);
}
#else
ALWAYS_INLINE vf vexp2_negative(vf x)
{
    const float magic = ROUND_MAGIC + 127; /* 127: the low bits of t are then those of 2^n */
    vf t = x + magic, r = x - (t - magic);
    vf p = 1.582050754e-4f * r + 1.341820345e-3f;
    p = p * r + 9.617063217e-3f;
    p = p * r + 5.550272390e-2f;
    p = p * r + 2.402265519e-1f;
    p = p * r + 6.931472421e-1f;
    p = p * r + 1.0f;
    return vif_less(x, vset1(-126), vset1(0), p * (vf)((vu)t << 23));
}
#endif

/* ln(x) for normal positive x, within 2 ulp; undefined for other x. */
ALWAYS_INLINE vf vlog(vf x)
{
    const int32_t sqrt_half = 0x3f3504f3;
    vi shifted = (vi)x - sqrt_half;
    vi e = shifted >> 23;
    vf f = (vf)((shifted & 0x7fffff) + sqrt_half) - 1.0f;
    vf p = 6.746640801e-2f * f - 1.167565212e-1f;
    p = p * f + 1.188816205e-1f;
    p = p * f - 1.240558922e-1f;
    p = p * f + 1.421955228e-1f;
    p = p * f - 1.666799635e-1f;
    p = p * f + 2.000211924e-1f;
    p = p * f - 2.500000894e-1f;
    p = p * f + 3.333331347e-1f;
    vf n = __builtin_convertvector(e, vf), f2 = f * f;
    return (f2 * f * p + n * -2.12194440e-4f - 0.5f * f2 + f) + n * 0.693359375f;
}

/* sin and cos of 2 pi u for 0 <= u <= 1. */
ALWAYS_INLINE void vsincos_turn(vf u, vf *sine, vf *cosine)
{
    vf t = u * 4.0f + ROUND_MAGIC;
    vf r = u - (t - ROUND_MAGIC) * 0.25f;
    vi quarter = (vi)t;
    vf s = r * r;
    vf si = -75.40206909f * s + 81.59255219f;
    si = si * s - 41.34166336f;
    si = (si * s + 6.283185482f) * r;
    vf co = 59.22040558f * s - 85.44285583f;
    co = co * s + 64.93931580f;
    co = co * s - 19.73920822f;
    co = co * s + 1.0f;
    vi swap = -(quarter & 1);
    vi sine_sign = (quarter & 2) << 30, cosine_sign = ((quarter + 1) & 2) << 30;
    *sine = (vf)((vi)vselect(swap, co, si) ^ sine_sign);
    *cosine = (vf)((vi)vselect(swap, si, co) ^ cosine_sign);
}

/* tanh(x), error 1.16 ulp. */
ALWAYS_INLINE vf vtanh(vf x)
{
    vi sign = (vi)x & INT32_MIN;
    vf a = (vf)((vi)x ^ sign);
    vf s = x * x;
    vf p = 2.147539752e-3f * s - 8.182677440e-3f;
    p = p * s + 2.170296945e-2f;
    p = p * s - 5.394720286e-2f;
    p = p * s + 1.333321035e-1f;
    p = p * s - 3.333333135e-1f;
    vf near = a * s * p + a;
    vf far = 1.0f - 2.0f / (vexp(2.0f * a) + 1.0f);
    return (vf)((vi)vif_less(a, vset1(0.625f), near, far) | sign);
}

/* The normal distribution function Phi(x) and, where wanted, its density. Both tails keep their
 * relative accuracy: exp(-x^2/2) with the square in two words, times a polynomial in
 * 1 / (1 + 0.3 |x|). Zero below -13.2. */
ALWAYS_INLINE vf vphi(vf x, vf *density)
{
    const float end = 13.2f;
    vf magnitude = (vf)((vi)x & INT32_MAX), a = vmin(vset1(end), magnitude), half = a * 0.5f;
    vf square = a * half, lost = vlost(a, half, square);
    vf shift = square * -1.442695041f + ROUND_MAGIC, n = shift - ROUND_MAGIC;
    vf r = (n * 2.12194440e-4f - lost) - (n * 0.693359375f + square);
    vf e = vif_less(magnitude, vset1(end), vexp_scaled(r, shift), vset1(0));
    vf t = 1.0f / (1.0f + 0.3f * a);
    vf q = -2.059899457e-2f * t + 1.122979000e-1f;
    q = q * t - 2.278771847e-1f;
    q = q * t + 1.913171113e-1f;
    q = q * t - 7.901725173e-2f;
    q = q * t + 9.592830390e-2f;
    q = q * t + 7.847267389e-2f;
    q = q * t + 1.102166846e-1f;
    q = q * t + 1.195741966e-1f;
    q = q * t + 1.196865588e-1f;
    q *= t;
    if (density)
        *density = e * 0.3989422804f;
    return vif_less(x, vset1(0), q * e, 1.0f - q * e);
}
