/* dropout: multiplies each element by 0 or by the inverse of the share that is kept. Four
 * neighbours share one hash, 16 bits each. */
#include "autograd/kernels/simd/hash.h"
#include "autograd/kernels/simd/simd.h"

ALWAYS_INLINE vf factor_of(vu bits, uint32_t dropped, float scale)
{
    return vselect((vi)bits < (int32_t)dropped, vset1(0), vset1(scale));
}

void KERNEL(dropout)(const float *x, float *y, size_t n, uint64_t key, uint64_t first,
                     uint32_t dropped)
{
    const float scale = (float)DROPOUT_LEVELS / (float)(DROPOUT_LEVELS - dropped);
    for (size_t i = 0; i < n; i += 2 * VL) {
        vu bits = (vu)vhash(key, (first + i) / 4);
        vf even = factor_of(bits & 0xffff, dropped, scale),
           odd = factor_of(bits >> 16, dropped, scale);
        size_t left = n - i, low = left < VL ? left : VL, high = left < 2 * VL ? left - low : VL;
        vstore_part(y + i, vload_part(x + i, low) * ZIP_LO(even, odd), low);
        vstore_part(y + i + VL, vload_part(x + i + VL, high) * ZIP_HI(even, odd), high);
    }
}
