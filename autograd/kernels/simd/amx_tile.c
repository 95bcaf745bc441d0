/* amx_tile: the innermost loop of the products of bf16 and i8 in tile registers (Intel SDM vol. 1,
 * chapter "Programming with Intel AMX").
 *
 * One idea: the units of LowTile (isa.h) lie in memory as tiles already. One load takes 16 rows of
 * A by 16 units, another 16 steps of B by one vector, and one instruction multiplies the two. Up to
 * three vectors of sums stay in registers while k runs. The last steps, fewer than 16, use tiles of
 * a smaller shape, so that no load reads beyond an end. Nothing is packed here.
 *
 * The tests compile this file once more, with the instructions emulated in C
 * (tests/support/amx_instructions.h). */
#include "autograd/kernels/simd/amx_tile.h"

#ifndef TARE_AMX_EMULATED
#include <immintrin.h>
#endif

enum { DEPTH = 16, UNIT = 4, ROW_BYTES = AMX_LANES * UNIT };

/* The registers. Their numbers become part of an instruction's name, so they cannot be an enum. */
#define SUM_0  0
#define SUM_1  1
#define SUM_2  2
#define TILE_A 3
#define TILE_B 4
#define NEXT_B 5
#define LAST_A 6
#define LAST_B 7

/* What ldtilecfg reads. An unused register has no rows and no bytes. */
typedef struct TileConfig {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} TileConfig;

_Static_assert(sizeof(TileConfig) == 64, "the layout is the processor's");

static void shape(TileConfig *c, int tile, size_t rows, size_t row_bytes)
{
    c->rows[tile] = (uint8_t)rows;
    c->row_bytes[tile] = (uint16_t)row_bytes;
}

/* gcc's _tile_loadconfig tells the compiler of 8 bytes; the asm tells it that all 64 are read. */
static void load_config(TileConfig *c)
{
    __asm__ volatile("" : "+m"(*c));
    _tile_loadconfig(c);
}

static void configure(const LowTile *t)
{
    TileConfig c = {.palette = 1};
    size_t last = t->steps % DEPTH;
    shape(&c, SUM_0, t->rows, ROW_BYTES);
    shape(&c, SUM_1, t->rows, ROW_BYTES);
    shape(&c, SUM_2, t->rows, ROW_BYTES);
    shape(&c, TILE_A, t->rows, ROW_BYTES);
    shape(&c, TILE_B, DEPTH, ROW_BYTES);
    shape(&c, NEXT_B, DEPTH, ROW_BYTES);
    if (last > 0) {
        shape(&c, LAST_A, t->rows, last * UNIT);
        shape(&c, LAST_B, last, ROW_BYTES);
    }
    load_config(&c);
}

static void begin_sums(const LowTile *t, size_t row_bytes)
{
    _tile_zero(SUM_0);
    _tile_zero(SUM_1);
    _tile_zero(SUM_2);
    if (!t->add)
        return;
    _tile_loadd(SUM_0, t->sums, row_bytes);
    if (t->vectors > 1)
        _tile_loadd(SUM_1, t->sums + AMX_LANES, row_bytes);
    if (t->vectors > 2)
        _tile_loadd(SUM_2, t->sums + 2 * AMX_LANES, row_bytes);
}

static void end_sums(const LowTile *t, size_t row_bytes)
{
    _tile_stored(SUM_0, t->sums, row_bytes);
    if (t->vectors > 1)
        _tile_stored(SUM_1, t->sums + AMX_LANES, row_bytes);
    if (t->vectors > 2)
        _tile_stored(SUM_2, t->sums + 2 * AMX_LANES, row_bytes);
}

#define DOT(product, sum, a, b)                                                                    \
    do {                                                                                           \
        if ((product) == DT_BF16)                                                                  \
            _tile_dpbf16ps(sum, a, b);                                                             \
        else                                                                                       \
            _tile_dpbusd(sum, a, b);                                                               \
    } while (0)

/* Multiplies the steps that these registers hold: A at `a`, up to three vectors of B at `b`. */
#define MULTIPLY(product, t, a, b, tile_a, tile_b, next_b)                                         \
    do {                                                                                           \
        size_t a_row = (t)->a_row * UNIT, b_row = (t)->vectors * ROW_BYTES;                        \
        _tile_loadd(tile_a, a, a_row);                                                             \
        _tile_loadd(tile_b, b, b_row);                                                             \
        DOT(product, SUM_0, tile_a, tile_b);                                                       \
        if ((t)->vectors > 1) {                                                                    \
            _tile_loadd(next_b, (b) + AMX_LANES, b_row);                                           \
            DOT(product, SUM_1, tile_a, next_b);                                                   \
        }                                                                                          \
        if ((t)->vectors > 2) {                                                                    \
            _tile_loadd(tile_b, (b) + 2 * AMX_LANES, b_row);                                       \
            DOT(product, SUM_2, tile_a, tile_b);                                                   \
        }                                                                                          \
    } while (0)

static inline __attribute__((always_inline)) void tile(const DType product, const LowTile *t)
{
    size_t row_bytes = t->vectors * ROW_BYTES, left = t->steps;
    const uint32_t *a = t->a, *b = t->b;
    configure(t);
    begin_sums(t, row_bytes);
    for (; left >= DEPTH; left -= DEPTH, a += DEPTH, b += DEPTH * AMX_LANES * t->vectors)
        MULTIPLY(product, t, a, b, TILE_A, TILE_B, NEXT_B);
    if (left > 0)
        MULTIPLY(product, t, a, b, LAST_A, LAST_B, LAST_B);
    end_sums(t, row_bytes);
    _tile_release();
}

void tile_bf16_amx(const LowTile *t)
{
    tile(DT_BF16, t);
}

void tile_i8_amx(const LowTile *t)
{
    tile(DT_I8, t);
}

/* fma_loop.c for tile registers, with six independent sums. Four would hide the latency: 52 cycles,
 * one instruction every 16 (Intel optimization manual, chapter on AMX). */
static inline __attribute__((always_inline)) double peak_loop(const DType product, size_t rounds)
{
    static const uint32_t ones[AMX_LANES] = {0x3f803f80, 0x3f803f80, 0x3f803f80, 0x3f803f80,
                                             0x3f803f80, 0x3f803f80, 0x3f803f80, 0x3f803f80,
                                             0x3f803f80, 0x3f803f80, 0x3f803f80, 0x3f803f80,
                                             0x3f803f80, 0x3f803f80, 0x3f803f80, 0x3f803f80};
    enum { SUMS = 6 };
    TileConfig c = {.palette = 1};
    for (int i = 0; i < SUMS + 2; i++)
        shape(&c, i, AMX_ROWS, ROW_BYTES); /* load_config zeroes them */
    load_config(&c);
    _tile_loadd(6, ones, 0);
    _tile_loadd(7, ones, 0);
    for (size_t r = 0; r < rounds; r++) {
        DOT(product, 0, 6, 7);
        DOT(product, 1, 6, 7);
        DOT(product, 2, 6, 7);
        DOT(product, 3, 6, 7);
        DOT(product, 4, 6, 7);
        DOT(product, 5, 6, 7);
    }
    _tile_release();
    double products = AMX_ROWS * AMX_LANES * ROW_BYTES / (double)dtype_size(product);
    return 2 * products * SUMS * (double)rounds;
}

double peak_loop_bf16_amx(size_t rounds)
{
    return peak_loop(DT_BF16, rounds);
}

double peak_loop_i8_amx(size_t rounds)
{
    return peak_loop(DT_I8, rounds);
}
