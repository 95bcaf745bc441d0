/* amx_emulated: compiles amx_tile.c with the instructions of amx_instructions.h. */
#include "tests/support/amx_emulated.h"
#include "tests/support/amx_instructions.h"

#include "autograd/kernels/simd/amx_tile.c"

const LowKernel amx_emulated_bf16 = {.instruction = "tdpbf16ps, emulated",
                                     .support = SUPPORT_EMULATED,
                                     .rows = AMX_ROWS,
                                     .tile = tile_bf16_amx,
                                     .release = amx_release,
                                     .finishes = true,
                                     .finishes_any = true,
                                     .prefetches = true,
                                     .block = AMX_BLOCK,
                                     .peak_loop = peak_loop_bf16_amx};
const LowKernel amx_emulated_i8 = {.instruction = "tdpbusd, emulated",
                                   .support = SUPPORT_EMULATED,
                                   .rows = AMX_ROWS,
                                   .tile = tile_i8_amx,
                                   .release = amx_release,
                                   .finishes = true,
                                   .finishes_any = true,
                                   .prefetches = true,
                                   .block = AMX_BLOCK,
                                   .peak_loop = peak_loop_i8_amx};
