/* packed: where things lie in the memory of a PackedB of bf16, f16 or i8. Private to gemm/.
 *
 * Panels of units come first (LowTile in isa.h); i8 has a scale and a sum of levels for each column
 * behind them. */
#pragma once

#include "autograd/kernels/isa.h"

/* Elements of one step, which is 4 bytes deep. */
static inline size_t low_step(DType type)
{
    return 4 / dtype_size(type);
}

static inline size_t low_steps(DType type, size_t k)
{
    return (k + low_step(type) - 1) / low_step(type);
}

/* Panel p of n columns. All are one tile wide; the last has only the vectors it needs. A cut at a
 * multiple of GEMM_COLUMNS is always between two panels. */
static inline size_t low_panel_width(const Tile *tile, size_t n, size_t p)
{
    size_t width = tile->lanes * tile->vectors, left = n - p * width;
    return left >= width ? width : (left + tile->lanes - 1) / tile->lanes * tile->lanes;
}

/* Where the panel that begins with this column lies. */
uint32_t *low_panel(const PackedB *p, size_t column);

/* Scale and, over k, sum of the levels of every column of an i8 matrix; NULL for other formats. */
const float *low_column_scale(const PackedB *p);
const int32_t *low_column_sum(const PackedB *p);
