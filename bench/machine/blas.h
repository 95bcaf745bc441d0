/* blas: whether the BLAS that was loaded suits this processor. */
#pragma once

#include <stdbool.h>

/* An OpenBLAS that does not know a processor runs the kernels of an old one on it: 0.3.21 those of
 * a Prescott, with SSE3, on processors newer than itself. `description`: gemm_blas_description();
 * best_isa: the best instruction set of this processor, "generic", "avx2" or "avx512". Writes why
 * such kernels are far below it, or "", and returns whether they are. */
enum { BLAS_TEXT_SIZE = 128 };
bool blas_is_far_below(const char *description, const char *best_isa, char text[BLAS_TEXT_SIZE]);

/* The same of the BLAS that multiplies here: of none where our own code does. */
bool blas_in_use_is_far_below(char text[BLAS_TEXT_SIZE]);

/* What to do then. */
#define BLAS_REMEDY                                                                                \
    "set OPENBLAS_CORETYPE=Haswell (AVX2) or SkylakeX (AVX-512), or install a newer OpenBLAS"

/* The best instruction set of this processor. */
const char *best_isa(void);
