/* peak: see peak.h. Each figure is the best of a few short pieces: other work on the machine can
 * only slow a piece down. */
#include "autograd/kernels/peak.h"

#include "autograd/kernels/gemm/low_kernel.h"

#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC_RAW, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The sum of the threads' best pieces; all run pieces of about a millisecond at the same time. */
static double best_rate(double (*loop)(size_t rounds), int threads)
{
    double total = 0;
#pragma omp parallel num_threads(threads) reduction(+ : total)
    {
        double until = now() + 0.1, best = 0;
        for (double begin = now(); begin < until;) {
            double flops = loop(1 << 16), end = now();
            double rate = flops / (end - begin) / 1e9;
            best = rate > best ? rate : best;
            begin = end;
        }
        total += best;
    }
    return total;
}

double peak_gflops(int threads)
{
    return best_rate(isa_best()->fma_loop, threads);
}

double peak_product_gflops(DType product, int threads)
{
    const LowKernel *kernel = product == DT_F32 ? NULL : low_kernel(isa_best(), product);
    return kernel && kernel->peak_loop ? best_rate(kernel->peak_loop, threads)
                                       : peak_gflops(threads);
}

double peak_bandwidth(int threads)
{
    const size_t n = 8 << 20, bytes = 3 * n * sizeof(float);
    Err err;
    float *a = block_alloc(bytes, &err);
    if (!a)
        return 0;
    float *b = a + n, *c = b + n;
    double best = 0;
#pragma omp parallel for schedule(static) num_threads(threads)
    for (size_t i = 0; i < n; i++)
        a[i] = b[i] = c[i] = 1.0f; /* unwritten pages would all be the one page of zeros */
    for (int pass = 0; pass < 4; pass++) {
        double begin = now();
#pragma omp parallel for schedule(static) num_threads(threads)
        for (size_t i = 0; i < n; i++)
            a[i] = b[i] + 0.5f * c[i];
        double rate = (double)bytes / (now() - begin) / 1e9;
        best = rate > best ? rate : best;
    }
    block_free(a, bytes);
    return best;
}
