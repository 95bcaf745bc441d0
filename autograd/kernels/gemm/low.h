/* low: matrix products of bf16, f16 and i8: what fp32.c hands over (low.c), the packing of both operands
 * (low_pack.c), and which kernel multiplies them (low_kernel.c). The packed forms are described in isa.h. */
#ifndef TARE_AUTOGRAD_KERNELS_GEMM_LOW_H
#define TARE_AUTOGRAD_KERNELS_GEMM_LOW_H

#include "autograd/kernels/isa.h"

/* Inputs of one i8 output at most: 127 * 127 * k has to fit an int32. */
enum { LOW_MOST_K_I8 = 133144 };

/* Whether this product is one of a small format. */
bool low_takes(const Gemm *g);
void low_run(const Gemm *g, int threads, void *scratch);
size_t low_scratch_bytes(int threads);

/* How a format is multiplied: by the processor's own instruction, else as the set in use can (low_kernel.c). */
const LowKernel *low_kernel(const Isa *isa, DType product);

/* The same where A is stored by columns, which tile registers cannot read. */
const LowKernel *low_kernel_by_columns(const Isa *isa, DType product);

/* Whether a kernel of tile registers multiplies and adds a small matrix as plain C does. */
bool low_kernel_is_right(DType product, const LowKernel *kernel);

/* Puts a kernel of bf16 or i8 in the place of AMX, whatever this processor has; NULL takes it out again. */
void low_use_kernel_for_tests(DType product, const LowKernel *kernel);

/* What a row of a tile will be finished with comes from memory meanwhile. */
static inline void low_fetch_row(const LowFinish *f, size_t i)
{
    size_t size = dtype_size(f->c_type), from = i * f->c_row * size;
    for (size_t at = from; at < from + f->columns * size; at += 64) {
        __builtin_prefetch((char *)f->c + at, 1);
        if (f->epi.residual)
            __builtin_prefetch((const char *)f->epi.residual + at);
    }
}

/* ---- packing ---- */

/* Elements of one step, which is 4 bytes deep. */
static inline size_t low_step(DType type)
{
    return 4 / dtype_size(type);
}

static inline size_t low_steps(DType type, size_t k)
{
    return (k + low_step(type) - 1) / low_step(type);
}

/* Panel p of n columns: all are one tile wide, but the last as few vectors as it needs. A cut at a
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

/* A in units. Stored by rows it stays in rows, with some room between them, since at a distance of 4096
 * bytes all of them would meet in one cache set. Stored by columns it becomes strips of a tile's height. */
typedef struct LowLayout {
    size_t strip, row, unit; /* distance, in units, from one strip, row or unit to the next */
} LowLayout;

/* Of a block that is so many units deep, in strips of so many rows. */
LowLayout low_layout(const Gemm *g, size_t strip_rows, size_t units);

/* Units that this layout takes at most, per row. */
static inline size_t low_row_room(size_t units)
{
    return units + 16;
}

/* Rows [row, row + m) of A over [from, from + k), rounded to the format; row_scale [m] for i8, else NULL. */
void low_pack_a(const Gemm *g, DType product, bool widens, size_t row, size_t m, size_t from,
                size_t k, const float *row_scale, uint32_t *out);

/* One panel of B, which begins at b: [steps][width], of which `columns` exist. bf16 and f16. */
void low_pack_panel(DType product, size_t k, size_t columns, size_t width, const float *b,
                    size_t b_row, size_t b_col, uint32_t *out);

#endif
