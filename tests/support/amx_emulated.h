/* amx_emulated: the kernels of amx_tile.c with instructions emulated in C, for processors without
 * AMX. */
#pragma once

#include "autograd/kernels/isa.h"

extern const LowKernel amx_emulated_bf16, amx_emulated_i8;
