/* normal: Gaussian numbers by Box & Muller (1958). The 64-bit hash of a counter (hash.h) gives a
 * radius and an angle, and they give two neighbouring elements. Element i depends on (seed, stream,
 * i) only, not on the range of a call. */
#include "autograd/kernels/simd/hash.h"
#include "autograd/kernels/simd/simd.h"
#include "autograd/kernels/simd/vmath.h"

/* Elements [2 pair, 2 pair + 2 VL). */
ALWAYS_INLINE void normal_block(float out[2 * VL], uint64_t key, uint64_t pair, float mean,
                                float std)
{
    vf a = (vf)vhash(key, pair), b = (vf)vhash(key, pair + VL / 2);
    vu radius_bits = (vu)EVEN(a, b), angle_bits = (vu)ODD(a, b);
    /* (0, 1] in steps of 2^-31: no element is beyond 6.6 standard deviations. */
    vf u = (__builtin_convertvector((vi)(radius_bits >> 1), vf) + 0.5f) * 0x1p-31f;
    vf turn = __builtin_convertvector((vi)(angle_bits >> 8), vf) * 0x1p-24f;
    vf sine, cosine, radius = vsqrt(vmax(vset1(0), -2.0f * vlog(u)));
    vsincos_turn(turn, &sine, &cosine);
    cosine = radius * cosine * std + mean;
    sine = radius * sine * std + mean;
    vstore(out, ZIP_LO(cosine, sine));
    vstore(out + VL, ZIP_HI(cosine, sine));
}

void KERNEL(normal)(float *y, size_t n, uint64_t seed, uint64_t stream, uint64_t first, float mean,
                    float std)
{
    const uint64_t key = rng_u64(seed, stream, 0);
    uint64_t pair = first / 2;
    size_t skip = first % 2;
    for (size_t i = 0; i < n; pair += VL) {
        if (skip == 0 && n - i >= 2 * VL) {
            normal_block(y + i, key, pair, mean, std);
            i += 2 * VL;
            continue;
        }
        float block[2 * VL];
        normal_block(block, key, pair, mean, std);
        size_t use = 2 * VL - skip < n - i ? 2 * VL - skip : n - i;
        memcpy(y + i, block + skip, use * sizeof(float));
        i += use;
        skip = 0;
    }
}
