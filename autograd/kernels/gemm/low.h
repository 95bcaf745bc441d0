/* low: products of the formats smaller than fp32. Private to gemm/; isa.h describes the packed
 * forms. */
#pragma once

#include "autograd/kernels/isa.h"

/* Whether this product is one of a small format. */
bool low_takes(const Gemm *g);

/* As gemm_run, of a product that low_takes and that has work to do. */
void low_run(const Gemm *g, int threads, void *scratch);
size_t low_scratch_bytes(int threads);
/* See gemm_pays_packing. */
bool low_pays_packing(DType product, size_t m, size_t k);
