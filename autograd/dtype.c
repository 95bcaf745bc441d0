/* dtype: see dtype.h. */
#include "dtype.h"

static const struct {
    const char *name;
    size_t size;
} table[] = {
    [DT_F32] = {"f32", 4}, [DT_BF16] = {"bf16", 2}, [DT_F16] = {"f16", 2},
    [DT_I8] = {"i8", 1},   [DT_I32] = {"i32", 4},
};

size_t dtype_size(DType type)
{
    return table[type].size;
}

const char *dtype_name(DType type)
{
    return table[type].name;
}
