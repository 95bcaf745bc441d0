/* lowp_finish: the sums of a tile become elements of C: scaled (i8), added to what is there, through the
 * epilogue, rounded to C's format. The only place where a small product rounds its result. */
#include "epilogue.h"

/* Some rows of a tile, and what they are added to unless it is NULL. */
typedef struct Sums {
    const LowpFinish *f;
    size_t first;
    const float *old;
    size_t old_row;
} Sums;

/* As fp32. */
ALWAYS_INLINE vf finished(const Sums *s, size_t i, size_t j)
{
    const LowpFinish *f = s->f;
    vf sums = vload(f->sums + (s->first + i) * f->width + j);
    if (!f->row_scale)
        return sums;
    vi offset = (vi)vload((const float *)(f->column_sum + j)) << 7;
    vf scale = f->row_scale[s->first + i] * vload(f->column_scale + j);
    return __builtin_convertvector((vi)sums - offset, vf) * scale;
}

ALWAYS_INLINE vf begin(const void *from, size_t i, size_t j, size_t n)
{
    const Sums *s = from;
    vf y = finished(s, i, j);
    return s->old ? load_some(s->old + i * s->old_row + j, n) + y : y;
}

static void finish_rows(const Sums *s, const Epilogue *epi, float *c, size_t c_row, size_t rows)
{
#define CALL(constant) epilogue_loop(constant, epi, begin, s, c, c_row, rows, 0, s->f->columns)
    FOR_ACT(epi->act, CALL)
#undef CALL
}

/* C is small: everything happens on the fp32 sums, which are rounded once. */
static void finish_small(const LowpFinish *f)
{
    for (size_t r = 0; r < f->rows; r++) {
        float row[NR], old[NR], residual[NR];
        char *to = (char *)f->c + r * f->c_row * sizeof(uint16_t);
        if (f->accumulate)
            KERNEL(widen)(f->c_type, to, old, f->columns);
        Epilogue epi = epilogue_at(&f->epi, f->c_type, (ptrdiff_t)(r * f->c_row), 0);
        if (epi.residual) {
            KERNEL(widen)(f->c_type, epi.residual, residual, f->columns);
            epi.residual = residual;
        }
        finish_rows(&(Sums){f, r, f->accumulate ? old : NULL, 0}, &epi, row, 0, 1);
        KERNEL(narrow)(f->c_type, row, to, f->columns);
    }
}

void KERNEL(lowp_finish)(const LowpFinish *f)
{
    if (f->c_type == DT_F32)
        finish_rows(&(Sums){f, 0, f->accumulate ? f->c : NULL, f->c_row}, &f->epi, f->c, f->c_row,
                    f->rows);
    else
        finish_small(f);
}
