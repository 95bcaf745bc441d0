/* gemm_pack: packs B into panels [k][width] (panel_start in isa.h). Nothing is multiplied here. */
#include "autograd/kernels/simd/simd.h"

/* b_row == 1, y = x W^T: VL columns are VL rows of memory, transposed square by square. */
static void pack_transposed(size_t k, size_t columns, const float *b, size_t b_col, float *out,
                            size_t width)
{
    for (size_t p = 0; p < k; p += VL) {
        size_t rows = k - p < VL ? k - p : VL;
        vf square[VL];
        for (size_t j = 0; j < VL; j++) {
            const float *from = b + j * b_col + p;
            square[j] = j >= columns ? (vf){0} : rows == VL ? vload(from) : vload_part(from, rows);
        }
        vtranspose(square);
        for (size_t r = 0; r < rows; r++)
            vstore(out + (p + r) * width, square[r]);
    }
}

/* b_col == 1: whole rows are copied, p outermost so that memory is read in order. */
static void pack_straight(size_t k, size_t n, size_t first, size_t last, const float *b,
                          size_t b_row, float *out)
{
    size_t begin = panel_start(&simd_tile, n, first);
    for (size_t p = 0; p < k; p++) {
        size_t from = begin;
        for (size_t panel = first; panel < last; panel++) {
            size_t to = panel_start(&simd_tile, n, panel + 1), width = to - from;
            float *row = out + (from - begin) * k + p * width;
            for (size_t j = 0; j < width; j += VL) {
                const float *at = b + p * b_row + from + j;
                size_t left = n - from - j;
                vstore(row + j, left >= VL ? vload(at) : vload_part(at, left));
            }
            from = to;
        }
    }
}

void KERNEL(pack_b)(size_t k, size_t n, size_t first, size_t last, const float *b, size_t b_row,
                    size_t b_col, float *out)
{
    if (b_col == 1) {
        pack_straight(k, n, first, last, b, b_row, out);
        return;
    }
    for (size_t panel = first; panel < last; panel++) {
        size_t from = panel_start(&simd_tile, n, panel);
        size_t width = panel_start(&simd_tile, n, panel + 1) - from;
        for (size_t j = 0; j < width; j += VL)
            pack_transposed(k, n - from - j, b + (from + j) * b_col, b_col, out + j, width);
        out += k * width;
    }
}
