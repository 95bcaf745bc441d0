/* blas: fp32 products by the CBLAS of the build. Private to gemm/. */
#ifndef TARE_AUTOGRAD_KERNELS_GEMM_BLAS_H
#define TARE_AUTOGRAD_KERNELS_GEMM_BLAS_H

#include "autograd/kernels/isa.h"

/* True after gemm_select("openblas"). */
bool gemm_uses_blas(void);

/* gemm_run by cblas_sgemm, followed by the epilogue over rows. Reads g->b, never g->packed. */
void gemm_blas_run(const Gemm *g, const Isa *isa, int threads);

#endif
