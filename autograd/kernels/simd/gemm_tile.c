/* gemm_tile: the innermost loops of the matrix product.
 *
 * One idea: a tile of C, MR rows by NV vectors, stays in registers while k runs; each step reads
 * NV vectors of a packed panel of B and broadcasts MR elements of A. Tiles exist for every smaller
 * number of rows and vectors, so no edge takes a slow path (Goto & van de Geijn 2008; Van Zee &
 * van de Geijn 2015). Meanwhile each step asks memory for a piece of what will be packed or read
 * next. Blocking for the caches and threads are autograd/kernels/gemm/fp32.c's business. */
#include "autograd/kernels/simd/simd.h"

/* Memory that is needed soon: rows of so many bytes, stride bytes apart. `whole`: every line is asked for, even
 * if that is more than one a step. */
typedef struct Region {
    const char *at;
    size_t rows, bytes, stride;
    bool whole;
} Region;

typedef struct TileArgs {
    size_t k;
    const float *a;
    size_t a_row, a_col;
    const float *b;
    float *c;
    size_t c_row, cols; /* cols: how many of the tile's columns exist */
    bool add;
    Region ahead;      /* fetched, row after row ... */
    size_t ahead_step; /* ... so many bytes in each step */
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

/* Products are summed in chains, then the chains: rounding grows with the length, but the registers of
 * a tile have to go to memory and back after each chain. */
static size_t chain_length(size_t k)
{
    return k <= 128 ? 32 : 64;
}

/* A store waits for its line as a load does. A tile over a few k is done before its lines are there. */
ALWAYS_INLINE void fetch_c(const int mr, const int nv, const TileArgs *t)
{
    for (int r = 0; r < mr; r++)
        for (int v = 0; v < nv; v++)
            __builtin_prefetch(t->c + (size_t)r * t->c_row + v * VL);
}

/* Where the next step reads and fetches. */
typedef struct Cursor {
    const float *a, *b;
    const char *next, *row_end;
} Cursor;

/* acc = the products of k steps. */
ALWAYS_INLINE void sum_chain(const int mr, const int nv, const TileArgs *t, size_t a_row,
                             size_t a_col, size_t k, Cursor *at, vf acc[MR][NV])
{
    const float *a = at->a, *b = at->b;
    const char *next = at->next, *row_end = at->row_end;
    const size_t asked = t->ahead.whole ? t->ahead_step : 1;
#pragma GCC unroll 8
    for (int r = 0; r < mr; r++)
#pragma GCC unroll 3
        for (int v = 0; v < nv; v++)
            acc[r][v] = (vf){0};
    for (; k > 0; k--, a += a_col, b += nv * VL, next += t->ahead_step) {
        if (mr > 1 && next >= row_end) { /* one row of A waits for B alone */
            next += t->ahead.stride - t->ahead.bytes;
            row_end += t->ahead.stride;
        }
        fetch_lines(next, asked);
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
    *at = (Cursor){a, b, next, row_end};
}

ALWAYS_INLINE void tile(const int mr, const int nv, const TileArgs *t, size_t a_row, size_t a_col)
{
    vf acc[MR][NV], chain[MR][NV];
    Cursor at = {t->a, t->b, t->ahead.at, t->ahead.at + t->ahead.bytes};
    const size_t length = chain_length(t->k);
    size_t left = t->k < length ? 0 : t->k - length;
    if (t->k >= 64)
        fetch_c(mr, nv, t);
    sum_chain(mr, nv, t, a_row, a_col, t->k - left, &at, acc);
    while (left > 0) {
        size_t k = left < length ? left : length;
        left -= k;
        sum_chain(mr, nv, t, a_row, a_col, k, &at, chain);
#pragma GCC unroll 8
        for (int r = 0; r < mr; r++)
#pragma GCC unroll 3
            for (int v = 0; v < nv; v++)
                acc[r][v] += chain[r][v];
    }
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

/* ---- where things are, and what is fetched ahead ---- */

/* How far behind the first packed panel another one begins. */
static size_t panel_offset(const GemmBlock *g, size_t panel)
{
    size_t before = panel_start(&simd_tile, g->n, panel) - panel_start(&simd_tile, g->n, g->first);
    return before * g->depth;
}

static const float *panel_at(const GemmBlock *g, size_t panel)
{
    return (g->b_pack ? g->b_pack : g->b) + panel_offset(g, panel);
}

static size_t panel_width(const GemmBlock *g, size_t panel)
{
    return panel_start(&simd_tile, g->n, panel + 1) - panel_start(&simd_tile, g->n, panel);
}

/* What is asked for while a stored panel is read (stream_ahead), a row for each turn. What comes next lies
 * behind it. */
static Region ahead_in_stream(const GemmBlock *g, size_t panel, size_t turns)
{
    size_t width = panel_width(g, panel), bytes = g->k * width * sizeof(float);
    size_t distance = stream_ahead(&simd_tile, turns, bytes);
    if (distance == 0)
        return (Region){0};
    const char *from = (const char *)(panel_at(g, panel) + g->skip * width);
    return (Region){.at = from + distance,
                    .rows = turns,
                    .bytes = bytes / turns,
                    .stride = bytes / turns,
                    .whole = true};
}

/* `across` lines of a matrix, of this block's k elements each. Lines are rows or columns in memory. */
static Region matrix_piece(const GemmBlock *g, const float *at, size_t across, size_t across_step,
                           size_t k_step)
{
    bool along_k = k_step == 1;
    return (Region){
        .at = (const char *)at,
        .rows = along_k ? across : g->k,
        .bytes = sizeof(float) * (along_k ? g->k : across),
        .stride = sizeof(float) * (along_k ? across_step : k_step),
    };
}

/* What a panel will be packed from. */
static Region panel_source(const GemmBlock *g, size_t panel)
{
    size_t from = panel_start(&simd_tile, g->n, panel), to = from + panel_width(g, panel);
    return matrix_piece(g, g->b + from * g->b_col, (to < g->n ? to : g->n) - from, g->b_col,
                        g->b_row);
}

/* At most `most` rows of A from `row` on. */
static Region rows_of_a(const GemmBlock *g, size_t row, size_t most)
{
    size_t left = g->rows - row;
    return matrix_piece(g, g->a + row * g->a_row, left < most ? left : most, g->a_row, g->a_col);
}

/* ---- one tile after the other ---- */

/* What one tile works on: rows [row, row + rows) and a panel. It is turn `turn` of the `turns` among
 * which fetching `ahead` is divided. */
typedef struct Place {
    size_t row, rows, panel, turn, turns;
    const float *a;
    Region ahead;
} Place;

/* The turn's whole rows of what is to be fetched. Without any, something harmless. */
static void share_ahead(TileArgs *t, const Place *at)
{
    t->ahead = (Region){.at = (const char *)at->a, .bytes = 1};
    t->ahead_step = 0;
    if (at->ahead.rows == 0 || at->ahead.bytes == 0 || t->k == 0)
        return;
    size_t from = at->ahead.rows * at->turn / at->turns;
    size_t rows = at->ahead.rows * (at->turn + 1) / at->turns - from;
    t->ahead = at->ahead;
    t->ahead.at += from * at->ahead.stride;
    t->ahead_step = (rows * at->ahead.bytes + t->k - 1) / t->k;
}

static void finish(const GemmBlock *g, const Place *at, size_t from, size_t to)
{
    Epilogue epi = epilogue_at(g->epi, DT_F32, (ptrdiff_t)(at->row * g->c_row), 0);
    KERNEL(epilogue)(&epi, g->c + at->row * g->c_row, g->c_row, at->rows, from, to);
}

static void multiply(const GemmBlock *g, const Place *at)
{
    size_t from = panel_start(&simd_tile, g->n, at->panel), width = panel_width(g, at->panel);
    size_t end = from + width < g->n ? from + width : g->n;
    bool by_columns = g->a_pack || g->a_col != 1;
    TileArgs t = {
        .k = g->k,
        .a = at->a,
        .a_row = g->a_row,
        .a_col = g->a_pack ? MR : g->a_col,
        .b = panel_at(g, at->panel) + g->skip * width,
        .c = g->c + at->row * g->c_row + from,
        .c_row = g->c_row,
        .cols = end - from,
        .add = g->add,
    };
    share_ahead(&t, at);
    tiles[by_columns][at->rows - 1][width / VL - 1](&t);
    if (g->epi)
        finish(g, at, from, end);
}

/* Strips of A that are worked on together. */
typedef struct Group {
    size_t strips, starts[(GEMM_STREAM_ROWS + MR - 1) / MR + 1];
} Group;

static Place strip_at(const GemmBlock *g, const Group *group, size_t s)
{
    size_t row = group->starts[s];
    return (Place){
        .row = row,
        .rows = group->starts[s + 1] - row,
        .a = g->a_pack ? g->a_pack + s * g->k * MR : g->a + row * g->a_row,
    };
}

/* A panel meets all strips while the next one comes from memory, to be multiplied or to be packed. */
static void panel_by_panel(const GemmBlock *g, const Group *group)
{
    for (size_t panel = g->first; panel < g->last; panel++) {
        Region ahead = {0};
        if (g->b_pack)
            KERNEL(pack_b)
        (g->k, g->n, panel, panel + 1, g->b, g->b_row, g->b_col,
         g->b_pack + panel_offset(g, panel));
        if (g->b_pack && panel + 1 < g->last && group->strips > 1)
            ahead = panel_source(g, panel + 1);
        else if (g->streams)
            ahead = ahead_in_stream(g, panel, group->strips);
        for (size_t s = 0; s < group->strips; s++) {
            Place at = strip_at(g, group, s);
            at.panel = panel;
            at.turn = s;
            at.turns = group->strips;
            at.ahead = ahead;
            multiply(g, &at);
        }
    }
}

/* A strip stays in the first-level cache while the panels pass from the second and the next rows of A,
 * a strip or where they are packed a group, come from memory. */
static void strip_by_strip(const GemmBlock *g, const Group *group)
{
    size_t panels = g->last - g->first;
    for (size_t s = 0; s < group->strips; s++) {
        Place at = strip_at(g, group, s);
        size_t first_turn = g->a_pack ? s * panels : 0;
        at.turns = g->a_pack ? group->strips * panels : panels;
        at.ahead = g->a_pack ? rows_of_a(g, group->starts[group->strips], GEMM_A_ROWS)
                             : rows_of_a(g, at.row + at.rows, MR);
        for (size_t i = 0; i < panels; i++) {
            at.panel = g->first + i;
            at.turn = first_turn + i;
            multiply(g, &at);
        }
    }
}

void KERNEL(gemm_block)(const GemmBlock *g)
{
    size_t strips = (g->rows + MR - 1) / MR, most = g->streams ? strips : GEMM_A_ROWS / MR;
    bool few = strips <= most && !g->a_pack;
    for (size_t s0 = 0; s0 < strips; s0 += most) {
        Group group = {.strips = strips - s0 < most ? strips - s0 : most};
        for (size_t s = 0; s <= group.strips; s++)
            group.starts[s] = (s0 + s) * g->rows / strips;
        if (g->a_pack)
            pack_a(g, group.starts, group.strips);
        if (few || (g->b_pack && s0 == 0))
            panel_by_panel(g, &group);
        else
            strip_by_strip(g, &group);
    }
}
