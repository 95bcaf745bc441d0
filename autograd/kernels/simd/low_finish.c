/* low_finish: a tile as a whole; see low_finish.h. */
#include "autograd/kernels/simd/low_finish.h"

ALWAYS_INLINE void finish(DType type, ActFn *through, const LowFinish *from)
{
    const LowFinish copy = *from, *f = &copy; /* stores into C cannot change the copy */
#define CALL(constant)                                                                             \
    epilogue_loop(constant, through, type, &f->epi, finish_begin, f, f->c, f->c_row, f->rows, 0,   \
                  f->columns)
    FOR_ACT(f->epi.act, CALL)
#undef CALL
}

/* Where z is kept for backward, act_forward has to make the same y from it again. */
void KERNEL(low_finish)(const LowFinish *f)
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
