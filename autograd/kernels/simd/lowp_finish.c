/* lowp_finish: the sums of a tile become elements of C: scaled (i8), added to what is there, through the
 * epilogue, rounded to C's format. The only place where a small product rounds its result. */
#include "simd.h"

/* row: sums of i8 products to fp32, in place. */
static void scale_row(const LowpFinish *f, float *row, float row_scale)
{
    for (size_t j = 0; j < f->width; j += VL) {
        vi sums = (vi)vload(row + j), offset = (vi)vload((const float *)(f->column_sum + j)) << 7;
        vf scale = row_scale * vload(f->column_scale + j);
        vstore(row + j, __builtin_convertvector(sums - offset, vf) * scale);
    }
}

static void add_row(const float *a, const float *b, float *y, size_t n)
{
    for (size_t j = 0; j < n; j += VL) {
        size_t left = n - j < VL ? n - j : VL;
        vstore_part(y + j, vload_part(a + j, left) + vload_part(b + j, left), left);
    }
}

/* C is fp32: the epilogue works on C itself. */
static void finish_f32(const LowpFinish *f)
{
    float *c = f->c;
    for (size_t r = 0; r < f->rows; r++) {
        float *row = f->sums + r * f->width, *to = c + r * f->c_row;
        if (f->row_scale)
            scale_row(f, row, f->row_scale[r]);
        if (f->accumulate)
            add_row(to, row, to, f->columns);
        else
            memcpy(to, row, f->columns * sizeof(*to));
    }
    KERNEL(epilogue)(&f->epi, c, f->c_row, f->rows, 0, f->columns);
}

/* C is small: everything happens on the fp32 sums, which are rounded once. */
static void finish_small(const LowpFinish *f)
{
    for (size_t r = 0; r < f->rows; r++) {
        float *row = f->sums + r * f->width, other[NR];
        char *to = (char *)f->c + r * f->c_row * sizeof(uint16_t);
        if (f->row_scale)
            scale_row(f, row, f->row_scale[r]);
        if (f->accumulate) {
            KERNEL(widen)(f->c_type, to, other, f->columns);
            add_row(row, other, row, f->columns);
        }
        Epilogue epi = epilogue_at(&f->epi, f->c_type, (ptrdiff_t)(r * f->c_row), 0);
        if (epi.residual) {
            KERNEL(widen)(f->c_type, epi.residual, other, f->columns);
            epi.residual = other;
        }
        KERNEL(epilogue)(&epi, row, 0, 1, 0, f->columns);
        KERNEL(narrow)(f->c_type, row, to, f->columns);
    }
}

void KERNEL(lowp_finish)(const LowpFinish *f)
{
    if (f->c_type == DT_F32)
        finish_f32(f);
    else
        finish_small(f);
}
