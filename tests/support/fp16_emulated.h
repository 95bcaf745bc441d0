/* fp16_emulated: the kernel of fp16_tile.c with instructions emulated in C, for processors without
 * AVX512_FP16. */
#pragma once

#include "autograd/kernels/isa.h"

extern const LowKernel fp16_emulated;
