/* fp16_instructions: the instructions of fp16_tile.c in plain C, as the Intel SDM (vol. 2,
 * VFMADD231PH, VCVTPH2PSX, ...) describes them, with the names of the intrinsics. f16 is neither
 * flushed nor read as zero where it is subnormal, whatever MXCSR says.
 *
 * Included once, before fp16_tile.c, whose functions are renamed here. */
#pragma once

#include "autograd/kernels/kernels.h"

#include <math.h>
#include <string.h>

#define TARE_FP16_EMULATED

/* Calls: inlined into every tile, they would take a sanitizing compiler minutes. */
#define FP16_CALL static __attribute__((noinline, unused))

#define tile_f16_fp16  tile_f16_fp16_emulated
#define peak_loop_fp16 peak_loop_fp16_emulated

/* Registers of f16 hold its numbers as floats, which is exact. */
typedef struct {
    float lane[32];
} __m512h;

typedef struct {
    float lane[16];
} __m256h, __m512;

typedef struct {
    uint32_t lane; /* the same in all */
} __m512i;

/* The nearest f16, ties to even: below 2^11 units of its last place, adding 1.5 * 2^52 of them
 * leaves no digits behind the point. */
static inline float fp16_rounded(double x)
{
    uint64_t bits;
    double power;
    memcpy(&bits, &x, sizeof(bits));
    bits &= (uint64_t)0x7ff << 52;
    memcpy(&power, &bits, sizeof(power)); /* of two, at most |x| */
    double magic = fmax(power, 0x1p-14) * 0x1.8p42, nearest = x + magic - magic;
    if (!isfinite(x))
        return (float)x;
    return fabs(nearest) > 65504 ? copysignf(INFINITY, (float)x) : (float)nearest;
}

FP16_CALL __m512h _mm512_setzero_ph(void)
{
    return (__m512h){{0}};
}

FP16_CALL __m512i _mm512_set1_epi32(int x)
{
    return (__m512i){(uint32_t)x};
}

FP16_CALL __m512h _mm512_castsi512_ph(__m512i x)
{
    uint16_t halves[32];
    __m512h v;
    for (int i = 0; i < 32; i++)
        halves[i] = (uint16_t)(x.lane >> 16 * (i % 2));
    kernels_for("generic")->widen(DT_F16, halves, v.lane, 32);
    return v;
}

FP16_CALL __m512h _mm512_loadu_ph(const void *from)
{
    __m512h v;
    kernels_for("generic")->widen(DT_F16, from, v.lane, 32);
    return v;
}

FP16_CALL void _mm512_storeu_ph(void *to, __m512h v)
{
    kernels_for("generic")->narrow(DT_F16, v.lane, to, 32);
}

FP16_CALL __m256h _mm256_loadu_ph(const void *from)
{
    __m256h v;
    kernels_for("generic")->widen(DT_F16, from, v.lane, 16);
    return v;
}

/* The product of two f16 is exact in a double. Its sum with a third may lose digits there, but only
 * where one of the two is too small to decide how the other is rounded. */
FP16_CALL __m512h _mm512_fmadd_ph(__m512h a, __m512h b, __m512h c)
{
    for (int i = 0; i < 32; i++)
        c.lane[i] = fp16_rounded((double)a.lane[i] * b.lane[i] + c.lane[i]);
    return c;
}

FP16_CALL __m512 _mm512_cvtxph_ps(__m256h x)
{
    __m512 v;
    memcpy(v.lane, x.lane, sizeof(v.lane));
    return v;
}

FP16_CALL __m512 _mm512_loadu_ps(const void *from)
{
    __m512 v;
    memcpy(v.lane, from, sizeof(v.lane));
    return v;
}

FP16_CALL void _mm512_storeu_ps(void *to, __m512 v)
{
    memcpy(to, v.lane, sizeof(v.lane));
}

FP16_CALL __m512 _mm512_add_ps(__m512 a, __m512 b)
{
    for (int i = 0; i < 16; i++)
        a.lane[i] += b.lane[i];
    return a;
}

FP16_CALL __m512 _mm512_mul_ps(__m512 a, __m512 b)
{
    for (int i = 0; i < 16; i++)
        a.lane[i] *= b.lane[i];
    return a;
}
