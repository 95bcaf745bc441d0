/* half: converts one vector of bf16 or f16 to and from fp32; loads and stores one of any of the
 * three.
 *
 * bf16 is the upper half of an fp32, so widening is a shift. Rounding works on the bits, the same
 * on every machine (vcvtneps2bf16 would flush subnormals). f16 has instructions in the avx2 and
 * avx512 builds; the generic build computes the same on the bits. */
#pragma once

#include "autograd/dtype.h"
#include "autograd/kernels/simd/vec.h"

typedef uint16_t vh __attribute__((vector_size(VL * 2)));
typedef uint16_t vh_any __attribute__((vector_size(VL * 2), aligned(2), may_alias));

ALWAYS_INLINE vh vload_half(const uint16_t *p)
{
    return *(const vh_any *)p;
}

ALWAYS_INLINE vh vload_half_part(const uint16_t *p, size_t n)
{
    vh v = {0};
    memcpy(&v, p, n * sizeof(*p));
    return v;
}

ALWAYS_INLINE void vstore_half_part(uint16_t *p, vh v, size_t n)
{
#if VL == 16
    _mm256_mask_storeu_epi16(p, (__mmask16)((1u << n) - 1), (__m256i)v);
#else
    memcpy(p, &v, n * sizeof(*p));
#endif
}

ALWAYS_INLINE vf vwiden_bf16(vh h)
{
    return (vf)(__builtin_convertvector(h, vu) << 16);
}

/* The nearest bf16, ties to even, in the lower half of each lane. A NaN keeps its upper bits and
 * becomes quiet. */
ALWAYS_INLINE vu vround_bf16(vf x)
{
    vu bits = (vu)x, nearest = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    return (vu)vselect(x != x, (vf)(bits >> 16 | 0x40), (vf)nearest);
}

ALWAYS_INLINE vh vnarrow_bf16(vf x)
{
    return __builtin_convertvector(vround_bf16(x), vh);
}

#if VL == 16

ALWAYS_INLINE vf vwiden_f16(vh h)
{
    return (vf)_mm512_cvtph_ps((__m256i)h);
}

ALWAYS_INLINE vh vnarrow_f16(vf x)
{
    return (vh)_mm512_cvtps_ph((__m512)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

#elif VL == 8

ALWAYS_INLINE vf vwiden_f16(vh h)
{
    return (vf)_mm256_cvtph_ps((__m128i)h);
}

ALWAYS_INLINE vh vnarrow_f16(vf x)
{
    return (vh)_mm256_cvtps_ph((__m256)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

#else

/* Exponent and fraction, shifted to their places in an fp32, are the number times 2^-112, also of
 * subnormals. */
ALWAYS_INLINE vf vwiden_f16(vh h)
{
    vi bits = (vi) __builtin_convertvector(h, vu), size = bits & 0x7fff;
    vf finite = (vf)(size << 13) * 0x1p112f;
    vi quiet = (size > 0x7c00) & 0x400000;
    vf special = (vf)(size << 13 | 0x7f800000 | quiet);
    vf positive = vselect(size >= 0x7c00, special, finite);
    return (vf)((vi)positive | (bits & 0x8000) << 16);
}

/* Three cases. Subnormals: the addition of a number with their last place rounds them. Normal
 * numbers: on the bits, where an overflow becomes infinity by itself. From 2^16 on: infinity or a
 * quiet NaN. */
ALWAYS_INLINE vh vnarrow_f16(vf x)
{
    vi bits = (vi)x, size = bits & 0x7fffffff, sign = bits >> 16 & 0x8000;
    vi subnormal = (vi)((vf)size + 0.5f) - 0x3f000000;
    vi normal = (size - 0x38000000 + 0xfff + (size >> 13 & 1)) >> 13;
    vi nan = 0x7e00 | (size >> 13 & 0x3ff);
    vi special = (vi)vselect(size > 0x7f800000, (vf)nan, (vf)vset1i(0x7c00));
    vf half = vselect(size < 0x38800000, (vf)subnormal, (vf)normal);
    half = vselect(size >= 0x47800000, (vf)special, half);
    return __builtin_convertvector((vu)(sign | (vi)half), vh);
}

#endif

/* ---- f32, bf16 or f16: n elements of x from element `at` on, or a whole vector where n is larger
 * ---- */

ALWAYS_INLINE vf vload_as(DType type, const void *x, size_t at, size_t n)
{
    const uint16_t *half = (const uint16_t *)x + at;
    if (type == DT_F32)
        return vload_some((const float *)x + at, n);
    vh h = n >= VL ? vload_half(half) : vload_half_part(half, n);
    return type == DT_BF16 ? vwiden_bf16(h) : vwiden_f16(h);
}

ALWAYS_INLINE void vstore_as(DType type, void *x, size_t at, vf v, size_t n)
{
    uint16_t *half = (uint16_t *)x + at;
    if (type == DT_F32) {
        vstore_some((float *)x + at, v, n);
        return;
    }
    vh h = type == DT_BF16 ? vnarrow_bf16(v) : vnarrow_f16(v);
    if (n >= VL)
        *(vh_any *)half = h;
    else
        vstore_half_part(half, h, n);
}
