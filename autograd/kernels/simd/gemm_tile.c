/* gemm_tile: the innermost loops of the matrix product.
 *
 * One idea: a tile of C, MR rows by NV vectors, stays in registers while k runs; each step reads
 * NV vectors of a packed panel of B and broadcasts MR elements of A. Tiles exist for every smaller
 * number of rows and vectors, so no edge takes a slow path (Goto & van de Geijn 2008; Van Zee &
 * van de Geijn 2015). Each step also prefetches a piece of what will be packed or read next.
 * gemm/fp32.c chooses blocks and divides the work among threads. */
#include "autograd/kernels/simd/simd.h"

/* Memory to prefetch: rows of so many bytes, stride bytes apart. Without `whole` a step prefetches
 * one line at most. */
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
    size_t b_row; /* of a tile narrower than its panel: the panel's width */
    /* Of a triangle: how many steps each vector takes; no fewer than its neighbour before it. */
    size_t steps[NV];
    float *c;
    size_t c_row, cols; /* cols: how many of the tile's columns exist */
    bool add;
    /* Added to the finished elements, in this order, where not NULL. A tile at the edge of C has
     * neither. */
    const float *bias, *residual;
    /* Prefetched row after row, so many bytes in each step. */
    Region prefetch;
    size_t prefetch_step;
} TileArgs;

typedef void TileFn(const TileArgs *t);

/* Stores the t->cols existing columns of a tile at the edge of C from its copy, [mr][width]. */
static void store_edge(const TileArgs *t, size_t mr, size_t width, const float *edge)
{
    for (size_t r = 0; r < mr; r++)
        for (size_t j = 0; j < t->cols; j++) {
            float *c = t->c + r * t->c_row + j;
            *c = edge[r * width + j] + (t->add ? *c : 0);
        }
}

/* acc += rows of C or of what lies like it. */
ALWAYS_INLINE void tile_add(const int mr, const int nv, const float *c, size_t c_row,
                            vf acc[MR][NV])
{
#pragma GCC unroll 8
    for (int r = 0; r < mr; r++, c += c_row) {
#pragma GCC unroll 3
        for (int v = 0; v < nv; v++)
            acc[r][v] = vload(c + v * VL) + acc[r][v];
        __asm__("" : "+r"(c)); /* or the compiler computes all addresses in vectors */
    }
}

ALWAYS_INLINE void tile_store(const int mr, const int nv, float *c, size_t c_row, vf acc[MR][NV])
{
#pragma GCC unroll 8
    for (int r = 0; r < mr; r++, c += c_row) {
#pragma GCC unroll 3
        for (int v = 0; v < nv; v++)
            vstore(c + v * VL, acc[r][v]);
        __asm__("" : "+r"(c));
    }
}

/* Products are summed in chains, then the chains are summed. Rounding grows with the length of a
 * chain, but the registers of a tile go to memory and back after each. */
static size_t chain_length(size_t k)
{
    return k <= 128 ? 32 : 64;
}

/* Prefetches the tile's lines of C: a store waits for its line as a load does. */
ALWAYS_INLINE void prefetch_c(const int mr, const int nv, const TileArgs *t)
{
    for (int r = 0; r < mr; r++)
        for (int v = 0; v < nv; v++)
            __builtin_prefetch(t->c + (size_t)r * t->c_row + v * VL);
}

/* So many steps are multiplied between two looks at what to prefetch. The processor foresees the
 * end of a loop of few turns; one of 64 turns it leaves a turn too late. */
enum { STEPS = 4 };

/* Where the next step reads and prefetches. */
typedef struct Cursor {
    const float *a, *b;
    const char *next, *row_end;
} Cursor;

/* One step: elements of A, three from each of its pointers on, a_row apart, by the vectors
 * [first, nv) of a row of B. */
ALWAYS_INLINE void multiply_step(const int mr, const int first, const int nv,
                                 const float *const a[], size_t a_row, size_t at, const float *b,
                                 vf acc[MR][NV])
{
    vf bv[NV];
#pragma GCC unroll 3
    for (int v = first; v < nv; v++)
        bv[v] = vload(b + v * VL);
#pragma GCC unroll 8
    for (int r = 0; r < mr; r++) {
        vf av = vset1(a[r / 3][(size_t)(r % 3) * a_row + at]);
#pragma GCC unroll 3
        for (int v = first; v < nv; v++)
            vadd_product(&acc[r][v], av, bv[v]);
    }
}

ALWAYS_INLINE void add_sums(const int mr, const int nv, vf acc[MR][NV], vf more[MR][NV])
{
#pragma GCC unroll 8
    for (int r = 0; r < mr; r++)
#pragma GCC unroll 3
        for (int v = 0; v < nv; v++)
            acc[r][v] += more[r][v];
}

/* A chain's sums give their registers to the next chain. */
ALWAYS_INLINE void keep_sums(const int mr, const int nv, vf kept[MR][NV], vf sums[MR][NV])
{
#pragma GCC unroll 8
    for (int r = 0; r < mr; r++)
#pragma GCC unroll 3
        for (int v = 0; v < nv; v++)
            kept[r][v] = sums[r][v];
}

/* Prefetches what so many steps are to prefetch. */
ALWAYS_INLINE void look_ahead(const int mr, const TileArgs *t, size_t steps, size_t bytes,
                              const char **next, const char **row_end)
{
    if (mr > 1 && *next >= *row_end) { /* a single row of A waits for B only */
        *next += t->prefetch.stride - t->prefetch.bytes;
        *row_end += t->prefetch.stride;
    }
    prefetch_lines(*next, bytes);
    *next += steps * t->prefetch_step;
}

/* Adds the products of k steps to the vectors [first, nv). Where more is to be prefetched than a
 * look covers, and for the last steps, each step has a look of its own. */
ALWAYS_INLINE void sum_steps(const int mr, const int first, const int nv, const TileArgs *t,
                             size_t a_row, size_t a_col, size_t b_row, size_t k, Cursor *at,
                             vf acc[MR][NV])
{
    /* Three rows from one pointer: multiples that an instruction can address. */
    const float *a[] = {at->a, mr > 3 ? at->a + 3 * a_row : NULL,
                        mr > 6 ? at->a + 6 * a_row : NULL};
    const float *b = at->b;
    const char *next = at->next, *row_end = at->row_end;
    const bool leads = mr == 1 && VL == 16; /* else a step is no more than a line */
    const size_t bytes = STEPS * t->prefetch_step;
    if (!leads && bytes <= PREFETCH_MOST)
        for (; k >= STEPS; k -= STEPS, b += STEPS * b_row) {
            look_ahead(mr, t, STEPS, bytes, &next, &row_end);
#pragma GCC unroll 4
            for (size_t s = 0; s < STEPS; s++)
                multiply_step(mr, first, nv, a, a_row, s * a_col, b + s * b_row, acc);
#pragma GCC unroll 3
            for (int i = 0; i <= (mr - 1) / 3; i++) {
                a[i] += STEPS * a_col;
                __asm__("" : "+r"(a[i])); /* or there is an offset for each row of each step */
            }
        }
    for (; k > 0; k--, b += b_row) {
        look_ahead(mr, t, 1, t->prefetch.whole ? t->prefetch_step : 1, &next, &row_end);
        if (leads)
            lead_stream(b);
        multiply_step(mr, first, nv, a, a_row, 0, b, acc);
#pragma GCC unroll 3
        for (int i = 0; i <= (mr - 1) / 3; i++)
            a[i] += a_col;
    }
    *at = (Cursor){a[0], b, next, row_end};
}

/* acc = the products of the steps [from, to). Of a triangle each vector leaves out those past its
 * own; `at` is where step `from` reads. */
ALWAYS_INLINE void sum_chain(const int mr, const int nv, const bool triangle, const TileArgs *t,
                             size_t a_row, size_t a_col, size_t b_row, size_t from, size_t to,
                             Cursor *at, vf acc[MR][NV])
{
    clear_sums(mr, nv, acc);
    if (!triangle) {
        sum_steps(mr, 0, nv, t, a_row, a_col, b_row, to - from, at, acc);
        return;
    }
#pragma GCC unroll 3
    for (int v = 0; v < nv; v++) {
        size_t end = t->steps[v] < to ? t->steps[v] : to;
        if (from < end) {
            sum_steps(mr, v, nv, t, a_row, a_col, b_row, end - from, at, acc);
            from = end;
        }
    }
}

/* The sums of a tile are complete. */
ALWAYS_INLINE void tile_end(const int mr, const int nv, const TileArgs *t, vf acc[MR][NV])
{
    if (t->cols < (size_t)nv * VL) {
        float edge[MR * NR];
        tile_store(mr, nv, edge, (size_t)nv * VL, acc);
        store_edge(t, (size_t)mr, (size_t)nv * VL, edge);
        return;
    }
    if (t->add)
        tile_add(mr, nv, t->c, t->c_row, acc);
    if (t->bias)
        tile_add(mr, nv, t->bias, 0, acc);
    if (t->residual)
        tile_add(mr, nv, t->residual, t->c_row, acc);
    tile_store(mr, nv, t->c, t->c_row, acc);
}

ALWAYS_INLINE void tile(const int mr, const int nv, const bool triangle, const TileArgs *t,
                        size_t a_row, size_t a_col, size_t b_row)
{
    vf chain[MR][NV], sums[MR][NV];
    Cursor at = {t->a, t->b, t->prefetch.at, t->prefetch.at + t->prefetch.bytes};
    const size_t length = chain_length(t->k);
    if (t->k >= 64) /* a shorter tile is done before the lines arrive */
        prefetch_c(mr, nv, t);
    size_t from = 0;
    for (size_t to = length; to < t->k; from = to, to += length) {
        sum_chain(mr, nv, triangle, t, a_row, a_col, b_row, from, to, &at, chain);
        if (from > 0)
            add_sums(mr, nv, chain, sums);
        keep_sums(mr, nv, sums, chain);
    }
    sum_chain(mr, nv, triangle, t, a_row, a_col, b_row, from, t->k, &at, chain);
    if (from > 0)
        add_sums(mr, nv, chain, sums);
    tile_end(mr, nv, t, chain);
}

/* Four tiles of a size: A stored by rows (a_col = 1), and by columns (a_row = 1) or packed; by rows
 * and narrower than the panel of B; by columns with a triangle in B. */
enum { BY_ROWS, BY_COLUMNS, NARROW, IN_TRIANGLE, KINDS };

#define TILE(mr, nv)                                                                               \
    static void tile_##mr##x##nv##_rows(const TileArgs *t)                                         \
    {                                                                                              \
        tile(mr, nv, false, t, t->a_row, 1, nv *VL);                                               \
    }                                                                                              \
    static void tile_##mr##x##nv##_columns(const TileArgs *t)                                      \
    {                                                                                              \
        tile(mr, nv, false, t, 1, t->a_col, nv *VL);                                               \
    }                                                                                              \
    static void tile_##mr##x##nv##_narrow(const TileArgs *t)                                       \
    {                                                                                              \
        tile(mr, nv, false, t, t->a_row, 1, t->b_row);                                             \
    }                                                                                              \
    static void tile_##mr##x##nv##_triangle(const TileArgs *t)                                     \
    {                                                                                              \
        tile(mr, nv, true, t, 1, t->a_col, nv *VL);                                                \
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

#define ENTRY(mr, nv)                                                                              \
    [mr - 1][nv - 1] = {tile_##mr##x##nv##_rows, tile_##mr##x##nv##_columns,                       \
                        tile_##mr##x##nv##_narrow, tile_##mr##x##nv##_triangle},
static TileFn *const tiles[MR][NV][KINDS] = {FOR_TILES(ENTRY, FOR_VECTORS)};

/* Packs A, stored by columns (a_row = 1), into strips [k][MR], the s-th beginning at row starts[s].
 * A shorter strip's other rows are never used; they are copied where they exist, since copies of a
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

/* ---- where things are, and what is prefetched ---- */

/* Distance of a packed panel from the first one. */
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

/* What is prefetched while a stored panel is read (prefetch_distance), a row for each turn. */
static Region next_in_stream(const GemmBlock *g, size_t panel, size_t turns)
{
    size_t width = panel_width(g, panel), bytes = g->k * width * sizeof(float);
    size_t distance = prefetch_distance(&simd_tile, turns, bytes);
    if (distance == 0)
        return (Region){0};
    const char *from = (const char *)(panel_at(g, panel) + g->skip * width);
    return (Region){.at = from + distance,
                    .rows = turns,
                    .bytes = bytes / turns,
                    .stride = bytes / turns,
                    .whole = true};
}

/* The region of `across` lines along k of a matrix, of this block's k elements each. Lines are rows
 * or columns in memory. */
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

/* A panel, as its tiles need it. */
typedef struct Panel {
    size_t from, end, width; /* columns of C: [from, end) exist */
    const float *b;
} Panel;

static Panel panel_of(const GemmBlock *g, size_t panel)
{
    size_t from = panel_start(&simd_tile, g->n, panel), width = panel_width(g, panel);
    return (Panel){.from = from,
                   .end = from + width < g->n ? from + width : g->n,
                   .width = width,
                   .b = panel_at(g, panel) + g->skip * width};
}

/* What one tile works on: rows [row, row + rows) and a panel. `prefetch` is divided among `turns`
 * tiles, of which this one is number `turn`. */
typedef struct Place {
    size_t row, rows, turn, turns;
    const float *a;
    const Panel *panel;
    const Region *prefetch;
} Place;

/* The turn's whole rows of what is to be prefetched; where there are none, a line that is read
 * anyway. */
static void share_prefetch(TileArgs *t, const Place *at)
{
    const Region *all = at->prefetch;
    size_t from = at->turn, rows = 1;
    if (all->rows == 0 || all->bytes == 0 || t->k == 0) {
        t->prefetch.at = (const char *)at->a;
        t->prefetch.bytes = 1;
        return;
    }
    if (all->rows != at->turns) { /* divisions take as long as a short tile */
        from = all->rows * at->turn / at->turns;
        rows = all->rows * (at->turn + 1) / at->turns - from;
    }
    t->prefetch.at = all->at + from * all->stride;
    t->prefetch.bytes = all->bytes;
    t->prefetch.stride = all->stride;
    t->prefetch.whole = all->whole;
    t->prefetch_step = (rows * all->bytes + t->k - 1) / t->k;
}

/* Gives bias and residual to the tile, where they are all that remains to be done with its finished
 * sums. Whether it could. */
static bool give_epilogue(const GemmBlock *g, const Place *at, TileArgs *t)
{
    const Epilogue *epi = g->epi;
    if (epi->act != ACT_NONE || epi->z || t->cols < at->panel->width)
        return false;
    size_t offset = at->row * g->c_row + at->panel->from;
    t->bias = epi->bias ? epi->bias + at->panel->from : NULL;
    t->residual = epi->residual ? (const float *)epi->residual + offset : NULL;
    return true;
}

static void finish(const GemmBlock *g, const Place *at)
{
    Epilogue epi = epilogue_at(g->epi, DT_F32, (ptrdiff_t)(at->row * g->c_row), 0);
    KERNEL(epilogue)
    (&epi, g->c + at->row * g->c_row, g->c_row, at->rows, at->panel->from, at->panel->end);
}

/* What of a tile is worked: some vectors of its panel, some of the k steps. */
typedef struct Worked {
    size_t vector, vectors_end, step, steps_end;
} Worked;

static Worked worked(const GemmBlock *g, const Place *at, size_t from, size_t vectors)
{
    /* Column and step at which the tile's first and last row meet the diagonal. */
    const ptrdiff_t below = (ptrdiff_t)at->row - g->diagonal;
    const ptrdiff_t above = (ptrdiff_t)(at->row + at->rows) + g->diagonal;
    Worked w = {0, vectors, 0, g->k};
    if (g->triangle == TRIANGLE_C_LOWER)
        w.vectors_end = bounded((above - (ptrdiff_t)from + VL - 1) / VL, vectors);
    if (g->triangle == TRIANGLE_C_UPPER)
        w.vector = bounded(below - (ptrdiff_t)from, vectors * VL) / VL;
    if (g->triangle == TRIANGLE_A_LOWER)
        w.steps_end = bounded(above, g->k);
    if (g->triangle == TRIANGLE_A_UPPER)
        w.step = bounded(below, g->k);
    return w;
}

/* Sets how many steps each vector takes; whether all take k. */
static bool all_steps(const GemmBlock *g, size_t from, size_t vectors, TileArgs *t)
{
    for (size_t v = 0; v < vectors; v++)
        t->steps[v] = bounded((ptrdiff_t)(from + (v + 1) * VL) + g->diagonal, g->k);
    return t->steps[0] == g->k;
}

static TileArgs whole_tile(const GemmBlock *g, const Place *at)
{
    const Panel *panel = at->panel;
    return (TileArgs){
        .k = g->k,
        .a = at->a,
        .a_row = g->a_row,
        .a_col = g->a_pack ? MR : g->a_col,
        .b = panel->b,
        .b_row = panel->width,
        .c = g->c + at->row * g->c_row + panel->from,
        .c_row = g->c_row,
        .cols = panel->end - panel->from,
        .add = g->add,
    };
}

static int kind_of(const GemmBlock *g)
{
    return g->a_pack || g->a_col != 1 ? BY_COLUMNS : BY_ROWS;
}

/* Of a causal product: what is above its diagonal is left out. */
static void multiply_triangle(const GemmBlock *g, const Place *at)
{
    const size_t from = at->panel->from, all = at->panel->width / VL;
    const Worked w = worked(g, at, from, all);
    if (w.vector >= w.vectors_end)
        return;
    const size_t vectors = w.vectors_end - w.vector, skipped = w.vector * VL;
    TileArgs t = whole_tile(g, at);
    int kind = vectors < all ? NARROW : kind_of(g);
    t.k = w.steps_end - w.step;
    t.a += w.step * g->a_col;
    t.b += w.step * t.b_row + skipped;
    t.c += skipped;
    t.cols -= skipped;
    if (t.cols > vectors * VL)
        t.cols = vectors * VL;
    if (g->triangle == TRIANGLE_B_UPPER && !all_steps(g, from, vectors, &t))
        kind = IN_TRIANGLE;
    share_prefetch(&t, at);
    tiles[at->rows - 1][vectors - 1][kind](&t);
}

static void multiply(const GemmBlock *g, const Place *at)
{
    if (g->triangle != TRIANGLE_NONE) {
        multiply_triangle(g, at);
        return;
    }
    TileArgs t = whole_tile(g, at);
    bool finished = !g->epi || give_epilogue(g, at, &t);
    share_prefetch(&t, at);
    tiles[at->rows - 1][at->panel->width / VL - 1][kind_of(g)](&t);
    if (!finished)
        finish(g, at);
}

/* Strips of A that meet the same panels together. */
typedef struct Group {
    size_t strips, starts[(GEMM_STREAM_ROWS + MR - 1) / MR + 1];
} Group;

static Place strip_at(const GemmBlock *g, const Group *group, size_t s, const Region *prefetch)
{
    size_t row = group->starts[s];
    return (Place){
        .row = row,
        .rows = group->starts[s + 1] - row,
        .a = g->a_pack ? g->a_pack + s * g->k * MR : g->a + row * g->a_row,
        .prefetch = prefetch,
    };
}

static void pack_panel(const GemmBlock *g, size_t panel)
{
    float *out = g->b_pack + panel_offset(g, panel);
    KERNEL(pack_b)(g->k, g->n, panel, panel + 1, g->b, g->b_row, g->b_col, out);
}

/* A panel meets all strips while the next one comes from memory, to be multiplied or to be
 * packed. */
static void panel_by_panel(const GemmBlock *g, const Group *group)
{
    for (size_t panel = g->first; panel < g->last; panel++) {
        Region prefetch = {0};
        if (g->b_pack)
            pack_panel(g, panel);
        if (g->b_pack && panel + 1 < g->last && group->strips > 1)
            prefetch = panel_source(g, panel + 1);
        else if (g->streams)
            prefetch = next_in_stream(g, panel, group->strips);
        const Panel of_b = panel_of(g, panel);
        for (size_t s = 0; s < group->strips; s++) {
            Place at = strip_at(g, group, s, &prefetch);
            at.panel = &of_b;
            at.turn = s;
            at.turns = group->strips;
            multiply(g, &at);
        }
    }
}

/* A strip stays in the first-level cache while the panels pass from the second. The next rows of A
 * come from memory: a strip, or a group where A is packed. */
static void strip_by_strip(const GemmBlock *g, const Group *group)
{
    size_t panels = g->last - g->first;
    Panel panel = panel_of(g, g->first);
    for (size_t s = 0; s < group->strips; s++) {
        const Region prefetch = g->a_pack ? rows_of_a(g, group->starts[group->strips], GEMM_A_ROWS)
                                          : rows_of_a(g, group->starts[s + 1], MR);
        Place at = strip_at(g, group, s, &prefetch);
        size_t first_turn = g->a_pack ? s * panels : 0;
        at.turns = g->a_pack ? group->strips * panels : panels;
        at.panel = &panel;
        for (size_t i = 0; i < panels; i++) {
            if (panels > 1)
                panel = panel_of(g, g->first + i);
            at.turn = first_turn + i;
            multiply(g, &at);
        }
    }
}

/* A panel that is packed already, for few steps: what is computed for each tile would take as long
 * as the tile, and nothing is worth prefetching. */
static void short_block(const GemmBlock *g)
{
    const Panel panel = panel_of(g, g->first);
    const Region nothing = {0};
    const Place at = {.a = g->a, .panel = &panel, .prefetch = &nothing};
    TileArgs t = whole_tile(g, &at);
    share_prefetch(&t, &at);
    for (size_t row = 0; row < g->rows; row += MR) {
        size_t rows = g->rows - row < MR ? g->rows - row : MR;
        tiles[rows - 1][panel.width / VL - 1][kind_of(g)](&t);
        t.a += MR * g->a_row;
        t.c += MR * g->c_row;
    }
}

void KERNEL(gemm_block)(const GemmBlock *g)
{
    const size_t few_steps = 16;
    CHECK(g->triangle == TRIANGLE_NONE || (!g->a_pack && !g->epi), "a causal product is plain");
    if (g->k <= few_steps && g->last - g->first == 1 && !g->a_pack && !g->b_pack && !g->epi &&
        g->triangle == TRIANGLE_NONE) {
        short_block(g);
        return;
    }
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
