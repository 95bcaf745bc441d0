/* quant_blocks: see quant_blocks.h. CMakeLists.txt compiles this file without fused products. */
#include "model/files/quant_blocks.h"

#include <string.h>

/* IEEE 754 half precision: 1 sign, 5 exponent, 10 mantissa bits. Subnormals are made by a product
 * of normal numbers, so that they survive a processor set to flush subnormals to zero. */
float f32_of_f16(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, mantissa = h & 0x3ff;
    uint32_t bits =
        exponent == 31 ? 0x7f800000 | mantissa << 13 : (exponent + 127 - 15) << 23 | mantissa << 13;
    float value;
    if (exponent == 0) {
        value = (float)mantissa * 0x1p-24f;
        memcpy(&bits, &value, sizeof bits);
    }
    bits |= sign;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static float half_at(const unsigned char *p)
{
    uint16_t half;
    memcpy(&half, p, sizeof half);
    return f32_of_f16(half);
}

static void q8_0(const unsigned char *block, float *dst)
{
    float d = half_at(block);
    for (size_t i = 0; i < QUANT_BLOCK; i++)
        dst[i] = d * (float)(int8_t)block[2 + i];
}

static void q4_0(const unsigned char *block, float *dst)
{
    float d = half_at(block);
    for (size_t i = 0; i < QUANT_BLOCK / 2; i++) {
        dst[i] = d * (float)((block[2 + i] & 15) - 8);
        dst[i + QUANT_BLOCK / 2] = d * (float)((block[2 + i] >> 4) - 8);
    }
}

static void q4_1(const unsigned char *block, float *dst)
{
    float d = half_at(block), m = half_at(block + 2);
    for (size_t i = 0; i < QUANT_BLOCK / 2; i++) {
        dst[i] = d * (float)(block[4 + i] & 15) + m;
        dst[i + QUANT_BLOCK / 2] = d * (float)(block[4 + i] >> 4) + m;
    }
}

void quant_blocks_to_f32(StDtype dtype, const void *blocks, size_t n, float *dst)
{
    const unsigned char *block = blocks;
    size_t bytes = st_bytes(dtype, QUANT_BLOCK);
    CHECK(n % QUANT_BLOCK == 0, "%zu elements", n);
    for (size_t i = 0; i < n; i += QUANT_BLOCK, block += bytes)
        (dtype == ST_Q8_0 ? q8_0 : dtype == ST_Q4_0 ? q4_0 : q4_1)(block, dst + i);
}
