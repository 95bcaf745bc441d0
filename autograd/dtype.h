/* dtype: the number formats in memory.
 *
 * bf16 is the upper half of an fp32 (8 exponent bits, 7 of fraction). f16 is IEEE 754 binary16. i8
 * is a level; level x scale is the number. q8_0 and q4_0 are groups of QUANT_GROUP numbers that
 * follow each other: an f16 scale, then 32 levels of 8 bits, or 16 bytes of two levels of 4 bits, 8
 * too large each; the low halves are the first 16 levels. These are the blocks of GGUF files
 * (github.com/ggml-org/ggml, docs/gguf.md). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

typedef enum DType { DT_F32, DT_BF16, DT_F16, DT_I8, DT_I32, DT_Q8_0, DT_Q4_0 } DType;

enum { NUM_DTYPES = DT_Q4_0 + 1, QUANT_GROUP = 32, Q8_0_BYTES = 34, Q4_0_BYTES = 18 };

static inline bool dtype_is_grouped(DType type)
{
    return type == DT_Q8_0 || type == DT_Q4_0;
}

/* Bytes of one element of a format without groups. */
static inline size_t dtype_size(DType type)
{
    return type == DT_I8 ? 1 : type == DT_BF16 || type == DT_F16 ? 2 : 4;
}

/* Bytes of n elements that follow each other, in whole groups. */
static inline size_t dtype_bytes(DType type, size_t n)
{
    if (!dtype_is_grouped(type))
        return n * dtype_size(type);
    return (n + QUANT_GROUP - 1) / QUANT_GROUP * (type == DT_Q8_0 ? Q8_0_BYTES : Q4_0_BYTES);
}

const char *dtype_name(DType type); /* "f32", "bf16", "f16", "i8", "i32", "q8_0", "q4_0" */
