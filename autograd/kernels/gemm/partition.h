/* partition: how much time a matrix product takes, how many threads that pays for, and which rows
 * and columns each of them gets; the same for every format. It multiplies nothing. */
#pragma once

#include "autograd/kernels/isa.h"

/* A rough time in microseconds on one thread: at so many GFLOP/s, or at 8 GB/s where the operands
 * are hardly reused. b_size: bytes of an element of B. Good enough to decide whether a parallel
 * region pays. */
double gemm_estimate_us(const Gemm *g, double gflops, double b_size);

/* How many of `threads` threads pay for work of so many microseconds on one thread; at least 1. */
int gemm_useful_threads(double us, int threads);

/* The same for packing B[k, n]. */
int gemm_packing_threads(size_t k, size_t n, int threads);

/* rows x columns of parts, at most `threads` of them. */
typedef struct Grid {
    size_t rows, columns;
} Grid;

/* The grid with the least work for its largest part. */
Grid gemm_divide(const Gemm *g, const Tile *tile, size_t threads);
