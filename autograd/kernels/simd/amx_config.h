/* amx_config: what amx_tile.c and amx_groups.c share, above all the configuration of tile
 * registers. */
#pragma once

#include "autograd/base.h"

#ifndef TARE_AMX_EMULATED
#include <immintrin.h>
#endif

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* What ldtilecfg reads. An unused register has no rows and no bytes. */
typedef struct TileConfig {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} TileConfig;

_Static_assert(sizeof(TileConfig) == 64, "the layout is the processor's");

static inline void amx_shape(TileConfig *c, int tile, size_t rows, size_t row_bytes)
{
    c->rows[tile] = (uint8_t)rows;
    c->row_bytes[tile] = (uint16_t)row_bytes;
}

/* gcc's _tile_loadconfig tells the compiler of 8 bytes; the asm tells it that all 64 are read. */
static inline void amx_load_config(TileConfig *c)
{
    __asm__ volatile("" : "+m"(*c));
    _tile_loadconfig(c);
}
