/* fma_loop: for peak.c, multiply-adds in registers and nothing else, and loads and nothing else. */
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

uint32_t KERNEL(read_loop)(const float *x, size_t n)
{
    enum { CHAINS = 8 };
    vi acc[CHAINS] = {0};
    size_t i = 0;
    for (; i + CHAINS * VL <= n; i += CHAINS * VL)
#pragma GCC unroll 8
        for (int c = 0; c < CHAINS; c++)
            acc[c] |= (vi)vload(x + i + c * VL);
    for (; i < n; i += VL)
        acc[0] |= (vi)vload_some(x + i, n - i);
    uint32_t all = 0;
    for (int c = 0; c < CHAINS; c++)
        for (int l = 0; l < VL; l++)
            all |= (uint32_t)acc[c][l];
    return all;
}
