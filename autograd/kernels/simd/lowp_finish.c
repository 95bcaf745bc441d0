/* lowp_finish: the sums of a tile become elements of C: scaled (i8), added to what is there, through the
 * epilogue, rounded to C's format. The only place where a small gemm_run rounds its result. */
#include "epilogue.h"

/* The sums of a tile as fp32, added to what C has where they accumulate. */
ALWAYS_INLINE vf begin(const void *from, DType type, size_t i, size_t j, size_t n)
{
    const LowpFinish *f = from;
    vf y = vload(f->sums + i * f->width + j);
    if (f->row_scale) {
        vi offset = (vi)vload((const float *)(f->column_sum + j)) << 7;
        vf scale = f->row_scale[i] * vload(f->column_scale + j);
        y = __builtin_convertvector((vi)y - offset, vf) * scale;
    }
    return f->accumulate ? vload_as(type, f->c, i * f->c_row + j, n) + y : y;
}

/* What comes from rounded operands needs no relative accuracy in the lower tail of a GELU. */
ALWAYS_INLINE vf act_near(Act kind, vf z)
{
    return kind == ACT_GELU_ERF ? z * vphi_near(z) : act(kind, z);
}

ALWAYS_INLINE void finish(DType type, ActFn *through, const LowpFinish *from)
{
    const LowpFinish own = *from, *f = &own; /* which stores into C cannot change */
#define CALL(constant)                                                                             \
    epilogue_loop(constant, through, type, &f->epi, begin, f, f->c, f->c_row, f->rows, 0,          \
                  f->columns)
    FOR_ACT(f->epi.act, CALL)
#undef CALL
}

/* Where z is kept for backward, act_forward has to make the same of it again. */
void KERNEL(lowp_finish)(const LowpFinish *f)
{
    if (f->epi.z)
        finish(DT_F32, act, f);
    else if (f->c_type == DT_F32)
        finish(DT_F32, act_near, f);
    else if (f->c_type == DT_BF16)
        finish(DT_BF16, act_near, f);
    else
        finish(DT_F16, act_near, f);
}
