/* low_kernel: which kernel multiplies a small format. Private to kernels/. */
#pragma once

#include "autograd/kernels/isa.h"

/* The processor's own instruction, else what the set has for sure. */
const LowKernel *low_kernel(const Isa *isa, DType product);

/* After the last tile of this thread. */
static inline void low_release(const LowKernel *kernel)
{
    if (kernel->release)
        kernel->release();
}

/* Of a product of so many rows of A: few take another, where that is faster. */
const LowKernel *low_kernel_for(const Isa *isa, DType product, size_t rows);

/* Whether a kernel of bf16, f16 or i8, or one of groups that places them, multiplies and adds a
 * small matrix as plain C does, in panels of vectors of so many lanes. Any set may be in use. */
bool low_kernel_is_right(DType product, const LowKernel *kernel, size_t lanes);
