/* fp16_tile: one tile of a product of f16 by AVX512_FP16. A has to lie in rows, divided by powers
 * of two: a_unit is 1. B is stored in pairs of k, as that of bf16. */
#pragma once

#include "autograd/kernels/isa.h"

enum {
    FP16_ROWS = 8,   /* of a tile at most */
    FP16_LANES = 16, /* columns of a vector of pairs */
    FP16_CHAIN = 32, /* multiply-adds whose sum is f16 */
};

void tile_f16_fp16(const LowTile *t);

/* LowKernel.peak_loop: multiply-adds alone, without the widening of their sums. */
double peak_loop_fp16(size_t rounds);
