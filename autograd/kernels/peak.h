/* peak: the ceilings of the roofline, measured now: arithmetic and memory bandwidth. */
#pragma once

#include "autograd/dtype.h"

/* fp32 multiply-adds in registers on `threads` threads at once, by the best instruction set of this
 * CPU, in GFLOP/s (10^9; a multiply-add counts 2). The best of several pieces; takes 0.1 s. */
double peak_gflops(int threads);

/* The same for products of a format, by the instruction that gemm/low_kernel.c chooses on the best
 * set of this CPU: dot products of bf16 or int8 (then 10^9 integer operations), else fp32
 * multiply-adds. */
double peak_product_gflops(DType product, int threads);

/* Memory bandwidth by the triad a = b + s c over arrays far larger than the caches (McCalpin
 * 1995), in GB/s (10^9): the best of several passes. 0 where there is not enough memory for it. */
double peak_bandwidth(int threads);
