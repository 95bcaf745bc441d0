/* fp32_pack: see fp32_pack.h; and of kernels.h gemm_cuts_panel. */
#include "autograd/kernels/gemm/fp32_pack.h"

#include "autograd/kernels/gemm/partition.h"

/* The first panel at or behind a column. */
static size_t panel_at(const Tile *tile, size_t n, size_t column)
{
    size_t width = tile->lanes * tile->vectors;
    return column >= n ? panel_count(tile, n) : column / width;
}

bool gemm_cuts_panel(size_t n, size_t at)
{
    const Tile *tile = &isa_in_use()->tile;
    return at < n && panel_start(tile, n, panel_at(tile, n, at)) != at;
}

void fp32_pack(PackedB *packed, size_t from, size_t to, const float *b, size_t b_row, size_t b_col,
               int threads)
{
    const Tile *tile = &packed->isa->tile;
    size_t k = packed->k, n = packed->n;
    CHECK(packed->isa == isa_in_use(), "packed by another instruction set");
    CHECK(!gemm_cuts_panel(n, from) && from <= to && to <= n && !gemm_cuts_panel(n, to),
          "columns %zu to %zu of %zu are no slice", from, to, n);
    Range panels = {panel_at(tile, n, from), panel_at(tile, n, to)};
    size_t parts = (size_t)gemm_packing_threads(k, to - from, threads);
#pragma omp parallel for schedule(static, 1) num_threads((int)parts) if (parts > 1)
    for (size_t part = 0; part < parts; part++) {
        Range range = share_of(panels, part, parts);
        packed->isa->pack_b(k, n, range.from, range.to, b - from * b_col, b_row, b_col,
                            packed->panels + panel_start(tile, n, range.from) * k);
    }
}

void fp32_packed_column(const PackedB *p, size_t j, float *out)
{
    const Tile *tile = &p->isa->tile;
    size_t panel = panel_at(tile, p->n, j);
    if (panel + 1 < panel_count(tile, p->n) && panel_start(tile, p->n, panel + 1) <= j)
        panel++; /* the last one begins early */
    size_t start = panel_start(tile, p->n, panel);
    size_t width = panel_start(tile, p->n, panel + 1) - start;
    const float *from = p->panels + start * p->k + j - start;
    for (size_t i = 0; i < p->k; i++)
        out[i] = from[i * width];
}
