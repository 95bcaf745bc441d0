/* attention_bf16: rounds and packs what attention multiplies in bf16, forward and backward, and
 * multiplies it.
 *
 * One idea: the products are those of LowTile (isa.h), whose unit is two numbers that follow each
 * other in the sum. Rows that are summed over channels are rounded as they lie; those that are
 * summed over rows are zipped, two rows into one. */
#include "autograd/kernels/simd/attention.h"

static void round_row(const Rows *x, const void *row, uint32_t *out)
{
    out[units_of(x->channels) - 1] = 0;
    if (x->type == DT_F32)
        KERNEL(narrow)(DT_BF16, row, out, x->channels);
    else
        memcpy(out, row, x->channels * sizeof(uint16_t));
}

void KERNEL(attention_round)(Rows x, size_t rows, uint32_t *out, size_t out_row)
{
    for (size_t t = 0; t < rows; t++)
        round_row(&x, row_of(&x, t), out + t * out_row);
}

/* Channels [from, from + n) of rows t and t + 1 of `rows` into a unit for each. */
static void zip_two(const Rows *x, size_t rows, size_t t, size_t from, size_t n, uint32_t *out)
{
    const size_t skip = from * dtype_size(x->type);
    const char *even = (const char *)row_of(x, t) + skip;
    const char *odd = t + 1 < rows ? (const char *)row_of(x, t + 1) + skip : NULL;
    KERNEL(zip_bf16)(x->type, even, odd, n, out);
}

void KERNEL(attention_turn)(Rows x, size_t rows, uint32_t *stage, uint32_t *out, size_t out_row)
{
    const size_t D = x.channels, units = units_of(rows);
    for (size_t u = 0; u < units; u += VL) {
        size_t count = units - u < VL ? units - u : VL;
        for (size_t i = 0; i < count; i++)
            zip_two(&x, rows, 2 * (u + i), 0, D, stage + i * D);
        KERNEL(interleave)(count, D, stage, D, out + u, out_row);
    }
}

void KERNEL(attention_lanes)(Rows x, size_t rows, size_t width, uint32_t *stage, uint32_t *out)
{
    const size_t units = units_of(x.channels);
    if (rows < width)
        memset(out, 0, units * width * sizeof(*out));
    for (size_t j = 0; j < rows; j += VL) {
        size_t lanes = rows - j < VL ? rows - j : VL;
        for (size_t i = 0; i < lanes; i++)
            round_row(&x, row_of(&x, j + i), stage + i * units);
        KERNEL(interleave)(lanes, units, stage, units, out + j, width);
    }
}

void KERNEL(attention_zip)(const Tile *tile, Rows x, size_t rows, size_t units, uint32_t *out)
{
    const size_t D = x.channels, panels = panel_count(tile, D);
    for (size_t p = 0; p < panels; p++) {
        size_t from = panel_start(tile, D, p), width = panel_start(tile, D, p + 1) - from;
        size_t n = D - from < width ? D - from : width;
        for (size_t u = 0; u < units; u++, out += width) {
            if (n < width || 2 * u >= rows)
                memset(out, 0, width * sizeof(*out));
            if (2 * u < rows)
                zip_two(&x, rows, 2 * u, from, n, out);
        }
    }
}

void KERNEL(attention_multiply)(const LowKernel *kernel, const uint32_t *a, size_t a_row,
                                size_t rows, size_t units, const uint32_t *b, size_t width,
                                float *c, bool add)
{
    const size_t most = kernel->rows ? kernel->rows : MR;
    for (size_t i = 0; i < rows; i += most)
        kernel->tile(&(LowTile){
            .rows = rows - i < most ? rows - i : most,
            .vectors = width / VL,
            .steps = units,
            .a = a + i * a_row,
            .a_row = a_row,
            .a_unit = 1,
            .b = b,
            .sums = c + i * width,
            .add = add,
        });
}
