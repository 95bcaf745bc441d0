/* parts: how a matrix product is divided among threads, the same for every format. */
#ifndef TARE_AUTOGRAD_KERNELS_GEMM_PARTS_H
#define TARE_AUTOGRAD_KERNELS_GEMM_PARTS_H

#include "autograd/kernels/isa.h"

/* rows x columns of parts, at most `threads` of them. */
typedef struct Grid {
    size_t rows, columns;
} Grid;

Grid gemm_divide(const Gemm *g, const Tile *tile, size_t threads);

/* How many threads pay for work of so many microseconds on one thread. */
int gemm_useful_threads(double us, int threads);

#endif
