/* lowp_finish: the sums of a tile become elements of C: scaled (i8), added to what is there, through the
 * epilogue, rounded to C's format. The only place where a small product rounds its result. */
#include "simd.h"

/* Some sums of row r, from column j on, as fp32. */
ALWAYS_INLINE vf finished(const LowpFinish *f, size_t r, size_t j)
{
    vf sums = vload(f->sums + r * f->width + j);
    if (!f->row_scale)
        return sums;
    vi offset = (vi)vload((const float *)(f->column_sum + j)) << 7;
    vf scale = f->row_scale[r] * vload(f->column_scale + j);
    return __builtin_convertvector((vi)sums - offset, vf) * scale;
}

/* Row r, or its sum with `old`, into `to`. */
static void finish_row(const LowpFinish *f, size_t r, const float *old, float *to)
{
    for (size_t j = 0; j < f->columns; j += VL) {
        size_t left = f->columns - j < VL ? f->columns - j : VL;
        vf y = finished(f, r, j);
        vstore_part(to + j, old ? vload_part(old + j, left) + y : y, left);
    }
}

/* C is fp32: the epilogue works on C itself. */
static void finish_f32(const LowpFinish *f)
{
    float *c = f->c;
    for (size_t r = 0; r < f->rows; r++)
        finish_row(f, r, f->accumulate ? c + r * f->c_row : NULL, c + r * f->c_row);
    KERNEL(epilogue)(&f->epi, c, f->c_row, f->rows, 0, f->columns);
}

/* C is small: everything happens on the fp32 sums, which are rounded once. */
static void finish_small(const LowpFinish *f)
{
    for (size_t r = 0; r < f->rows; r++) {
        float row[NR], other[NR];
        char *to = (char *)f->c + r * f->c_row * sizeof(uint16_t);
        if (f->accumulate)
            KERNEL(widen)(f->c_type, to, other, f->columns);
        finish_row(f, r, f->accumulate ? other : NULL, row);
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
