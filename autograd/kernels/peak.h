/* peak: the ceilings of the roofline, measured now: arithmetic and memory bandwidth. */
#pragma once

#include <stdint.h>

#include "autograd/dtype.h"

/* fp32 multiply-adds in registers on `threads` threads at once, by the best instruction set of this
 * CPU, in GFLOP/s (10^9; a multiply-add counts 2). The best of several pieces; takes 0.1 s. */
double peak_gflops(int threads);

/* The same for products of a format, by the instruction that gemm/low_kernel.c chooses on the best
 * set of this CPU: dot products of bf16 or int8 (then 10^9 integer operations), else fp32
 * multiply-adds. */
double peak_product_gflops(DType product, int threads);

/* The instruction of these figures. NULL where the format has no peak of its own: there, products
 * are widened or emulated, and fp32's stands for it. */
const char *peak_instruction(DType product);

/* Memory bandwidth by the triad a = b + s c over arrays far larger than the caches (McCalpin
 * 1995), in GB/s (10^9): the best of several passes. 0 where there is not enough memory for it. */
double peak_bandwidth(int threads);

/* Reads a block `times` times, in one contiguous part a thread, which stays with it; what it
 * returns depends on all of it. */
uint32_t peak_read(const void *block, size_t bytes, size_t times, int threads);

/* Read bandwidth over a working set of `bytes`, in GB/s (10^9): the best of several passes of all
 * threads together, of a fifth of a millisecond or more. 0 where there is not enough memory. */
double peak_read_bandwidth(int threads, size_t bytes);
