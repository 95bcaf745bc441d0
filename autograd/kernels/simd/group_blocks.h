/* group_blocks: widen and narrow (kernels.def) of q8_0 and q4_0. */
#pragma once

#include "autograd/kernels/simd/simd.h"

void KERNEL(widen_groups)(DType from, const void *x, float *y, size_t n);
void KERNEL(narrow_groups)(DType to, const float *x, void *y, size_t n);
