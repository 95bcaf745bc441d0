/* low_kernel_testing: lets a test put a kernel in the place of AMX or AVX512_FP16. For tests only:
 * no other source than low_kernel.c may include it, and tests/cli/levels.sh checks that. */
#pragma once

#include "autograd/kernels/isa.h"

/* From now on low_kernel tries this kernel of a small format before all others, whatever the
 * processor has; NULL ends that. */
void low_kernel_force(DType product, const LowKernel *kernel);
