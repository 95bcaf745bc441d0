/* amx_tile: one tile of a product of bf16 or i8 by AMX. A has to lie in rows: a_unit is 1. */
#pragma once

#include "autograd/kernels/isa.h"

enum {
    AMX_ROWS = 16,  /* of a tile at most */
    AMX_LANES = 16, /* of a vector */
};

void tile_bf16_amx(const LowTile *t);
void tile_i8_amx(const LowTile *t);

/* LowKernel.peak_loop */
double peak_loop_bf16_amx(size_t rounds);
double peak_loop_i8_amx(size_t rounds);
