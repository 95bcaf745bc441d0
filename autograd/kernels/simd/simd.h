/* simd: what the files of this folder share: vectors, and the prototypes of all kernels.
 * Shapes and meanings are in kernels.def and isa.h. */
#pragma once

#include "autograd/kernels/isa.h"
#include "autograd/kernels/simd/vec.h"

static const Tile simd_tile = {.rows = MR, .lanes = VL, .vectors = NV};

enum { PREFETCH_MOST = VL < 16 ? 256 : 192 };

/* Prefetches the lines of these bytes, at most PREFETCH_MOST: a step of a tile reads three of B. */
ALWAYS_INLINE void prefetch_lines(const char *at, size_t bytes)
{
    _Static_assert(NR * sizeof(float) <= 192, "three lines");
    __builtin_prefetch(at);
    if (bytes > 64)
        __builtin_prefetch(at + 64);
    if (bytes > 128)
        __builtin_prefetch(at + 128);
    if (VL < 16 && bytes > 192)
        __builtin_prefetch(at + 192);
}

/* x, from 0 to `most`. */
ALWAYS_INLINE size_t bounded(ptrdiff_t x, size_t most)
{
    return x < 0 ? 0 : (size_t)x < most ? (size_t)x : most;
}

/* The sums of a tile of mr rows by nv vectors. */
ALWAYS_INLINE void clear_sums(const int mr, const int nv, vf acc[MR][NV])
{
#pragma GCC unroll 8
    for (int r = 0; r < mr; r++)
#pragma GCC unroll 3
        for (int v = 0; v < nv; v++)
            acc[r][v] = (vf){0};
}

/* Leads the processor's own prefetch of what one row of A reads once, from memory: a line here and
 * there, into the second-level cache. Each line, or into the first level, would take the places of
 * loads. */
ALWAYS_INLINE void lead_stream(const void *at)
{
    __builtin_prefetch((const char *)at + 8192, 0, 2);
}

#define ROW_KERNEL(result, name, parameters)   result KERNEL(name) parameters;
#define BLOCK_KERNEL(result, name, parameters) result KERNEL(name) parameters;
#define TILE_KERNEL(result, name, parameters)  result KERNEL(name) parameters;
#include "autograd/kernels/kernels.def"
