/* dtype: the number formats in memory.
 *
 * bf16 is the upper half of an fp32 (8 exponent bits, 7 of fraction). f16 is IEEE 754 binary16. i8
 * is a level; level x scale is the number. */
#pragma once

#include <stddef.h>

typedef enum DType { DT_F32, DT_BF16, DT_F16, DT_I8, DT_I32 } DType;

/* Bytes of one element. */
static inline size_t dtype_size(DType type)
{
    return type == DT_I8 ? 1 : type == DT_BF16 || type == DT_F16 ? 2 : 4;
}

const char *dtype_name(DType type); /* "f32", "bf16", "f16", "i8", "i32" */
