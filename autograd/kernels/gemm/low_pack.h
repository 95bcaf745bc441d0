/* low_pack: both operands of a product of a small format into the units of isa.h. Private to
 * gemm/. */
#pragma once

#include "autograd/kernels/isa.h"

/* A in units. Stored by rows it stays in rows, low_row_stride apart; stored by columns it becomes
 * strips of a tile's height, or rows for a kernel that has `rows` and reads nothing else. */
typedef struct LowLayout {
    size_t strip, row, unit; /* distance, in units, from one strip, row or unit to the next */
} LowLayout;

/* Of a block that is so many units deep, in strips of so many rows. */
LowLayout low_layout(const Gemm *g, const LowKernel *kernel, size_t strip_rows, size_t units);

/* What row `row` of A is divided by while it is packed for an i8 product, or for a kernel that
 * `scales`: there a power of two that leaves the largest element between 8 and 16; 1 of a row of
 * zeros, or with an element that is not finite. */
float low_row_scale(const Gemm *g, DType product, size_t row);

/* Rows [row, row + m) of A over [from, from + k), rounded to the format; row_scale [m] where they
 * are divided by something, else NULL. */
void low_pack_a(const Gemm *g, DType product, const LowKernel *kernel, size_t row, size_t m,
                size_t from, size_t k, const float *row_scale, uint32_t *out);

/* One panel of B, which begins at b: [steps][width], of which `columns` exist. bf16 and f16;
 * `type`, of b, as Gemm.b_type. */
void low_pack_panel(DType product, size_t k, size_t columns, size_t width, DType type,
                    const void *b, size_t b_row, size_t b_col, uint32_t *out);
