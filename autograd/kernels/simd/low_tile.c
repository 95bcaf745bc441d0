/* low_tile: the innermost loops of the products of bf16, f16 and i8.
 *
 * One idea, that of gemm_tile.c: a tile of MR rows by NV vectors stays in registers while k runs.
 * One step is one unit of 4 bytes deep (LowTile in isa.h), which is widened, of bf16 and f16 to
 * fp32, of i8 to 16 bits, and multiplied there, or multiplied by an instruction of the format. The
 * file is compiled once for each instruction set, and once more for each extension that multiplies
 * a format: avx512_bf16, avx512_vnni and avx_vnni. */
#include "autograd/kernels/simd/low_finish.h"

/* How a step is multiplied. */
typedef enum Way { WIDEN_BF16, WIDEN_F16, WIDEN_I8, EMULATE_I8, DOT_BF16, DOT_I8 } Way;

_Static_assert(MR <= 8 && NV <= 3, "the tables below have no larger tile");

ALWAYS_INLINE vu vload_units(const uint32_t *b)
{
    return (vu)vload((const float *)b);
}

/* The elements of B at k = 0 or 1 of a step, as fp32. */
ALWAYS_INLINE vf widened_b(const Way way, const uint32_t *b, int nv, int v, int k)
{
    if (way == WIDEN_F16)
        return vwiden_f16(vload_half((const uint16_t *)b + (k * nv + v) * VL));
    vu pair = vload_units(b + v * VL);
    return (vf)(k == 0 ? pair << 16 : pair & 0xffff0000);
}

ALWAYS_INLINE void widening_step(const Way way, const int mr, const int nv, vf acc[MR][NV],
                                 const LowTile *t, const uint32_t *a, const uint32_t *b)
{
#pragma GCC unroll 2
    for (int k = 0; k < 2; k++) {
        vf bv[NV];
#pragma GCC unroll 3
        for (int v = 0; v < nv; v++)
            bv[v] = widened_b(way, b, nv, v, k);
#pragma GCC unroll 8
        for (int r = 0; r < mr; r++) {
            vf av = vset1(((const float *)a)[(size_t)r * t->a_row]);
#pragma GCC unroll 3
            for (int v = 0; v < nv; v++)
                acc[r][v] += av * bv[v];
        }
        a += t->a_unit;
    }
}

ALWAYS_INLINE void emulated_i8_step(const int mr, const int nv, vf acc[MR][NV], const LowTile *t,
                                    const uint32_t *a, const uint32_t *b)
{
#pragma GCC unroll 4
    for (int k = 0; k < 4; k++) {
        vi bv[NV];
#pragma GCC unroll 3
        for (int v = 0; v < nv; v++)
            bv[v] = (vi)(vload_units(b + v * VL) << (24 - 8 * k)) >> 24;
#pragma GCC unroll 8
        for (int r = 0; r < mr; r++) {
            vi av = vset1i((int32_t)(a[(size_t)r * t->a_row] >> 8 * k & 0xff));
#pragma GCC unroll 3
            for (int v = 0; v < nv; v++)
                acc[r][v] = (vf)((vi)acc[r][v] + av * bv[v]);
        }
    }
}

/* A dot product in each lane: by an extension of two bf16 or four i8, else of two 16-bit levels. */
#if defined(__AVX512BF16__)
#define HAS_DOT
enum { DOT_PRODUCTS = 2 };
ALWAYS_INLINE vf dot(vf acc, uint32_t a, vu b)
{
    return (vf)_mm512_dpbf16_ps((__m512)acc, (__m512bh)_mm512_set1_epi32((int)a), (__m512bh)b);
}
#elif defined(HAS_VDOT_BYTES)
#define HAS_DOT
enum { DOT_PRODUCTS = 4 };
ALWAYS_INLINE vf dot(vf acc, uint32_t a, vu b)
{
    return (vf)vdot_bytes((vi)acc, vset1i((int32_t)a), (vi)b);
}
#elif VL > 4
#define HAS_DOT_OF_PAIRS
enum { DOT_PRODUCTS = 2 };
ALWAYS_INLINE vf dot(vf acc, uint32_t a, vu b)
{
#if VL == 16
    vu pair = (vu)_mm512_madd_epi16(_mm512_set1_epi32((int)a), (__m512i)b);
#else
    vu pair = (vu)_mm256_madd_epi16(_mm256_set1_epi32((int)a), (__m256i)b);
#endif
    return (vf)((vu)acc + pair);
}
#endif

#ifdef HAS_DOT_OF_PAIRS
typedef int16_t vs __attribute__((vector_size(VL * 4)));

/* Levels 0 and 2 of each lane, then 1 and 3. Exact: a pair is at most 2 x 255 x 128. */
ALWAYS_INLINE void widening_i8_step(const int mr, const int nv, vf acc[MR][NV], const LowTile *t,
                                    const uint32_t *a, const uint32_t *b)
{
#pragma GCC unroll 2
    for (int k = 0; k < 2; k++) {
        vu bv[NV];
#pragma GCC unroll 3
        for (int v = 0; v < nv; v++) {
            vs levels = (vs)vload_units(b + v * VL);
            bv[v] = (vu)((k == 0 ? levels << 8 : levels) >> 8);
        }
#pragma GCC unroll 8
        for (int r = 0; r < mr; r++)
#pragma GCC unroll 3
            for (int v = 0; v < nv; v++)
                acc[r][v] = (vf)vin_order((vi)dot(acc[r][v], a[(size_t)r * t->a_row], bv[v]));
        a += t->a_unit;
    }
}
#else
#define widening_i8_step(mr, nv, acc, t, a, b) ((void)0)
#endif

#ifdef HAS_DOT
ALWAYS_INLINE void dot_step(const int mr, const int nv, vf acc[MR][NV], const LowTile *t,
                            const uint32_t *a, const uint32_t *b)
{
    vu bv[NV];
#pragma GCC unroll 3
    for (int v = 0; v < nv; v++)
        bv[v] = vload_units(b + v * VL);
#pragma GCC unroll 8
    for (int r = 0; r < mr; r++)
#pragma GCC unroll 3
        for (int v = 0; v < nv; v++)
            acc[r][v] = dot(acc[r][v], a[(size_t)r * t->a_row], bv[v]);
}
#else
#define dot_step(mr, nv, acc, t, a, b) ((void)0)
#endif

ALWAYS_INLINE vf added(const Way way, vf x, vf y)
{
    bool integers = way == WIDEN_I8 || way == EMULATE_I8 || way == DOT_I8;
    return integers ? (vf)((vi)x + (vi)y) : x + y;
}

ALWAYS_INLINE void store_sums(const Way way, const int mr, const int nv, vf acc[MR][NV],
                              const LowTile *t)
{
#pragma GCC unroll 8
    for (int r = 0; r < mr; r++)
#pragma GCC unroll 3
        for (int v = 0; v < nv; v++) {
            float *at = t->sums + (r * nv + v) * VL;
            vstore(at, t->add ? added(way, acc[r][v], vload(at)) : acc[r][v]);
        }
}

ALWAYS_INLINE void tile(const Way way, const int mr, const int nv, const LowTile *t)
{
    const bool widens = way == WIDEN_BF16 || way == WIDEN_F16 || way == WIDEN_I8;
    vf acc[MR][NV];
    clear_sums(mr, nv, acc);
    const uint32_t *a = t->a, *b = t->b;
    const char *prefetch = t->prefetch ? t->prefetch : (const char *)b;
    for (size_t s = t->steps; s > 0; s--, a += (widens ? 2 : 1) * t->a_unit, b += nv * VL) {
        prefetch_lines(prefetch, t->prefetch_step);
        prefetch += t->prefetch_step;
        if (mr == 1 && VL == 16) /* else a step is no more than a line */
            lead_stream(b);
        if (way == WIDEN_I8)
            widening_i8_step(mr, nv, acc, t, a, b);
        else if (widens)
            widening_step(way, mr, nv, acc, t, a, b);
        else if (way == EMULATE_I8)
            emulated_i8_step(mr, nv, acc, t, a, b);
        else
            dot_step(mr, nv, acc, t, a, b);
    }
    store_sums(way, mr, nv, acc, t);
}

typedef void TileFn(const LowTile *t);

#ifdef HAS_DOT
/* Multiplies a whole tile and finishes the one before it, one row after each MR-th part of the
 * steps: so few instructions at a time that the multipliers stay busy. */
ALWAYS_INLINE void tile_and_finish(Act kind, DType type, const LowTile *t)
{
#ifdef __AVX512BF16__
    const Way way = DOT_BF16;
#else
    const Way way = DOT_I8;
#endif
    const uint32_t *a = t->a, *b = t->b;
    const char *prefetch = t->prefetch ? t->prefetch : (const char *)b;
    vf acc[MR][NV];
    clear_sums(MR, NV, acc);
    for (size_t i = 0; i < MR; i++) {
        Range steps = share(t->steps, i, MR);
        for (size_t s = steps.from; s < steps.to; s++, a += t->a_unit, b += NV * VL) {
            prefetch_lines(prefetch, t->prefetch_step);
            prefetch += t->prefetch_step;
            dot_step(MR, NV, acc, t, a, b);
        }
        low_prefetch_row(t->current, i);
        finish_row(kind, type, t->unfinished, i);
    }
    store_sums(way, MR, NV, acc, t);
}

/* One function for each activation: in a common one the compiler spills sums to keep constants. */
#define FINISHING(kind, type)                                                                      \
    static void finishing_##kind##_##type(const LowTile *t)                                        \
    {                                                                                              \
        tile_and_finish(kind, type, t);                                                            \
    }
#define FINISHING_ENTRY(kind, type) [type][kind] = finishing_##kind##_##type,
FOR_FINISHES(FINISHING, DT_F32)
FOR_FINISHES(FINISHING, DT_BF16)

static void tile_finishing(const LowTile *t)
{
    static TileFn *const tiles[][ACT_GELU_ERF + 1] = {FOR_FINISHES(FINISHING_ENTRY, DT_F32)
                                                          FOR_FINISHES(FINISHING_ENTRY, DT_BF16)};
    tiles[t->unfinished->c_type][t->unfinished->epi.act](t);
}
#else
#define tile_finishing(t) CHECK(!(t)->unfinished, "this kernel finishes nothing")
#endif

#define TILE(way, mr, nv)                                                                          \
    static void tile_##way##_##mr##x##nv(const LowTile *t)                                         \
    {                                                                                              \
        tile(way, mr, nv, t);                                                                      \
    }
#define ENTRY(way, mr, nv) [mr - 1][nv - 1] = tile_##way##_##mr##x##nv,

#if NV == 3
#define FOR_VECTORS(X, way, mr) X(way, mr, 1) X(way, mr, 2) X(way, mr, 3)
#else
#define FOR_VECTORS(X, way, mr) X(way, mr, 1) X(way, mr, 2)
#endif
#if MR == 8
#define FOR_LAST_ROWS(X, way) FOR_VECTORS(X, way, 7) FOR_VECTORS(X, way, 8)
#else
#define FOR_LAST_ROWS(X, way)
#endif
#define FOR_TILES(X, way)                                                                          \
    FOR_VECTORS(X, way, 1)                                                                         \
    FOR_VECTORS(X, way, 2)                                                                         \
    FOR_VECTORS(X, way, 3)                                                                         \
    FOR_VECTORS(X, way, 4)                                                                         \
    FOR_VECTORS(X, way, 5) FOR_VECTORS(X, way, 6) FOR_LAST_ROWS(X, way)

#define TILES(name, way)                                                                           \
    FOR_TILES(TILE, way)                                                                           \
    void KERNEL(name)(const LowTile *t)                                                            \
    {                                                                                              \
        static TileFn *const tiles[MR][NV] = {FOR_TILES(ENTRY, way)};                              \
        if (t->unfinished)                                                                         \
            tile_finishing(t);                                                                     \
        else                                                                                       \
            tiles[t->rows - 1][t->vectors - 1](t);                                                 \
    }

#if defined(HAS_DOT) || defined(HAS_DOT_OF_PAIRS)
/* fma_loop.c for dot products. */
double KERNEL(dot_loop)(size_t rounds)
{
    enum { CHAINS = MR * NV };
    vf acc[CHAINS]; /* all different: the compiler would merge equal ones */
#pragma GCC unroll 24
    for (int i = 0; i < CHAINS; i++)
        acc[i] = vset1((float)i);
    vu ones = (vu){0} + 0x3f803f80; /* in bf16; i8 may have any number */
    for (size_t r = 0; r < rounds; r++) {
#pragma GCC unroll 24
        for (int i = 0; i < CHAINS; i++) {
            __asm__ volatile("" : "+v"(ones)); /* no product is like another */
            acc[i] = dot(acc[i], 0x3f803f80, ones);
        }
    }
    volatile vf sink;
#pragma GCC unroll 24
    for (int i = 0; i < CHAINS; i++)
        sink = acc[i];
    (void)sink;
    return 2.0 * DOT_PRODUCTS * VL * CHAINS * (double)rounds;
}
#endif

#if defined(__AVX512BF16__)
TILES(tile_bf16, DOT_BF16)
#elif defined(HAS_DOT)
TILES(tile_i8, DOT_I8)
#else
TILES(tile_bf16, WIDEN_BF16)
TILES(tile_f16, WIDEN_F16)
#ifdef HAS_DOT_OF_PAIRS
TILES(tile_i8, WIDEN_I8)
#else
TILES(tile_i8, EMULATE_I8)
#endif
#endif
