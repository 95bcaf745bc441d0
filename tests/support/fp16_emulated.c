/* fp16_emulated: compiles fp16_tile.c with the instructions of fp16_instructions.h. */
#include "tests/support/fp16_emulated.h"
#include "tests/support/fp16_instructions.h"

#include "autograd/kernels/simd/fp16_tile.c"

const LowKernel fp16_emulated = {.instruction = "vfmadd231ph, emulated",
                                 .support = SUPPORT_EMULATED,
                                 .scales = true,
                                 .rows = FP16_ROWS,
                                 .tile = tile_f16_fp16,
                                 .peak_loop = peak_loop_fp16};
