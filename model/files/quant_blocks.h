/* quant_blocks: the quantised blocks of GGUF, 32 numbers each, to fp32: bit for bit as the gguf
 * Python package has them. A product and a sum are rounded one by one, never fused. */
#pragma once

#include "model/files/safetensors.h"

enum { QUANT_BLOCK = 32 };

/* IEEE half precision to fp32, exactly. */
float f32_of_f16(uint16_t h);

/* Converts n elements, a multiple of QUANT_BLOCK, of type Q8_0 (f16 scale, 32 levels of 8 bits),
 * Q4_0 (f16 scale, 16 bytes of two levels less 8: the low halves are elements 0-15) or Q4_1 (f16
 * scale and minimum, 16 bytes as in Q4_0). */
void quant_blocks_to_f32(StDtype dtype, const void *blocks, size_t n, float *dst);
