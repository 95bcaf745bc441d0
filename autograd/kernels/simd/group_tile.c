/* group_tile: the innermost loops of the products of q8_0 and q4_0.
 *
 * One idea: the products of levels inside a group are summed exactly, as integers, and each sum
 * enters the fp32 sum by one fused multiply and add, in the order of k. So results do not depend on
 * the instructions, the tile or the blocks (LowTile in isa.h). A tile of ROWS rows by NV vectors
 * keeps both kinds of sums in registers. The file is compiled once for each instruction set, and
 * once more for avx512_vnni and avx_vnni. Nothing is quantised here. */
#include <math.h>

#include "autograd/kernels/simd/half.h"
#include "autograd/kernels/simd/simd.h"

/* With AVX2 alone a vector of B costs more operations than a product, so many rows share it. */
#if VL == 16 || (VL == 8 && !defined(HAS_VDOT_BYTES))
#define ROWS 4
#else
#define ROWS 2
#endif

ALWAYS_INLINE vu load_units(const uint32_t *b)
{
    return (vu)vload((const float *)b);
}

/* ---- how a unit is multiplied: four unsigned levels of B by four signed ones of A ---- */

#ifdef HAS_VDOT_BYTES

ALWAYS_INLINE vi dot(vi sum, uint32_t a, vu b)
{
    return vdot_bytes(sum, (vi)b, vset1i((int32_t)a));
}

ALWAYS_INLINE vi finish_q8_0(vi sum, int32_t start)
{
    return sum + start;
}

#define finish_q4_0 finish_q8_0
#define dot_q4_0    dot
#define dot_q8_0    dot

#elif VL > 4

#if VL == 16
typedef __m512i vbytes;
#define PAIRS(u, s)     _mm512_maddubs_epi16(u, s)
#define PAIRS_OF_16(x)  _mm512_madd_epi16(x, _mm512_set1_epi16(1))
#define ADD_16(x, y)    _mm512_add_epi16(x, y)
#define SIZE_OF_8(x)    _mm512_abs_epi8(x)
#define SIGNED_BY(x, s) _mm512_mask_sub_epi8(x, _mm512_movepi8_mask(s), _mm512_setzero_si512(), x)
#else
typedef __m256i vbytes;
#define PAIRS(u, s)     _mm256_maddubs_epi16(u, s)
#define PAIRS_OF_16(x)  _mm256_madd_epi16(x, _mm256_set1_epi16(1))
#define ADD_16(x, y)    _mm256_add_epi16(x, y)
#define SIZE_OF_8(x)    _mm256_abs_epi8(x)
#define SIGNED_BY(x, s) _mm256_sign_epi8(x, s)
#endif

/* vpmaddubsw sums pairs into 16 bits. Of q4_0 the pairs of all units of a group fit there: 16 x 15
 * x 127 < 2^15. */
ALWAYS_INLINE vi dot_q4_0(vi sum, uint32_t a, vu b)
{
    return vin_order((vi)ADD_16((vbytes)sum, PAIRS((vbytes)b, (vbytes)vset1i((int32_t)a))));
}

ALWAYS_INLINE vi finish_q4_0(vi sum, int32_t start)
{
    return (vi)PAIRS_OF_16((vbytes)sum) + start;
}

/* Unsigned levels of q8_0 would saturate a pair; |b| (a sign b) does not: 2 x 128 x 127 < 2^15. */
ALWAYS_INLINE vi dot_q8_0(vi sum, uint32_t a, vu b)
{
    vbytes levels = (vbytes)(b ^ 0x80808080), x = (vbytes)vset1i((int32_t)a);
    return vin_order(sum + (vi)PAIRS_OF_16(PAIRS(SIZE_OF_8(levels), SIGNED_BY(x, levels))));
}

ALWAYS_INLINE vi finish_q8_0(vi sum, int32_t start)
{
    (void)start; /* of levels that are too large */
    return sum;
}

#else

ALWAYS_INLINE vi dot(vi sum, uint32_t a, vu b)
{
    for (int byte = 0; byte < 4; byte++) {
        vi level = (vi)(b >> 8 * byte & 0xff);
        sum += (int8_t)(a >> 8 * byte) * level;
    }
    return sum;
}

ALWAYS_INLINE vi finish_q8_0(vi sum, int32_t start)
{
    return sum + start;
}

#define finish_q4_0 finish_q8_0
#define dot_q4_0    dot
#define dot_q8_0    dot

#endif

/* ---- a group ---- */

/* a b + c, rounded once in every set. */
ALWAYS_INLINE vf fused(vf a, vf b, vf c)
{
#if VL == 4
    for (int l = 0; l < VL; l++)
        c[l] = fmaf(a[l], b[l], c[l]);
    return c;
#else
    return vfma(a, b, c);
#endif
}

ALWAYS_INLINE const LowGroup *group_of(const LowTile *t, const uint32_t *a, int r)
{
    return (const LowGroup *)(a + (size_t)r * t->a_row);
}

ALWAYS_INLINE uint32_t unit_of(const LowGroup *g, int u)
{
    uint32_t unit;
    memcpy(&unit, g->levels + 4 * u, sizeof(unit));
    return unit;
}

ALWAYS_INLINE void sum_q8_0(const int mr, const int nv, vi sum[ROWS][NV], const LowTile *t,
                            const uint32_t *a, const uint32_t *b)
{
#pragma GCC unroll 8
    for (int u = 0; u < 8; u++)
#pragma GCC unroll 3
        for (int v = 0; v < nv; v++) {
            vu levels = load_units(b + (u * nv + v) * VL);
#pragma GCC unroll 4
            for (int r = 0; r < mr; r++)
                sum[r][v] = dot_q8_0(sum[r][v], unit_of(group_of(t, a, r), u), levels);
        }
}

/* Unit u of the blocks has the levels of units u (low halves) and u + 4. */
ALWAYS_INLINE void sum_q4_0(const int mr, const int nv, vi sum[ROWS][NV], const LowTile *t,
                            const uint32_t *a, const uint32_t *b)
{
#pragma GCC unroll 4
    for (int u = 0; u < 4; u++)
#pragma GCC unroll 3
        for (int v = 0; v < nv; v++) {
            vu both = load_units(b + (u * nv + v) * VL);
            vu low = both & 0x0f0f0f0f, high = both >> 4 & 0x0f0f0f0f;
#pragma GCC unroll 4
            for (int r = 0; r < mr; r++) {
                const LowGroup *g = group_of(t, a, r);
                sum[r][v] = dot_q4_0(sum[r][v], unit_of(g, u), low);
                sum[r][v] = dot_q4_0(sum[r][v], unit_of(g, u + 4), high);
            }
        }
}

ALWAYS_INLINE void group_step(const DType type, const int mr, const int nv, vf acc[ROWS][NV],
                              const LowTile *t, const uint32_t *a, const uint32_t *b)
{
    const uint16_t *scales = (const uint16_t *)(b + (type == DT_Q8_0 ? 8 : 4) * nv * VL);
    vi sum[ROWS][NV];
#pragma GCC unroll 4
    for (int r = 0; r < mr; r++)
#pragma GCC unroll 3
        for (int v = 0; v < nv; v++)
            sum[r][v] = (vi){0};
    if (type == DT_Q8_0)
        sum_q8_0(mr, nv, sum, t, a, b);
    else
        sum_q4_0(mr, nv, sum, t, a, b);
#pragma GCC unroll 3
    for (int v = 0; v < nv; v++) {
        vf scale = vwiden_f16(vload_half(scales + v * VL));
#pragma GCC unroll 4
        for (int r = 0; r < mr; r++) {
            const LowGroup *g = group_of(t, a, r);
            vi exact = type == DT_Q8_0 ? finish_q8_0(sum[r][v], g->start)
                                       : finish_q4_0(sum[r][v], g->start);
            acc[r][v] = fused(__builtin_convertvector(exact, vf), g->scale * scale, acc[r][v]);
        }
    }
}

/* What follows a group of `bytes` of a stream that one row reads. Where there is AVX2 alone every
 * line is asked for; else every second line of q8_0, and one line a group of q4_0, which has less
 * to load and more to do. */
ALWAYS_INLINE void prefetch_stream(const DType type, const char *group, const size_t bytes)
{
#if VL == 8 && !defined(HAS_VDOT_BYTES)
    (void)type;
#pragma GCC unroll 9
    for (size_t line = 0; line < bytes; line += 64)
        __builtin_prefetch(group + 3072 + line);
#else
#pragma GCC unroll 13
    for (size_t line = 0; line < bytes; line += type == DT_Q8_0 ? 128 : bytes)
        lead_stream(group + line);
#endif
}

ALWAYS_INLINE void tile(const DType type, const int mr, const int nv, const LowTile *t)
{
    const size_t step = (size_t)nv * VL * (type == DT_Q8_0 ? Q8_0_BYTES : Q4_0_BYTES) / 4;
    const uint32_t *a = t->a, *b = t->b;
    const char *prefetch = t->prefetch;
    vf acc[ROWS][NV];
#pragma GCC unroll 4
    for (int r = 0; r < mr; r++)
#pragma GCC unroll 3
        for (int v = 0; v < nv; v++)
            acc[r][v] = t->add ? vload(t->sums + (r * nv + v) * VL) : (vf){0};
    for (size_t s = t->steps; s > 0; s--, a += LOW_GROUP_UNITS, b += step) {
        for (size_t line = 0; line < t->prefetch_step; line += 64)
            __builtin_prefetch(prefetch + line);
        prefetch += t->prefetch_step;
        if (mr == 1)
            prefetch_stream(type, (const char *)b, step * sizeof(*b));
        group_step(type, mr, nv, acc, t, a, b);
    }
#pragma GCC unroll 4
    for (int r = 0; r < mr; r++)
#pragma GCC unroll 3
        for (int v = 0; v < nv; v++)
            vstore(t->sums + (r * nv + v) * VL, acc[r][v]);
}

/* ---- one function for each shape ---- */

typedef void TileFn(const LowTile *t);

#define TILE(type, mr, nv)                                                                         \
    static void tile_##type##_##mr##x##nv(const LowTile *t)                                        \
    {                                                                                              \
        tile(type, mr, nv, t);                                                                     \
    }
#define ENTRY(type, mr, nv) [mr - 1][nv - 1] = tile_##type##_##mr##x##nv,

#if NV == 3
#define FOR_VECTORS(X, type, mr) X(type, mr, 1) X(type, mr, 2) X(type, mr, 3)
#else
#define FOR_VECTORS(X, type, mr) X(type, mr, 1) X(type, mr, 2)
#endif
#if ROWS == 4
#define FOR_TILES(X, type)                                                                         \
    FOR_VECTORS(X, type, 1)                                                                        \
    FOR_VECTORS(X, type, 2) FOR_VECTORS(X, type, 3) FOR_VECTORS(X, type, 4)
#else
#define FOR_TILES(X, type) FOR_VECTORS(X, type, 1) FOR_VECTORS(X, type, 2)
#endif

#define TILES(name, type)                                                                          \
    FOR_TILES(TILE, type)                                                                          \
    void KERNEL(name)(const LowTile *t)                                                            \
    {                                                                                              \
        static TileFn *const tiles[ROWS][NV] = {FOR_TILES(ENTRY, type)};                           \
        CHECK(!t->unfinished, "this kernel finishes nothing");                                     \
        tiles[t->rows - 1][t->vectors - 1](t);                                                     \
    }

TILES(tile_q8_0, DT_Q8_0)
TILES(tile_q4_0, DT_Q4_0)

#if VL > 4 && !defined(HAS_VDOT_BYTES)
/* fma_loop.c for products of pairs of bytes, as q4_0 has most of them. */
double KERNEL(pairs_loop)(size_t rounds)
{
    enum { CHAINS = 8 };
    vi sum[CHAINS]; /* all different: the compiler would merge equal ones */
#pragma GCC unroll 8
    for (int i = 0; i < CHAINS; i++)
        sum[i] = vset1i(i);
    vu b = (vu){0} + 0x03020105;
    for (size_t r = 0; r < rounds; r++) {
        __asm__ volatile("" : "+m"(rounds), "+v"(b));
#pragma GCC unroll 8
        for (int i = 0; i < CHAINS; i++)
            sum[i] = dot_q4_0(sum[i], 0x01020304 * (uint32_t)(i + 1), b);
    }
    volatile vi sink;
#pragma GCC unroll 8
    for (int i = 0; i < CHAINS; i++)
        sink = sum[i];
    (void)sink;
    return 2.0 * 4 * VL * CHAINS * (double)rounds;
}
#endif
