/* amx_emulated: the kernels of amx_tile.c and amx_groups.c with instructions emulated in C, for
 * processors without AMX. */
#pragma once

#include "autograd/kernels/isa.h"

extern const LowKernel amx_emulated_bf16, amx_emulated_i8;
extern const LowKernel amx_emulated_q8_0, amx_emulated_q4_0;
