/* fp32: products of fp32 by our own kernels. Private to gemm/. */
#pragma once

#include "autograd/kernels/isa.h"

/* As gemm_run, of a product that has work to do. */
void fp32_run(const Gemm *g, int threads, void *scratch);
size_t fp32_scratch_bytes(int threads);
