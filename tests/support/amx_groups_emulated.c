/* amx_groups_emulated: compiles amx_groups.c with the instructions of amx_instructions.h. */
#include "tests/support/amx_emulated.h"
#include "tests/support/amx_instructions.h"

#include "autograd/kernels/simd/amx_groups.c"

#define GROUPS_EMULATED                                                                            \
    .instruction = "tdpbssd, emulated", .support = SUPPORT_EMULATED, .rows = AMX_GROUP_ROWS,       \
    .place_groups = place_groups_amx

const LowKernel amx_emulated_q8_0 = {GROUPS_EMULATED, .tile = tile_q8_0_amx};
const LowKernel amx_emulated_q4_0 = {GROUPS_EMULATED, .tile = tile_q4_0_amx};
