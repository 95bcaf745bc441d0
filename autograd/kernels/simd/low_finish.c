/* low_finish: a tile as a whole, or a row of it; see low_finish.h. */
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
    if (f->epi.z && f->c_type == DT_F32)
        finish(DT_F32, act, f);
    else if (f->epi.z)
        finish(DT_BF16, act, f);
    else if (f->c_type == DT_F32)
        finish(DT_F32, act_near, f);
    else if (f->c_type == DT_BF16)
        finish(DT_BF16, act_near, f);
    else
        finish(DT_F16, act_near, f);
}

#define ROW(kind, type)                                                                            \
    static void row_##kind##_##type(const LowFinish *f, size_t i)                                  \
    {                                                                                              \
        finish_row(kind, type, f, i);                                                              \
    }
#define ROW_ENTRY(kind, type) [type][kind] = row_##kind##_##type,
FOR_FINISHES(ROW, DT_F32)
FOR_FINISHES(ROW, DT_BF16)

/* With z, or accumulating, or both. */
#define ANY_ROW(kind, type)                                                                        \
    static void any_row_##kind##_##type(const LowFinish *f, size_t i)                              \
    {                                                                                              \
        const LowFinish row = *f;                                                                  \
        if (row.epi.z)                                                                             \
            finish_whole_row(kind, act, type, &row, i);                                            \
        else                                                                                       \
            finish_whole_row(kind, act_near, type, &row, i);                                       \
    }
#define ANY_ROW_ENTRY(kind, type) [type][kind] = any_row_##kind##_##type,
FOR_FINISHES(ANY_ROW, DT_F32)
FOR_FINISHES(ANY_ROW, DT_BF16)

LowFinishRow *KERNEL(low_finish_row)(const LowFinish *f)
{
    static LowFinishRow *const rows[][ACT_TANH + 1] = {FOR_FINISHES(ROW_ENTRY, DT_F32)
                                                           FOR_FINISHES(ROW_ENTRY, DT_BF16)};
    static LowFinishRow *const any[][ACT_TANH + 1] = {FOR_FINISHES(ANY_ROW_ENTRY, DT_F32)
                                                          FOR_FINISHES(ANY_ROW_ENTRY, DT_BF16)};
    if (f->c_type != DT_F32 && f->c_type != DT_BF16)
        return NULL;
    return (f->accumulate || f->epi.z ? any : rows)[f->c_type][f->epi.act];
}
