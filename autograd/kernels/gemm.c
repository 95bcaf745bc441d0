/* gemm: C = A B with an epilogue; blocking for the caches and division among threads.
 *
 * One idea: every thread packs the columns of B it owns (or finds them packed), a block of
 * GEMM_KC x GEMM_NC at a time, and runs all its rows of A over the block while it is in the
 * second-level cache. No thread waits for another inside the parallel region. Whatever the
 * division, an element of C is summed over k in the same blocks in the same order: bit-identical
 * for any number of threads. The innermost loops are in simd/gemm_tile.c, the CBLAS path in gemm_blas.c. */
#include "gemm_blas.h"
#include "isa.h"

struct PackedB {
    const Isa *isa; /* whose panels these are */
    size_t k, n;
    float panels[] __attribute__((aligned(64)));
};

enum { B_PACK = GEMM_KC * GEMM_NC };

typedef struct Range {
    size_t from, to;
} Range;

static Range share(size_t total, size_t part, size_t parts)
{
    return (Range){total * part / parts, total * (part + 1) / parts};
}

size_t gemm_scratch_bytes(int threads)
{
    return (size_t)threads * (B_PACK + GEMM_A_PACK) * sizeof(float);
}

size_t gemm_packed_bytes(size_t k, size_t n)
{
    return sizeof(PackedB) + k * ((n + 15) / 16 * 16) * sizeof(float);
}

/* ---- how many threads, and which part each takes ---- */

/* A rough time in microseconds on one thread: only good enough to decide whether a parallel
 * region pays. 60 GFLOP/s, or 8 GB/s where the operands are hardly reused. */
static double estimate_us(const Gemm *g)
{
    double flops = 2.0 * (double)g->m * (double)g->n * (double)g->k;
    double bytes = 4.0 * ((double)g->k * (double)g->n + (double)g->m * (double)(g->k + g->n));
    double compute = flops / 60e3, memory = bytes / 8e3;
    return compute > memory ? compute : memory;
}

static int useful_threads(double us, int threads)
{
    const double least_us_per_thread = 25;
    int useful = us < 2 * least_us_per_thread ? 1 : (int)(us / least_us_per_thread);
    return useful < threads ? useful : threads;
}

/* rows x columns of parts: the division with the least work for its largest part, where packing a
 * panel counts as much as multiplying two strips by it. */
typedef struct Grid {
    size_t rows, columns;
} Grid;

static Grid divide(const Gemm *g, const Tile *tile, size_t threads)
{
    size_t strips = (g->m + tile->rows - 1) / tile->rows, panels = panel_count(tile, g->n);
    Grid best = {1, 1};
    size_t best_cost = SIZE_MAX;
    for (size_t columns = 1; columns <= threads; columns++) {
        size_t rows = threads / columns;
        size_t cost =
            ((panels + columns - 1) / columns) * ((strips + rows - 1) / rows + (g->packed ? 0 : 2));
        if (cost <= best_cost) {
            best = (Grid){rows, columns};
            best_cost = cost;
        }
    }
    return best;
}

/* ---- one thread's part ---- */

/* With few rows a packed weight is read once, from memory: then panel by panel, each from top to
 * bottom, which is the order it is stored in. */
static bool streams(const Gemm *g, Range rows)
{
    return g->packed && rows.to - rows.from <= GEMM_A_ROWS;
}

static void multiply_block(const Isa *isa, const Gemm *g, Range rows, Range panels, Range depth,
                           const float *b, size_t b_depth, float *a_pack)
{
    Epilogue epi = g->epi;
    if (epi.z)
        epi.z += rows.from * g->c_row;
    if (epi.residual)
        epi.residual += rows.from * g->c_row;
    isa->gemm_block(&(GemmBlock){
        .rows = rows.to - rows.from,
        .n = g->n,
        .first = panels.from,
        .last = panels.to,
        .k = depth.to - depth.from,
        .a = g->a + rows.from * g->a_row + depth.from * g->a_col,
        .a_row = g->a_row,
        .a_col = g->a_col,
        .a_pack = g->a_col == 1 ? NULL : a_pack,
        .b = b,
        .depth = b_depth,
        .skip = g->packed ? depth.from : 0,
        .streams = streams(g, rows),
        .c = g->c + rows.from * g->c_row,
        .c_row = g->c_row,
        .add = g->accumulate || depth.from > 0,
        .epi = depth.to == g->k ? &epi : NULL,
    });
}

static void multiply_part(const Isa *isa, const Gemm *g, Range rows, Range panels, float *scratch)
{
    size_t most = streams(g, rows) ? 1 : GEMM_NC / (isa->tile.lanes * isa->tile.vectors);
    size_t blocks = (panels.to - panels.from + most - 1) / most;
    size_t depths = g->k == 0 ? 1 : (g->k + GEMM_KC - 1) / GEMM_KC;
    for (size_t i = 0; i < blocks; i++) {
        Range some = share(panels.to - panels.from, i, blocks);
        some.from += panels.from;
        some.to += panels.from;
        size_t column = panel_start(&isa->tile, g->n, some.from);
        for (size_t d = 0; d < depths; d++) {
            Range depth = share(g->k, d, depths);
            const float *b = scratch;
            size_t b_depth = depth.to - depth.from;
            if (g->packed) {
                b = g->packed->panels + column * g->k;
                b_depth = g->k;
            } else {
                isa->pack_b(b_depth, g->n, some.from, some.to, g->b + depth.from * g->b_row,
                            g->b_row, g->b_col, scratch);
            }
            multiply_block(isa, g, rows, some, depth, b, b_depth, scratch + B_PACK);
        }
    }
}

static void run_packed(const Gemm *g, int threads, void *scratch)
{
    const Isa *isa = isa_in_use();
    CHECK(!g->packed || (g->packed->isa == isa && g->packed->k == g->k && g->packed->n == g->n),
          "packed for another product: %zux%zu", g->k, g->n);

    threads = useful_threads(estimate_us(g), threads);
    Grid grid = divide(g, &isa->tile, (size_t)threads);
    size_t panels = panel_count(&isa->tile, g->n), parts = grid.rows * grid.columns;
#pragma omp parallel for schedule(static, 1) num_threads((int)parts) if (parts > 1)
    for (size_t part = 0; part < parts; part++)
        multiply_part(isa, g, share(g->m, part / grid.columns, grid.rows),
                      share(panels, part % grid.columns, grid.columns),
                      (float *)scratch + part * (B_PACK + GEMM_A_PACK));
}

void gemm_run(const Gemm *given, int threads, void *scratch)
{
    Gemm g = *given;
    CHECK(g.a_row == 1 || g.a_col == 1, "A has no unit stride");
    CHECK(g.packed || g.b_row == 1 || g.b_col == 1, "B has no unit stride");
    if (g.epi.residual == g.c) {
        CHECK(!g.accumulate && !g.epi.z && g.epi.act == ACT_NONE, "C is needed before it is done");
        g.epi.residual = NULL;
        g.accumulate = true;
    }
    if (g.m == 0 || g.n == 0)
        return;
    if (gemm_uses_blas())
        gemm_blas_run(&g, isa_in_use(), threads);
    else
        run_packed(&g, threads, scratch);
}

const PackedB *gemm_pack(size_t k, size_t n, const float *b, size_t b_row, size_t b_col,
                         int threads, void *memory)
{
    CHECK((uintptr_t)memory % 64 == 0, "memory of a packed matrix is not aligned");
    PackedB *packed = memory;
    packed->isa = isa_in_use();
    packed->k = k;
    packed->n = n;
    const Tile *tile = &packed->isa->tile;
    size_t panels = panel_count(tile, n);
    size_t parts = (size_t)useful_threads((double)(k * n) * 8 / 8e3, threads);
#pragma omp parallel for schedule(static, 1) num_threads((int)parts) if (parts > 1)
    for (size_t part = 0; part < parts; part++) {
        Range own = share(panels, part, parts);
        packed->isa->pack_b(k, n, own.from, own.to, b, b_row, b_col,
                            packed->panels + panel_start(tile, n, own.from) * k);
    }
    return packed;
}
