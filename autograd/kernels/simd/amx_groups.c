/* amx_groups: the innermost loops of the products of q8_0 and q4_0 in tile registers (Intel SDM
 * vol. 1, chapter "Programming with Intel AMX").
 *
 * One idea: a tile register sums the products of levels inside a group, for STRIP rows and one
 * vector of columns; vectors turn the sums of one group into fp32, scale and add them, while the
 * next group is multiplied. The fp32 sums stay in vector registers.
 *
 * While tile registers are in use one of the two ports for multiplications and conversions is not
 * to be had. So nothing is converted: sums of levels begin at the bits of MAGIC, where the last
 * place of an fp32 is 1, and a subtraction, which has its own port, leaves the sum, exactly.
 *
 * Tile registers want B as signed bytes. Some groups of a panel are unpacked into the first-level
 * cache, and all rows of the tile pass over them: that is why such a tile has many rows.
 *
 * The tests compile this file once more, with the instructions emulated in C
 * (tests/support/amx_instructions.h). */
#include "autograd/kernels/simd/amx_groups.h"

#include "autograd/kernels/simd/amx_config.h"

#include <string.h>

enum {
    STRIP = 16,  /* rows */
    VECTORS = 3, /* of a panel at most */
    LANES = 16,  /* of a vector */
    UNITS = 8,   /* of a group: four levels each */
    GROUPS = 16, /* of a panel that are unpacked at a time */
};

typedef float vf __attribute__((vector_size(64)));
typedef uint32_t vu __attribute__((vector_size(64), aligned(4)));
typedef int8_t vb __attribute__((vector_size(64)));

/* A group of a strip of A, in the place of as many LowGroup. */
typedef struct StripGroup {
    int8_t levels[STRIP][QUANT_GROUP];
    float scale[STRIP];
    float unused[STRIP];
} StripGroup;

_Static_assert(sizeof(StripGroup) == STRIP * sizeof(LowGroup), "it takes their place");

/* A group of one vector of a panel. */
typedef struct VectorGroup {
    vu units[UNITS];
    vf scale;
} VectorGroup;

typedef struct Panel {
    VectorGroup of[VECTORS][GROUPS];
} Panel;

/* Sums of the levels of a group, as MAGIC and what is added to it. */
typedef struct Sums {
    vf row[STRIP];
} Sums;

/* 1.5 x 2^23: fp32 from 2^23 to 2^24 are whole numbers, and no sum is beyond 32 x 127 x 128. */
#define MAGIC 12582912.0f
#define FOUR  MAGIC, MAGIC, MAGIC, MAGIC
static const float magic[LANES] = {FOUR, FOUR, FOUR, FOUR};

/* The registers: two of each, used in turns. Their numbers become part of an instruction's name, so
 * they cannot be an enum. */
#define SUM_0 0
#define SUM_1 1
#define A_0   2
#define A_1   3
#define B_0   4
#define B_1   5

static void configure(size_t rows)
{
    TileConfig c = {.palette = 1};
    amx_shape(&c, SUM_0, rows, LANES * 4);
    amx_shape(&c, SUM_1, rows, LANES * 4);
    amx_shape(&c, A_0, rows, QUANT_GROUP);
    amx_shape(&c, A_1, rows, QUANT_GROUP);
    amx_shape(&c, B_0, UNITS, LANES * 4);
    amx_shape(&c, B_1, UNITS, LANES * 4);
    amx_load_config(&c);
}

/* ---- A ---- */

static StripGroup *strip_of(const uint32_t *a, size_t a_row, size_t r)
{
    return (StripGroup *)(a + r / STRIP * STRIP * a_row);
}

void place_groups_amx(const LowGroup *row, size_t groups, size_t r, uint32_t *a, size_t a_row)
{
    StripGroup *strip = strip_of(a, a_row, r);
    for (size_t g = 0; g < groups; g++) {
        memcpy(strip[g].levels[r % STRIP], row[g].levels, QUANT_GROUP);
        strip[g].scale[r % STRIP] = row[g].scale;
    }
}

/* ---- B ---- */

ALWAYS_INLINE void unpack_group(const DType type, size_t vectors, const uint32_t *b, Panel *panel,
                                size_t g)
{
    const vu *levels = (const vu *)b;
    const size_t units = type == DT_Q8_0 ? UNITS : UNITS / 2;
    float scales[VECTORS * LANES];
    isa_in_use()->rows.widen(DT_F16, b + units * vectors * LANES, scales, vectors * LANES);
    for (size_t v = 0; v < vectors; v++) {
        VectorGroup *to = &panel->of[v][g];
        for (size_t u = 0; u < units; u++) {
            vu unit = levels[u * vectors + v];
            if (type == DT_Q8_0) {
                to->units[u] = unit ^ 0x80808080;
                continue;
            }
            to->units[u] = (vu)((vb)(unit & 0x0f0f0f0f) - 8);
            to->units[u + UNITS / 2] = (vu)((vb)(unit >> 4 & 0x0f0f0f0f) - 8);
        }
        memcpy(&to->scale, scales + v * LANES, sizeof(to->scale));
    }
}

/* ---- a strip ---- */

#define MULTIPLY(a, b, sum, tile_a, tile_b)                                                        \
    do {                                                                                           \
        _tile_loadd(sum, magic, 0);                                                                \
        _tile_loadd(tile_a, (a)->levels, QUANT_GROUP);                                             \
        _tile_loadd(tile_b, (b)->units, LANES * 4);                                                \
        _tile_dpbssd(sum, tile_a, tile_b);                                                         \
    } while (0)

ALWAYS_INLINE void add_group(const int mr, vf acc[STRIP], const Sums *sums, const StripGroup *a,
                             const VectorGroup *b)
{
#pragma GCC unroll 16
    for (int r = 0; r < mr; r++) {
        vf exact = sums->row[r] - MAGIC, scale = a->scale[r] * b->scale;
        acc[r] = (vf)_mm512_fmadd_ps((__m512)exact, (__m512)scale, (__m512)acc[r]);
    }
}

/* Group g + 1 is multiplied, the sums of g are stored, those of g - 1 added. */
#define STEP(sum, next, tile_a, tile_b)                                                            \
    do {                                                                                           \
        if (g + 1 < groups)                                                                        \
            MULTIPLY(&a[g + 1], &b[g + 1], next, tile_a, tile_b);                                  \
        _tile_stored(sum, buffer[g % 2].row, sizeof(vf));                                          \
        if (g > 0)                                                                                 \
            add_group(mr, acc, &buffer[(g - 1) % 2], &a[g - 1], &b[g - 1]);                        \
    } while (0)

/* mr rows by one vector of columns over some groups; `to`: rows of so many floats. */
ALWAYS_INLINE void strip(const int mr, const StripGroup *a, const VectorGroup *b, size_t groups,
                         float *to, size_t width, bool add)
{
    Sums buffer[2];
    vf acc[STRIP];
#pragma GCC unroll 16
    for (int r = 0; r < mr; r++)
        acc[r] = add ? (vf)_mm512_loadu_ps(to + r * width) : (vf){0};
    MULTIPLY(a, b, SUM_0, A_0, B_0);
    for (size_t g = 0; g < groups; g++) {
        if (g % 2 == 0)
            STEP(SUM_0, SUM_1, A_1, B_1);
        else
            STEP(SUM_1, SUM_0, A_0, B_0);
    }
    add_group(mr, acc, &buffer[(groups - 1) % 2], &a[groups - 1], &b[groups - 1]);
#pragma GCC unroll 16
    for (int r = 0; r < mr; r++)
        _mm512_storeu_ps(to + r * width, (__m512)acc[r]);
}

typedef void StripFn(const StripGroup *a, const VectorGroup *b, size_t groups, float *to,
                     size_t width, bool add);

#define STRIP_FN(mr)                                                                               \
    static void strip_##mr(const StripGroup *a, const VectorGroup *b, size_t groups, float *to,    \
                           size_t width, bool add)                                                 \
    {                                                                                              \
        strip(mr, a, b, groups, to, width, add);                                                   \
    }
#define ENTRY(mr) [mr - 1] = strip_##mr,
#define FOR_STRIPS(X)                                                                              \
    X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15) X(16)
FOR_STRIPS(STRIP_FN)

/* ---- a tile ---- */

/* All rows against groups that are unpacked, of A's from `from` on. */
static void multiply_rows(const LowTile *t, const Panel *panel, size_t from, size_t groups)
{
    static StripFn *const strips[STRIP] = {FOR_STRIPS(ENTRY)};
    size_t width = t->vectors * LANES;
    for (size_t r = 0; r < t->rows; r += STRIP) {
        size_t rows = t->rows - r < STRIP ? t->rows - r : STRIP;
        if (r == 0 || rows < STRIP)
            configure(rows);
        for (size_t v = 0; v < t->vectors; v++)
            strips[rows - 1](strip_of(t->a, t->a_row, r) + from, panel->of[v], groups,
                             t->sums + r * width + v * LANES, width, t->add || from > 0);
    }
}

ALWAYS_INLINE void tile(const DType type, const LowTile *t)
{
    Panel panel;
    size_t units = t->vectors * LANES * (type == DT_Q8_0 ? Q8_0_BYTES : Q4_0_BYTES) / 4;
    for (size_t from = 0; from < t->steps; from += GROUPS) {
        size_t groups = t->steps - from < GROUPS ? t->steps - from : GROUPS;
        for (size_t g = 0; g < groups; g++)
            unpack_group(type, t->vectors, t->b + (from + g) * units, &panel, g);
        multiply_rows(t, &panel, from, groups);
    }
    _tile_release();
}

void tile_q8_0_amx(const LowTile *t)
{
    tile(DT_Q8_0, t);
}

void tile_q4_0_amx(const LowTile *t)
{
    tile(DT_Q4_0, t);
}
