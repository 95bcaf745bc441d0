/* fp16_tile: the innermost loop of the product of f16 by vfmadd231ph (Intel, AVX512-FP16
 * Architecture Specification), which multiplies 32 pairs of f16 and rounds each sum to f16.
 *
 * One idea: a lane adds FP16_CHAIN products in f16, then its sum is widened and added in fp32. A
 * lane of a pair has every second k, so a chain spans 2 FP16_CHAIN of k; the two lanes of a column
 * meet in fp32 at the end.
 *
 * What a chain costs in accuracy. f16 has 11 bits, u = 2^-11. Every sum is rounded, so the error of
 * a chain is at most FP16_CHAIN u sum |a b|, and that of random signs about 0.3 u sqrt(FP16_CHAIN)
 * of the result; rounding both operands, which every product of f16 does, costs 0.6 u, rounding
 * them to bf16 4.6 u. With chains of 32 a product measures three to four times the error of widened
 * f16: 0.4 of that of bf16 for normal numbers with and without outliers, up to 0.63 for layers of a
 * trained model and for sums of one sign (analysis/SPEED.md). Chains of 128 would be no better than
 * bf16, and all of k in one chain up to 80 times worse.
 *
 * What a chain costs in range. f16 ends at 65,504 and its spacing below 2^-14 is 2^-24. Rows of A
 * come divided by powers of two, so that the largest |a| of a row is between 8 and 16. Half a
 * spacing is then at most 2^-14 of the product of this a and any normal b; a column of smaller b
 * has lost more by its own rounding. A chain can overflow only where some |b| is above 65504 / (16
 * FP16_CHAIN) = 127; its sum, being infinite or NaN, stays so, and the vector of columns is
 * multiplied again in fp32. That is the way of true infinities and NaNs too.
 *
 * The tests compile this file once more, with the instructions emulated in C
 * (tests/support/fp16_instructions.h). */
#include "autograd/kernels/simd/fp16_tile.h"

#include <math.h>
#include <string.h>

#ifndef TARE_FP16_EMULATED
#include <immintrin.h>
#endif

#define ALWAYS_INLINE static inline __attribute__((always_inline))

enum { VECTORS = 3, WIDE = 2 * FP16_LANES };

/* The fp32 sums of a tile: WIDE lanes a vector, the two of each column beside each other. */
typedef struct Sums {
    float lanes[FP16_ROWS * VECTORS][WIDE];
} __attribute__((aligned(64))) Sums;

/* A unit of A in all lanes. */
ALWAYS_INLINE __m512h pair(uint32_t unit)
{
    return _mm512_castsi512_ph(_mm512_set1_epi32((int)unit));
}

/* sums += v. Through memory, from where the instruction that widens can read. */
ALWAYS_INLINE void add_widened(float *sums, __m512h v)
{
    uint16_t halves[WIDE] __attribute__((aligned(64)));
    _mm512_storeu_ph(halves, v);
    for (int i = 0; i < WIDE; i += FP16_LANES)
        _mm512_storeu_ps(sums + i, _mm512_add_ps(_mm512_loadu_ps(sums + i),
                                                 _mm512_cvtxph_ps(_mm256_loadu_ph(halves + i))));
}

/* A chain of `steps` multiply-adds in each lane. */
ALWAYS_INLINE void chain(const int mr, const int nv, const LowTile *t, size_t from, size_t steps,
                         Sums *sums)
{
    const uint32_t *a = t->a + from, *b = t->b + from * nv * FP16_LANES;
    const char *prefetch = t->prefetch ? t->prefetch + from * t->prefetch_step : (const char *)t->b;
    __m512h acc[FP16_ROWS][VECTORS];
#pragma GCC unroll 8
    for (int r = 0; r < mr; r++)
#pragma GCC unroll 3
        for (int v = 0; v < nv; v++)
            acc[r][v] = _mm512_setzero_ph();
    for (size_t s = 0; s < steps; s++, a++, b += nv * FP16_LANES, prefetch += t->prefetch_step) {
        for (size_t at = 0; at < t->prefetch_step; at += 64)
            __builtin_prefetch(prefetch + at);
        __m512h bv[VECTORS];
#pragma GCC unroll 3
        for (int v = 0; v < nv; v++)
            bv[v] = _mm512_loadu_ph(b + v * FP16_LANES);
#pragma GCC unroll 8
        for (int r = 0; r < mr; r++) {
            __m512h av = pair(a[(size_t)r * t->a_row]);
#pragma GCC unroll 3
            for (int v = 0; v < nv; v++)
                acc[r][v] = _mm512_fmadd_ph(av, bv[v], acc[r][v]);
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < mr; r++)
#pragma GCC unroll 3
        for (int v = 0; v < nv; v++)
            add_widened(sums->lanes[r * nv + v], acc[r][v]);
}

/* Row r, vector v of the tile once more, in fp32, where products of f16 are exact. */
static void multiply_widened(const LowTile *t, size_t r, size_t v, float *sums)
{
    memset(sums, 0, WIDE * sizeof(*sums));
    for (size_t s = 0; s < t->steps; s++) {
        uint16_t a[WIDE];
        const uint16_t *b = (const uint16_t *)(t->b + (s * t->vectors + v) * FP16_LANES);
        _mm512_storeu_ph(a, pair(t->a[r * t->a_row + s]));
        for (int i = 0; i < WIDE; i += FP16_LANES) {
            __m512 product = _mm512_mul_ps(_mm512_cvtxph_ps(_mm256_loadu_ph(a + i)),
                                           _mm512_cvtxph_ps(_mm256_loadu_ph(b + i)));
            _mm512_storeu_ps(sums + i, _mm512_add_ps(_mm512_loadu_ps(sums + i), product));
        }
    }
}

/* The sums of one vector of columns, of its lanes in pairs. False where one is not finite. */
ALWAYS_INLINE bool join_lanes(const float *lanes, float *out)
{
    float zero = 0;
#pragma GCC unroll 16
    for (int j = 0; j < FP16_LANES; j++)
        out[j] = lanes[2 * j] + lanes[2 * j + 1];
    for (int j = 0; j < FP16_LANES; j++)
        zero += out[j] * 0; /* NaN of what is not finite */
    return zero == 0;
}

ALWAYS_INLINE void tile(const int mr, const int nv, const LowTile *t)
{
    Sums sums;
    memset(&sums, 0, mr * nv * sizeof(sums.lanes[0]));
    for (size_t from = 0; from < t->steps; from += FP16_CHAIN)
        chain(mr, nv, t, from, t->steps - from < FP16_CHAIN ? t->steps - from : FP16_CHAIN, &sums);
    for (int i = 0; i < mr * nv; i++) {
        float joined[FP16_LANES], *to = t->sums + i * FP16_LANES;
        if (!join_lanes(sums.lanes[i], joined)) {
            multiply_widened(t, i / nv, i % nv, sums.lanes[i]);
            join_lanes(sums.lanes[i], joined);
        }
        for (int j = 0; j < FP16_LANES; j++)
            to[j] = t->add ? to[j] + joined[j] : joined[j];
    }
}

#define TILE(mr, nv)                                                                               \
    static void tile_##mr##x##nv(const LowTile *t)                                                 \
    {                                                                                              \
        tile(mr, nv, t);                                                                           \
    }
#define ENTRY(mr, nv)      [mr - 1][nv - 1] = tile_##mr##x##nv,
#define FOR_VECTORS(X, mr) X(mr, 1) X(mr, 2) X(mr, 3)
#define FOR_TILES(X)                                                                               \
    FOR_VECTORS(X, 1)                                                                              \
    FOR_VECTORS(X, 2)                                                                              \
    FOR_VECTORS(X, 3)                                                                              \
    FOR_VECTORS(X, 4)                                                                              \
    FOR_VECTORS(X, 5) FOR_VECTORS(X, 6) FOR_VECTORS(X, 7) FOR_VECTORS(X, 8)
FOR_TILES(TILE)

void tile_f16_fp16(const LowTile *t)
{
    static void (*const tiles[FP16_ROWS][VECTORS])(const LowTile *t) = {FOR_TILES(ENTRY)};
    tiles[t->rows - 1][t->vectors - 1](t);
}

/* fma_loop.c for f16. */
double peak_loop_fp16(size_t rounds)
{
    enum { CHAINS = FP16_ROWS * VECTORS };
    const __m512h x = pair(0x3bff3bff), y = pair(0x10001000); /* 0.9995, 0.0005 */
    __m512h acc[CHAINS];                                      /* all different, as there */
#pragma GCC unroll 24
    for (int i = 0; i < CHAINS; i++)
        acc[i] = pair(0x3c3c3c3c + 0x10001 * i);
    for (size_t r = 0; r < rounds; r++) {
        __asm__ volatile("" : "+m"(rounds));
#pragma GCC unroll 24
        for (int i = 0; i < CHAINS; i++)
            acc[i] = _mm512_fmadd_ph(acc[i], x, y);
    }
    volatile uint16_t sink;
#pragma GCC unroll 24
    for (int i = 0; i < CHAINS; i++) {
        uint16_t halves[WIDE];
        _mm512_storeu_ph(halves, acc[i]);
        sink = halves[0];
    }
    (void)sink;
    return 2.0 * WIDE * CHAINS * (double)rounds;
}
