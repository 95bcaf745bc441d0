/* vec: one vector of floats of the instruction set for which this file is compiled.
 *
 * Every file of this folder is compiled once for each instruction set, with TARE_ISA_NAME=generic,
 * avx2 or avx512; KERNEL(exp) is then exp_generic, exp_avx2 or exp_avx512. Arithmetic uses GCC's
 * vector extensions, and a * b + c becomes one FMA where the machine has it. Only what the
 * extensions lack (min, max, square root, partial loads) is written for each instruction set,
 * below.
 *
 * Everything here is static: the linker could otherwise replace an inline function of one build by
 * that of a wider build, whose instructions the machine may lack. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define KERNEL_PASTE(name, isa)  name##_##isa
#define KERNEL_EXPAND(name, isa) KERNEL_PASTE(name, isa)
#define KERNEL(name)             KERNEL_EXPAND(name, TARE_ISA_NAME)

/* VL lanes; the tile of the matrix product is MR rows by NV vectors, so that MR * NV accumulators,
 * NV vectors of B and one of A fill the registers (32 with AVX-512, else 16). */
#if defined(__AVX512F__)
#include <immintrin.h>
#define VL      16
#define VL_LOG2 4
#define MR      8
#define NV      3
#elif defined(__AVX2__)
#include <immintrin.h>
#define VL      8
#define VL_LOG2 3
#define MR      6
#define NV      2
#else
#define VL      4
#define VL_LOG2 2
#define MR      6
#define NV      2
#endif
#define NR (NV * VL)

#define ALWAYS_INLINE static inline __attribute__((always_inline, unused))

typedef float vf __attribute__((vector_size(VL * 4)));
typedef int32_t vi __attribute__((vector_size(VL * 4)));
typedef uint32_t vu __attribute__((vector_size(VL * 4)));
typedef float vf_any __attribute__((vector_size(VL * 4), aligned(4), may_alias));

ALWAYS_INLINE vf vset1(float x)
{
    return x - (vf){0};
}

ALWAYS_INLINE vi vset1i(int32_t x)
{
    return x - (vi){0};
}

ALWAYS_INLINE vf vload(const float *p)
{
    return *(const vf_any *)p;
}

ALWAYS_INLINE void vstore(float *p, vf v)
{
    *(vf_any *)p = v;
}

/* Lanes of the mask are all ones or all zeros, as those of a comparison. */
ALWAYS_INLINE vf vselect(vi mask, vf yes, vf no)
{
    return (vf)((mask & (vi)yes) | (~mask & (vi)no));
}

/* ---- per instruction set. vmin and vmax give b when either is NaN. ---- */

#if defined(__AVX512F__)

/* Lanes of yes where a < b, else of no. */
ALWAYS_INLINE vf vif_less(vf a, vf b, vf yes, vf no)
{
    __mmask16 less = _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_LT_OQ);
    return (vf)_mm512_mask_blend_ps(less, (__m512)no, (__m512)yes);
}

ALWAYS_INLINE vf vmin(vf a, vf b)
{
    return (vf)_mm512_min_ps((__m512)a, (__m512)b);
}

ALWAYS_INLINE vf vmax(vf a, vf b)
{
    return (vf)_mm512_max_ps((__m512)a, (__m512)b);
}

ALWAYS_INLINE vf vsqrt(vf a)
{
    return (vf)_mm512_sqrt_ps((__m512)a);
}

/* a b + c, rounded once where the set has FMA: for results that must not depend on the compiler. */
ALWAYS_INLINE vf vfma(vf a, vf b, vf c)
{
    return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
}

/* a b - p, exactly, where p is a b rounded. */
ALWAYS_INLINE vf vlost(vf a, vf b, vf p)
{
    return (vf)_mm512_fmsub_ps((__m512)a, (__m512)b, (__m512)p);
}

/* The first n <= VL floats; the other lanes are 0. */
ALWAYS_INLINE vf vload_part(const float *p, size_t n)
{
    return (vf)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
}

ALWAYS_INLINE void vstore_part(float *p, vf v, size_t n)
{
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v);
}

#elif defined(__AVX2__)

ALWAYS_INLINE vf vif_less(vf a, vf b, vf yes, vf no)
{
    __m256 less = _mm256_cmp_ps((__m256)a, (__m256)b, _CMP_LT_OQ);
    return (vf)_mm256_blendv_ps((__m256)no, (__m256)yes, less);
}

ALWAYS_INLINE vf vmin(vf a, vf b)
{
    return (vf)_mm256_min_ps((__m256)a, (__m256)b);
}

ALWAYS_INLINE vf vmax(vf a, vf b)
{
    return (vf)_mm256_max_ps((__m256)a, (__m256)b);
}

ALWAYS_INLINE vf vsqrt(vf a)
{
    return (vf)_mm256_sqrt_ps((__m256)a);
}

ALWAYS_INLINE vf vfma(vf a, vf b, vf c)
{
    return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
}

ALWAYS_INLINE vf vlost(vf a, vf b, vf p)
{
    return (vf)_mm256_fmsub_ps((__m256)a, (__m256)b, (__m256)p);
}

ALWAYS_INLINE __m256i part_mask(size_t n)
{
    const vi lane = {0, 1, 2, 3, 4, 5, 6, 7};
    return (__m256i)(lane < (int32_t)n);
}

ALWAYS_INLINE vf vload_part(const float *p, size_t n)
{
    return (vf)_mm256_maskload_ps(p, part_mask(n));
}

ALWAYS_INLINE void vstore_part(float *p, vf v, size_t n)
{
    _mm256_maskstore_ps(p, part_mask(n), (__m256)v);
}

#else

ALWAYS_INLINE vf vif_less(vf a, vf b, vf yes, vf no)
{
    return vselect(a < b, yes, no);
}

ALWAYS_INLINE vf vmin(vf a, vf b)
{
    return vselect(a < b, a, b);
}

ALWAYS_INLINE vf vmax(vf a, vf b)
{
    return vselect(a > b, a, b);
}

ALWAYS_INLINE vf vsqrt(vf a)
{
    for (int l = 0; l < VL; l++)
        a[l] = __builtin_sqrtf(a[l]);
    return a;
}

ALWAYS_INLINE vf vfma(vf a, vf b, vf c)
{
    return a * b + c;
}

/* Products of half mantissas are exact (Dekker 1971). */
ALWAYS_INLINE vf vlost(vf a, vf b, vf p)
{
    vf ah = (vf)((vi)a & ~0xfff), bh = (vf)((vi)b & ~0xfff), al = a - ah, bl = b - bh;
    return ((ah * bh - p) + ah * bl + al * bh) + al * bl;
}

ALWAYS_INLINE vf vload_part(const float *p, size_t n)
{
    vf v = {0};
    memcpy(&v, p, n * sizeof(float));
    return v;
}

ALWAYS_INLINE void vstore_part(float *p, vf v, size_t n)
{
    memcpy(p, &v, n * sizeof(float));
}

#endif

#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)
#define HAS_VDOT_BYTES
/* sum + four products of unsigned bytes of a by signed ones of b in each lane. */
ALWAYS_INLINE vi vdot_bytes(vi sum, vi a, vi b)
{
#if VL == 16
    return (vi)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)a, (__m512i)b);
#else
    return (vi)_mm256_dpbusd_avx_epi32((__m256i)sum, (__m256i)a, (__m256i)b);
#endif
}
#endif

/* A tile's sums fill most registers, and GCC 12 runs out of them: it makes several products before
 * it adds the first. The next two prevent that. */

/* The sum, which is made before whatever is added to it next. */
ALWAYS_INLINE vi vin_order(vi sum)
{
#if VL > 4
    __asm__("" : "+v"(sum));
#endif
    return sum;
}

/* *sum += a b, with FMA by an instruction that the compiler takes as it is. */
ALWAYS_INLINE void vadd_product(vf *sum, vf a, vf b)
{
#if VL >= 8
    __asm__("vfmadd231ps %2, %1, %0" : "+v"(*sum) : "v"(a), "v"(b));
#else
    *sum += a * b;
#endif
}

/* n floats, or a whole vector where there are more. */
ALWAYS_INLINE vf vload_some(const float *p, size_t n)
{
    return n >= VL ? vload(p) : vload_part(p, n);
}

ALWAYS_INLINE void vstore_some(float *p, vf v, size_t n)
{
    if (n >= VL)
        vstore(p, v);
    else
        vstore_part(p, v, n);
}

/* ---- across lanes ---- */

/* ROTATE(v, h)[i] = v[(i + h) % VL]; ZIP_LO(a, b) = a0 b0 a1 b1 ..., ZIP_HI the upper halves so;
 * EVEN(a, b) and ODD(a, b) undo it: a0 a2 ... b0 b2 ..., a1 a3 ... b1 b3 ... */
#if VL == 16
#define ROTATE(v, h)                                                                               \
    __builtin_shufflevector(v, v, (h), (1 + h) % 16, (2 + h) % 16, (3 + h) % 16, (4 + h) % 16,     \
                            (5 + h) % 16, (6 + h) % 16, (7 + h) % 16, (8 + h) % 16, (9 + h) % 16,  \
                            (10 + h) % 16, (11 + h) % 16, (12 + h) % 16, (13 + h) % 16,            \
                            (14 + h) % 16, (15 + h) % 16)
#define ZIP_LO(a, b)                                                                               \
    __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define ZIP_HI(a, b)                                                                               \
    __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#define EVEN(a, b)                                                                                 \
    __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30)
#define ODD(a, b)                                                                                  \
    __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31)
#elif VL == 8
#define ROTATE(v, h)                                                                               \
    __builtin_shufflevector(v, v, (h), (1 + h) % 8, (2 + h) % 8, (3 + h) % 8, (4 + h) % 8,         \
                            (5 + h) % 8, (6 + h) % 8, (7 + h) % 8)
#define ZIP_LO(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define ZIP_HI(a, b) __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#define EVEN(a, b)   __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14)
#define ODD(a, b)    __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15)
#else
#define ROTATE(v, h) __builtin_shufflevector(v, v, (h), (1 + h) % 4, (2 + h) % 4, (3 + h) % 4)
#define ZIP_LO(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define ZIP_HI(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#define EVEN(a, b)   __builtin_shufflevector(a, b, 0, 2, 4, 6)
#define ODD(a, b)    __builtin_shufflevector(a, b, 1, 3, 5, 7)
#endif

ALWAYS_INLINE float vsum(vf v)
{
#if VL == 16
    v += ROTATE(v, 8);
#endif
#if VL >= 8
    v += ROTATE(v, 4);
#endif
    v += ROTATE(v, 2);
    return v[0] + v[1];
}

ALWAYS_INLINE float vhighest(vf v)
{
#if VL == 16
    v = vmax(v, ROTATE(v, 8));
#endif
#if VL >= 8
    v = vmax(v, ROTATE(v, 4));
#endif
    v = vmax(v, ROTATE(v, 2));
    return v[0] > v[1] ? v[0] : v[1];
}

/* Transposes VL x VL in registers: VL_LOG2 perfect shuffles of the whole square. */
ALWAYS_INLINE void vtranspose(vf r[VL])
{
#pragma GCC unroll 4
    for (int s = 0; s < VL_LOG2; s++) {
        vf t[VL];
#pragma GCC unroll 8
        for (int i = 0; i < VL / 2; i++) {
            t[2 * i] = ZIP_LO(r[i], r[i + VL / 2]);
            t[2 * i + 1] = ZIP_HI(r[i], r[i + VL / 2]);
        }
#pragma GCC unroll 16
        for (int i = 0; i < VL; i++)
            r[i] = t[i];
    }
}
