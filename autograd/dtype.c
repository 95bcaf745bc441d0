/* dtype: see dtype.h. */
#include "dtype.h"

const char *dtype_name(DType type)
{
    static const char *const names[] = {"f32", "bf16", "f16", "i8", "i32"};
    return names[type];
}
