/* amx_groups: tiles of a product of q8_0 or q4_0 by AMX, of many rows at a time. The sums are those
 * of group_tile.c, bit for bit. */
#pragma once

#include "autograd/kernels/isa.h"

enum { AMX_GROUP_ROWS = 128 }; /* of a tile at most */

void tile_q8_0_amx(const LowTile *t);
void tile_q4_0_amx(const LowTile *t);

/* LowKernel.place_groups */
void place_groups_amx(const LowGroup *row, size_t groups, size_t r, uint32_t *a, size_t a_row);
