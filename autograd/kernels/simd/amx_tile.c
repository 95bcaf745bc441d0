/* amx_tile: the innermost loop of the products of bf16 and i8 in tile registers (Intel SDM vol. 1,
 * chapter "Programming with Intel AMX").
 *
 * One idea: the units of LowTile (isa.h) lie in memory as tiles already. One load takes 16 rows of
 * A by 16 units, another 16 steps of B by one vector, and one instruction multiplies the two. Two
 * strips of 16 rows meet two vectors at a time, so each load serves two products. These loads
 * bypass the first-level cache, which is too small for both operands. One strip meets three
 * vectors, so that B, which is then most of the work, is read in its order. The last steps, fewer
 * than 16, use registers of a smaller shape, so that no load reads beyond an end. Nothing is packed
 * here.
 *
 * The tests compile this file once more, with the instructions emulated in C
 * (tests/support/amx_instructions.h). */
#include "autograd/kernels/simd/amx_tile.h"

#include "autograd/kernels/simd/amx_config.h"

enum { DEPTH = 16, UNIT = 4, ROW_BYTES = AMX_LANES * UNIT };

/* The registers: sums of the upper and the lower strip by the left and the right vector, and the
 * operands. One strip has a third vector instead of the lower strip. Their numbers become part of
 * an instruction's name, so they cannot be an enum. */
#define UPPER_LEFT  0
#define UPPER_RIGHT 1
#define LOWER_LEFT  2
#define LOWER_RIGHT 3
#define UPPER       4
#define LOWER       5
#define LEFT        6
#define RIGHT       7
#define UPPER_THIRD 2
#define THIRD       5

/* The shape that this thread's registers have; no depth: none. Nobody else sets one before
 * amx_release. */
static _Thread_local struct {
    size_t rows, depth;
} configured;

/* For up to 32 rows and 16 steps. Setting a shape takes as long as some products, so one that is
 * there is kept. */
static void configure(size_t rows, size_t depth)
{
    if (configured.rows == rows && configured.depth == depth)
        return;
    size_t upper = rows < AMX_STRIP ? rows : AMX_STRIP, lower = rows - upper;
    TileConfig c = {.palette = 1};
    amx_shape(&c, UPPER_LEFT, upper, ROW_BYTES);
    amx_shape(&c, UPPER_RIGHT, upper, ROW_BYTES);
    amx_shape(&c, UPPER, upper, depth * UNIT);
    amx_shape(&c, LEFT, depth, ROW_BYTES);
    amx_shape(&c, RIGHT, depth, ROW_BYTES);
    if (lower > 0) {
        amx_shape(&c, LOWER_LEFT, lower, ROW_BYTES);
        amx_shape(&c, LOWER_RIGHT, lower, ROW_BYTES);
        amx_shape(&c, LOWER, lower, depth * UNIT);
    } else {
        amx_shape(&c, UPPER_THIRD, upper, ROW_BYTES);
        amx_shape(&c, THIRD, depth, ROW_BYTES);
    }
    amx_load_config(&c);
    configured.rows = rows;
    configured.depth = depth;
}

void amx_release(void)
{
    if (configured.depth > 0)
        _tile_release();
    configured.rows = configured.depth = 0;
}

/* What is done between the steps: lines and rows of C are prefetched, rows of the tile before are
 * finished. */
typedef struct Aside {
    const char *prefetch;
    size_t bytes;              /* to prefetch */
    size_t line, lines_a_step; /* of LowTile.source */
    size_t touched, current;   /* rows of `current` that were prefetched, of so many */
    size_t finished, unfinished;
} Aside;

ALWAYS_INLINE void between_steps(const LowTile *t, Aside *aside)
{
    size_t most = DEPTH * t->prefetch_step, bytes = aside->bytes < most ? aside->bytes : most;
    for (size_t i = 0; i < bytes; i += 64)
        __builtin_prefetch(aside->prefetch + i, 0, 2);
    aside->prefetch += bytes;
    aside->bytes -= bytes;
    for (size_t i = 0; i < aside->lines_a_step && aside->line < t->source.count; i++)
        low_prefetch_line(&t->source, aside->line++);
    if (aside->touched < aside->current)
        low_prefetch_row(t->current, aside->touched++);
    if (aside->finished < aside->unfinished)
        t->finish_row(t->unfinished, aside->finished++);
}

#define DOT(product, sum, a, b)                                                                    \
    do {                                                                                           \
        if ((product) == DT_BF16)                                                                  \
            _tile_dpbf16ps(sum, a, b);                                                             \
        else                                                                                       \
            _tile_dpbusd(sum, a, b);                                                               \
    } while (0)

/* Some steps, as deep as the registers are: one or more loads of each operand. */
typedef struct Steps {
    const uint32_t *a, *b;
    size_t loads, a_row, b_row; /* bytes */
    float *sums;
    size_t sums_row; /* bytes */
    bool add;
} Steps;

/* Two strips by two vectors, or by one. */
ALWAYS_INLINE void two_strips(const DType product, const bool right, const LowTile *t,
                              const Steps *s, Aside *aside)
{
    const uint32_t *a = s->a, *below = a + AMX_STRIP * t->a_row, *b = s->b;
    float *sums = s->sums, *sums_below = sums + AMX_STRIP * s->sums_row / sizeof(*sums);
    if (s->add) {
        _tile_loadd(UPPER_LEFT, sums, s->sums_row);
        _tile_loadd(LOWER_LEFT, sums_below, s->sums_row);
    } else {
        _tile_zero(UPPER_LEFT);
        _tile_zero(LOWER_LEFT);
    }
    if (right && s->add) {
        _tile_loadd(UPPER_RIGHT, sums + AMX_LANES, s->sums_row);
        _tile_loadd(LOWER_RIGHT, sums_below + AMX_LANES, s->sums_row);
    } else if (right) {
        _tile_zero(UPPER_RIGHT);
        _tile_zero(LOWER_RIGHT);
    }
    for (size_t i = 0; i < s->loads; i++) {
        _tile_stream_loadd(UPPER, a, s->a_row);
        _tile_stream_loadd(LEFT, b, s->b_row);
        _tile_stream_loadd(LOWER, below, s->a_row);
        if (right)
            _tile_stream_loadd(RIGHT, b + AMX_LANES, s->b_row);
        DOT(product, UPPER_LEFT, UPPER, LEFT);
        DOT(product, LOWER_LEFT, LOWER, LEFT);
        if (right) {
            DOT(product, UPPER_RIGHT, UPPER, RIGHT);
            DOT(product, LOWER_RIGHT, LOWER, RIGHT);
        }
        between_steps(t, aside);
        a += DEPTH;
        below += DEPTH;
        b += DEPTH * AMX_LANES * t->vectors;
    }
    _tile_stored(UPPER_LEFT, sums, s->sums_row);
    _tile_stored(LOWER_LEFT, sums_below, s->sums_row);
    if (right) {
        _tile_stored(UPPER_RIGHT, sums + AMX_LANES, s->sums_row);
        _tile_stored(LOWER_RIGHT, sums_below + AMX_LANES, s->sums_row);
    }
}

/* One strip by one, two or three vectors. */
ALWAYS_INLINE void one_strip(const DType product, size_t vectors, const LowTile *t, const Steps *s,
                             Aside *aside)
{
    const uint32_t *a = s->a, *b = s->b;
    _tile_zero(UPPER_LEFT);
    _tile_zero(UPPER_RIGHT);
    _tile_zero(UPPER_THIRD);
    if (s->add)
        _tile_loadd(UPPER_LEFT, s->sums, s->sums_row);
    if (s->add && vectors > 1)
        _tile_loadd(UPPER_RIGHT, s->sums + AMX_LANES, s->sums_row);
    if (s->add && vectors > 2)
        _tile_loadd(UPPER_THIRD, s->sums + 2 * AMX_LANES, s->sums_row);
    for (size_t i = 0; i < s->loads; i++) {
        _tile_loadd(UPPER, a, s->a_row);
        _tile_loadd(LEFT, b, s->b_row);
        DOT(product, UPPER_LEFT, UPPER, LEFT);
        if (vectors > 1) {
            _tile_loadd(RIGHT, b + AMX_LANES, s->b_row);
            DOT(product, UPPER_RIGHT, UPPER, RIGHT);
        }
        if (vectors > 2) {
            _tile_loadd(THIRD, b + 2 * AMX_LANES, s->b_row);
            DOT(product, UPPER_THIRD, UPPER, THIRD);
        }
        between_steps(t, aside);
        a += DEPTH;
        b += DEPTH * AMX_LANES * t->vectors;
    }
    _tile_stored(UPPER_LEFT, s->sums, s->sums_row);
    if (vectors > 1)
        _tile_stored(UPPER_RIGHT, s->sums + AMX_LANES, s->sums_row);
    if (vectors > 2)
        _tile_stored(UPPER_THIRD, s->sums + 2 * AMX_LANES, s->sums_row);
}

/* Two strips take two vectors, from the v-th on, or the last; one strip takes three. */
ALWAYS_INLINE void multiply(const DType product, const LowTile *t, size_t v, const Steps *s,
                            Aside *aside)
{
    if (t->rows <= AMX_STRIP)
        one_strip(product, t->vectors - v, t, s, aside);
    else if (v + 2 <= t->vectors)
        two_strips(product, true, t, s, aside);
    else
        two_strips(product, false, t, s, aside);
}

ALWAYS_INLINE void tile(const DType product, const LowTile *t)
{
    const size_t whole = t->steps / DEPTH, last = t->steps % DEPTH;
    const size_t at_once = t->rows > AMX_STRIP ? 2 : 3;
    const size_t rounds = (t->vectors + at_once - 1) / at_once * (whole + (last > 0));
    Aside aside = {.prefetch = t->prefetch,
                   .bytes = t->steps * t->prefetch_step,
                   .unfinished = t->unfinished ? t->unfinished->rows : 0,
                   .current = t->current ? t->current->rows : 0,
                   .lines_a_step = rounds ? (t->source.count + rounds - 1) / rounds : 0};
    for (size_t v = 0; v < t->vectors; v += at_once) {
        Steps s = {.a = t->a,
                   .b = t->b + v * AMX_LANES,
                   .loads = whole,
                   .a_row = t->a_row * UNIT,
                   .b_row = t->vectors * ROW_BYTES,
                   .sums = t->sums + v * AMX_LANES,
                   .sums_row = t->vectors * ROW_BYTES,
                   .add = t->add};
        if (whole > 0 || last == 0) {
            configure(t->rows, DEPTH);
            multiply(product, t, v, &s, &aside);
            s.add = true;
        }
        if (last > 0) {
            configure(t->rows, last);
            s.a += whole * DEPTH;
            s.b += whole * DEPTH * AMX_LANES * t->vectors;
            s.loads = 1;
            multiply(product, t, v, &s, &aside);
        }
    }
    while (aside.finished < aside.unfinished)
        t->finish_row(t->unfinished, aside.finished++);
}

void tile_bf16_amx(const LowTile *t)
{
    tile(DT_BF16, t);
}

void tile_i8_amx(const LowTile *t)
{
    tile(DT_I8, t);
}

/* fma_loop.c for tile registers, so many steps deep, with six independent sums. Four would hide the
 * latency: 52 cycles, one instruction every 16 (Intel optimization manual, chapter on AMX). */
ALWAYS_INLINE double peak_loop(const DType product, size_t depth, size_t rounds)
{
    enum { SUMS = 6, ONES = 0x3f803f80 };
    static const uint32_t ones[AMX_LANES] = {ONES, ONES, ONES, ONES, ONES, ONES, ONES, ONES,
                                             ONES, ONES, ONES, ONES, ONES, ONES, ONES, ONES};
    TileConfig c = {.palette = 1};
    for (int i = 0; i < SUMS; i++)
        amx_shape(&c, i, AMX_STRIP, ROW_BYTES); /* loading the configuration zeroes them */
    amx_shape(&c, 6, AMX_STRIP, depth * UNIT);
    amx_shape(&c, 7, depth, ROW_BYTES);
    amx_release();
    amx_load_config(&c);
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
    size_t products = AMX_STRIP * AMX_LANES * depth * UNIT / dtype_size(product);
    return 2.0 * (double)products * SUMS * (double)rounds;
}

double peak_loop_bf16_amx(size_t rounds)
{
    return peak_loop(DT_BF16, DEPTH, rounds);
}

double peak_loop_i8_amx(size_t rounds)
{
    return peak_loop(DT_I8, DEPTH, rounds);
}

double peak_loop_groups_amx(size_t rounds)
{
    return peak_loop(DT_I8, QUANT_GROUP / UNIT, rounds);
}
