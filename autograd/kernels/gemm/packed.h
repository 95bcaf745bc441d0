/* packed: where things lie in the memory of a PackedB of bf16, f16, i8, q8_0 or q4_0. Private to
 * gemm/.
 *
 * Panels of steps come first (LowTile in isa.h); i8 has a scale and a sum of levels for each column
 * behind them. */
#pragma once

#include "autograd/kernels/gemm/low_kernel.h"

/* Elements of one step: a group, or as many as fit into 4 bytes. */
static inline size_t low_step(DType type)
{
    return dtype_is_grouped(type) ? QUANT_GROUP : 4 / dtype_size(type);
}

/* Bytes of one step of one column of B. */
static inline size_t low_step_bytes(DType type)
{
    return dtype_bytes(type, low_step(type));
}

/* Whether a step of f16 in B is two rows, as a kernel that widens wants them, or pairs. */
static inline bool low_b_in_rows(const Isa *isa, DType type)
{
    return type == DT_F16 && low_kernel(isa, type)->widens;
}

/* Units of one step of one row of A, for a kernel that widens or not. */
static inline size_t low_a_units(DType type, bool widens)
{
    return dtype_is_grouped(type) ? LOW_GROUP_UNITS : widens ? 2 : 1;
}

/* What makes the units of a group unsigned levels, as kernels want them, and the reverse. */
static inline uint32_t low_level_flip(DType type)
{
    return type == DT_Q8_0 ? 0x80808080 : 0;
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
