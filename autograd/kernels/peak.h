/* peak: what this machine reaches at best, measured now; the ceiling that rates are judged by. */
#ifndef TARE_AUTOGRAD_KERNELS_PEAK_H
#define TARE_AUTOGRAD_KERNELS_PEAK_H

#include "autograd/dtype.h"

/* fp32 multiply-adds from registers on all `threads` threads at once, best instruction set of this
 * CPU, in GFLOP/s (10^9; a multiply-add counts 2). The best of several pieces; takes 0.1 s. */
double peak_gflops(int threads);

/* The same for products of a format, of the instruction that autograd/kernels/gemm/low.c would choose on the best set of this CPU:
 * its dot products for bf16 or int8 (10^9 integer operations, then), else the fp32 ones. */
double peak_product_gflops(DType product, int threads);

/* Memory bandwidth by the triad a = b + s c over arrays far larger than the caches (McCalpin
 * 1995), in GB/s (10^9): the best of several passes. 0 when the memory for it cannot be had. */
double peak_bandwidth(int threads);

#endif
