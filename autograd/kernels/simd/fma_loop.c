/* fma_loop: multiply-adds in registers and nothing else, for peak.c. */
#include "autograd/kernels/simd/simd.h"

double KERNEL(fma_loop)(size_t rounds)
{
    enum { CHAINS = MR * NV }; /* as many as a tile has: enough to hide the latency */
    vf acc[CHAINS]; /* none starts at 1, the fixed point, where the compiler would drop the loop */
#pragma GCC unroll 24
    for (int i = 0; i < CHAINS; i++)
        acc[i] = vset1((float)(i + 2));
    vf x = vset1(0.999f), y = vset1(0.001f);
    for (size_t r = 0; r < rounds; r++) {
        /* Keeps the compiler from merging rounds. */
        __asm__ volatile("" : "+m"(rounds));
#pragma GCC unroll 24
        for (int i = 0; i < CHAINS; i++)
            acc[i] = acc[i] * x + y;
    }
    vf sum = {0};
#pragma GCC unroll 24
    for (int i = 0; i < CHAINS; i++)
        sum += acc[i];
    volatile float sink = vsum(sum);
    (void)sink;
    return 2.0 * VL * CHAINS * (double)rounds;
}
