/* blas: fp32 products by the CBLAS of the build. Private to gemm/. */
#pragma once

#include "autograd/kernels/isa.h"

/* True after gemm_select("openblas"). */
bool gemm_uses_blas(void);

/* gemm_run by cblas_sgemm, followed by the epilogue over rows. Reads g->b, never g->packed. */
void gemm_blas_run(const Gemm *g, const Isa *isa, int threads);
