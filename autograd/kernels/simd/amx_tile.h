/* amx_tile: one tile of a product of bf16 or i8 by AMX. A has to lie in rows: a_unit is 1. */
#pragma once

#include "autograd/kernels/isa.h"

enum {
    AMX_STRIP = 16,         /* rows of a register at most */
    AMX_ROWS = 32,          /* of a tile at most: two registers */
    AMX_LANES = 16,         /* of a vector */
    AMX_BLOCK = 272 * 1024, /* LowKernel.block: such processors have 2 MiB of second-level cache */
};

void tile_bf16_amx(const LowTile *t);
void tile_i8_amx(const LowTile *t);

/* LowKernel.release */
void amx_release(void);

/* LowKernel.peak_loop; of groups with registers as deep as a group, half of those of i8. */
double peak_loop_bf16_amx(size_t rounds);
double peak_loop_i8_amx(size_t rounds);
double peak_loop_groups_amx(size_t rounds);
