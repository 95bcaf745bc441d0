/* fp32: C = A B with an epilogue: blocks for the caches, parts for the threads.
 *
 * One idea: every thread packs the columns of B it owns, a block of GEMM_KC x GEMM_NC at a time,
 * and runs all its rows of A over the block while it is in the second-level cache. A B that is
 * packed already is taken panel by panel instead, for GEMM_STREAM_ROWS rows at a time. No thread
 * waits for another inside the parallel region. Whatever the division, an element of C is summed
 * over k in the same blocks in the same order: bit-identical for any number of threads. The
 * innermost loops are in simd/gemm_tile.c. */
#include "autograd/kernels/gemm/fp32.h"

#include "autograd/kernels/gemm/partition.h"
#include "autograd/kernels/placement.h"

enum { B_PACK = GEMM_KC * GEMM_NC };

size_t fp32_scratch_bytes(int threads)
{
    return (size_t)threads * (B_PACK + GEMM_A_PACK) * sizeof(float);
}

/* ---- one thread's part ---- */

/* A packed weight comes from memory. It is then read panel by panel, each from top to bottom: the
 * order in which it is stored. */
static bool streams(const Gemm *g)
{
    return g->packed && g->a_col == 1;
}

static bool has_work(const Epilogue *epi)
{
    return epi->bias || epi->z || epi->act != ACT_NONE || epi->residual;
}

static void multiply_block(const Isa *isa, const Gemm *g, Range rows, Range panels, Range depth,
                           float *scratch)
{
    Epilogue epi = epilogue_at(&g->epi, DT_F32, (ptrdiff_t)(rows.from * g->c_row), 0);
    GemmBlock block = {
        .rows = rows.to - rows.from,
        .n = g->n,
        .first = panels.from,
        .last = panels.to,
        .k = depth.to - depth.from,
        .a = (const float *)g->a + rows.from * g->a_row + depth.from * g->a_col,
        .a_row = g->a_row,
        .a_col = g->a_col,
        .a_pack = g->a_col == 1 ? NULL : scratch + B_PACK,
        .streams = streams(g),
        .c = (float *)g->c + rows.from * g->c_row,
        .c_row = g->c_row,
        .add = g->accumulate || depth.from > 0,
        .epi = depth.to == g->k && has_work(&epi) ? &epi : NULL,
    };
    if (g->packed) {
        block.b = g->packed->panels + panel_start(&isa->tile, g->n, panels.from) * g->k;
        block.depth = g->k;
        block.skip = depth.from;
    } else {
        block.b = (const float *)g->b + depth.from * g->b_row;
        block.b_row = g->b_row;
        block.b_col = g->b_col;
        block.b_pack = scratch;
        block.depth = block.k;
    }
    isa->gemm_block(&block);
}

static void multiply_rows(const Isa *isa, const Gemm *g, Range rows, Range panels, float *scratch)
{
    size_t most = streams(g) ? 1 : GEMM_NC / (isa->tile.lanes * isa->tile.vectors);
    size_t blocks = (panels.to - panels.from + most - 1) / most;
    size_t depths = g->k == 0 ? 1 : (g->k + GEMM_KC - 1) / GEMM_KC;
    for (size_t i = 0; i < blocks; i++) {
        Range block = share_of(panels, i, blocks);
        for (size_t d = 0; d < depths; d++)
            multiply_block(isa, g, rows, block, share(g->k, d, depths), scratch);
    }
}

static void multiply_part(const Isa *isa, const Gemm *g, Range rows, Range panels, float *scratch)
{
    size_t count = rows.to - rows.from;
    size_t groups = streams(g) ? (count + GEMM_STREAM_ROWS - 1) / GEMM_STREAM_ROWS : 1;
    for (size_t i = 0; i < groups; i++)
        multiply_rows(isa, g, share_of(rows, i, groups), panels, scratch);
}

/* The panels of the columns [packed_from, packed_from + n) of g->packed. False where a cut goes
 * through a panel: the last panel takes a vector from its neighbour where it would be too
 * narrow. */
static bool find_panels(const Gemm *g, const Tile *tile, Range *panels)
{
    size_t width = tile->lanes * tile->vectors, n = g->packed->n, end = g->packed_from + g->n;
    Range found = {g->packed_from / width, end == n ? panel_count(tile, n) : end / width};
    if (panel_start(tile, n, found.from) != g->packed_from ||
        (end < n && panel_start(tile, n, found.to) != end))
        return false;
    *panels = found;
    return true;
}

void fp32_run(const Gemm *given, int threads, void *scratch)
{
    const Isa *isa = isa_in_use();
    Gemm g = *given;
    CHECK(!g.packed ||
              (g.packed->isa == isa && g.packed->k == g.k && g.packed_from + g.n <= g.packed->n),
          "packed for another product: %zux%zu", g.k, g.n);
    threads = gemm_useful_threads(gemm_estimate_us(&g, 60, sizeof(float)), threads);
    Grid grid = gemm_divide(&g, &isa->tile, (size_t)threads);
    Range panels = {0, panel_count(&isa->tile, g.n)};
    if (g.packed && find_panels(&g, &isa->tile, &panels)) {
        /* From here on columns are counted as in the whole packed matrix. */
        g.n = g.packed->n;
        g.c = (float *)g.c - g.packed_from;
        g.epi = epilogue_at(&g.epi, DT_F32, -(ptrdiff_t)g.packed_from, -(ptrdiff_t)g.packed_from);
    } else if (g.packed) {
        CHECK(g.b, "a cut through a panel needs the plain matrix B");
        g.packed = NULL;
    }
    size_t parts = grid.rows * grid.columns;
#pragma omp parallel for schedule(static, 1) num_threads((int)parts) if (parts > 1)
    for (size_t part = 0; part < parts; part++) {
        placement_note();
        multiply_part(isa, &g, share(g.m, part / grid.columns, grid.rows),
                      share_of(panels, part % grid.columns, grid.columns),
                      (float *)scratch + part * (B_PACK + GEMM_A_PACK));
    }
}
