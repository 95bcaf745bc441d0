/* gemm_tile: the innermost loops of the matrix product.
 *
 * One idea: a tile of C, MR rows by NV vectors, stays in registers while k runs; each step reads
 * NV vectors of a packed panel of B and broadcasts MR elements of A. Tiles exist for every smaller
 * number of rows and vectors, so no edge takes a slow path (Goto & van de Geijn 2008; Van Zee &
 * van de Geijn 2015). Blocking for the caches and threads are gemm.c's business. */
#include "simd.h"

typedef struct TileArgs {
    size_t k;
    const float *a;
    size_t a_row, a_col;
    const float *b;
    float *c;
    size_t c_row, cols; /* cols: how many of the tile's columns exist */
    bool add;
    const char *next; /* fetched ahead, one line every next_step bytes */
    size_t next_step;
} TileArgs;

typedef void TileFn(const TileArgs *t);

/* The edge of C: a tile that was stored aside, [mr][width], of which t->cols columns exist. */
static void store_edge(const TileArgs *t, size_t mr, size_t width, const float *edge)
{
    for (size_t r = 0; r < mr; r++)
        for (size_t j = 0; j < t->cols; j++) {
            float *c = t->c + r * t->c_row + j;
            *c = edge[r * width + j] + (t->add ? *c : 0);
        }
}

ALWAYS_INLINE void tile_store(const int mr, const int nv, float *c, size_t c_row, bool add,
                              vf acc[MR][NV])
{
#pragma GCC unroll 8
    for (int r = 0; r < mr; r++)
#pragma GCC unroll 3
        for (int v = 0; v < nv; v++) {
            float *at = c + (size_t)r * c_row + v * VL;
            vstore(at, add ? vload(at) + acc[r][v] : acc[r][v]);
        }
}

/* Products are summed in chains of this length, then the chains: rounding grows with the length. */
enum { CHAIN = 32 };

ALWAYS_INLINE void tile(const int mr, const int nv, const TileArgs *t, size_t a_row, size_t a_col)
{
    vf acc[MR][NV], total[MR][NV];
    const float *a = t->a, *b = t->b;
    const char *next = t->next;
    const size_t next_step = t->next_step;
    for (size_t done = 0; done == 0 || done < t->k; done += CHAIN) {
#pragma GCC unroll 8
        for (int r = 0; r < mr; r++)
#pragma GCC unroll 3
            for (int v = 0; v < nv; v++) {
                if (done)
                    total[r][v] = done == CHAIN ? acc[r][v] : total[r][v] + acc[r][v];
                acc[r][v] = (vf){0};
            }
        size_t k = t->k - done < CHAIN ? t->k - done : CHAIN;
        for (; k > 0; k--, a += a_col, b += nv * VL, next += next_step) {
            __builtin_prefetch(next);
            vf bv[NV];
#pragma GCC unroll 3
            for (int v = 0; v < nv; v++)
                bv[v] = vload(b + v * VL);
#pragma GCC unroll 8
            for (int r = 0; r < mr; r++) {
                vf av = vset1(a[(size_t)r * a_row]);
#pragma GCC unroll 3
                for (int v = 0; v < nv; v++)
                    acc[r][v] += av * bv[v];
            }
        }
    }
    if (t->k > CHAIN)
#pragma GCC unroll 8
        for (int r = 0; r < mr; r++)
#pragma GCC unroll 3
            for (int v = 0; v < nv; v++)
                acc[r][v] += total[r][v];
    if (t->cols < (size_t)nv * VL) {
        float edge[MR * NR];
        tile_store(mr, nv, edge, (size_t)nv * VL, false, acc);
        store_edge(t, (size_t)mr, (size_t)nv * VL, edge);
    } else if (t->add) {
        tile_store(mr, nv, t->c, t->c_row, true, acc);
    } else {
        tile_store(mr, nv, t->c, t->c_row, false, acc);
    }
}

/* Two tiles of a size: A stored by rows (a_col = 1), and by columns (a_row = 1) or packed. */
#define TILE(mr, nv)                                                                               \
    static void tile_##mr##x##nv##_rows(const TileArgs *t)                                         \
    {                                                                                              \
        tile(mr, nv, t, t->a_row, 1);                                                              \
    }                                                                                              \
    static void tile_##mr##x##nv##_columns(const TileArgs *t)                                      \
    {                                                                                              \
        tile(mr, nv, t, 1, t->a_col);                                                              \
    }

#if NV == 3
#define FOR_VECTORS(mr, X) X(mr, 1) X(mr, 2) X(mr, 3)
#else
#define FOR_VECTORS(mr, X) X(mr, 1) X(mr, 2)
#endif
#if MR == 8
#define FOR_TILES(X, Y) Y(1, X) Y(2, X) Y(3, X) Y(4, X) Y(5, X) Y(6, X) Y(7, X) Y(8, X)
#else
#define FOR_TILES(X, Y) Y(1, X) Y(2, X) Y(3, X) Y(4, X) Y(5, X) Y(6, X)
#endif

FOR_TILES(TILE, FOR_VECTORS)

#define ENTRY_ROWS(mr, nv)    [0][mr - 1][nv - 1] = tile_##mr##x##nv##_rows,
#define ENTRY_COLUMNS(mr, nv) [1][mr - 1][nv - 1] = tile_##mr##x##nv##_columns,
static TileFn *const tiles[2][MR][NV] = {FOR_TILES(ENTRY_ROWS, FOR_VECTORS)
                                             FOR_TILES(ENTRY_COLUMNS, FOR_VECTORS)};

/* A stored by columns (a_row = 1) into strips [k][MR], the s-th beginning at row starts[s]. What a
 * shorter strip leaves of its MR is never used: filled where memory allows, since copies of a
 * constant size are fast. */
static void pack_a(const GemmBlock *g, const size_t *starts, size_t strips)
{
    for (size_t p = 0; p < g->k; p++) {
        const float *a = g->a + p * g->a_col;
        float *out = g->a_pack + p * MR;
        for (size_t s = 0; s < strips; s++, out += g->k * MR) {
            size_t left = g->rows - starts[s];
            if (left >= MR)
                memcpy(out, a + starts[s], MR * sizeof(float));
            else
                memcpy(out, a + starts[s], left * sizeof(float));
        }
    }
}

/* What one tile works on: rows [row, row + rows) and a panel; it is strip `turn` of `turns` that
 * meet this panel, one after the other. */
typedef struct Place {
    size_t row, rows, panel, turn, turns;
    const float *a;
} Place;

static void finish(const GemmBlock *g, const Place *at, size_t from, size_t to)
{
    Epilogue epi = *g->epi;
    if (epi.z)
        epi.z += at->row * g->c_row;
    if (epi.residual)
        epi.residual += at->row * g->c_row;
    KERNEL(epilogue)(&epi, g->c + at->row * g->c_row, g->c_row, at->rows, from, to);
}

static void multiply(const GemmBlock *g, const Place *at)
{
    size_t from = panel_start(&simd_tile, g->n, at->panel);
    size_t to = panel_start(&simd_tile, g->n, at->panel + 1), end = to < g->n ? to : g->n;
    size_t width = to - from, before = from - panel_start(&simd_tile, g->n, g->first);
    bool by_columns = g->a_pack || g->a_col != 1;
    TileArgs t = {
        .k = g->k,
        .a = at->a,
        .a_row = g->a_row,
        .a_col = g->a_pack ? MR : g->a_col,
        .b = g->b + before * g->depth + g->skip * width,
        .c = g->c + at->row * g->c_row + from,
        .c_row = g->c_row,
        .cols = end - from,
        .add = g->add,
    };
    t.next = (const char *)t.b;
    if (g->streams && at->turns >= NV) {
        /* As many bytes as this panel has lie behind it and come next: each turn fetches a share,
         * so that memory is busy all the time and not only in the first turn. */
        t.next_step = width * sizeof(float) / at->turns;
        t.next += g->k * (width * sizeof(float) + at->turn * t.next_step);
    }
    tiles[by_columns][at->rows - 1][width / VL - 1](&t);
    if (g->epi)
        finish(g, at, from, end);
}

/* Few rows: a panel meets all strips before the next one comes from memory. Many rows: a strip
 * stays in the first-level cache while the panels pass from the second. */
void KERNEL(gemm_block)(const GemmBlock *g)
{
    enum { GROUP = GEMM_A_ROWS / MR };
    size_t strips = (g->rows + MR - 1) / MR, panels = g->last - g->first;
    bool strips_inside = strips <= GROUP && !g->a_pack;
    for (size_t s0 = 0; s0 < strips; s0 += GROUP) {
        size_t group = strips - s0 < GROUP ? strips - s0 : GROUP, starts[GROUP + 1];
        for (size_t s = 0; s <= group; s++)
            starts[s] = (s0 + s) * g->rows / strips;
        if (g->a_pack)
            pack_a(g, starts, group);
        for (size_t i = 0; i < group * panels; i++) {
            size_t s = strips_inside ? i % group : i / panels;
            multiply(g,
                     &(Place){
                         .row = starts[s],
                         .rows = starts[s + 1] - starts[s],
                         .panel = g->first + (strips_inside ? i / group : i % panels),
                         .turn = s,
                         .turns = group,
                         .a = g->a_pack ? g->a_pack + s * g->k * MR : g->a + starts[s] * g->a_row,
                     });
        }
    }
}
