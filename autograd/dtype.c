/* dtype: see dtype.h. */
#include "autograd/dtype.h"

const char *dtype_name(DType type)
{
    static const char *const names[] = {
        [DT_F32] = "f32", [DT_BF16] = "bf16", [DT_F16] = "f16",   [DT_I8] = "i8",
        [DT_I32] = "i32", [DT_Q8_0] = "q8_0", [DT_Q4_0] = "q4_0",
    };
    return names[type];
}
