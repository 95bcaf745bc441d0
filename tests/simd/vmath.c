/* Functions of vmath.h that no kernel exports, over arrays: compiled for each instruction set, as
 * the kernels are. */
#include "autograd/kernels/simd/vmath.h"

void KERNEL(exp2_negative_test)(const float *x, float *y, size_t n);

void KERNEL(exp2_negative_test)(const float *x, float *y, size_t n)
{
    for (size_t i = 0; i < n; i += VL)
        vstore_some(y + i, vexp2_negative(vload_some(x + i, n - i)), n - i);
}
