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

/* NULL: fp32's peak. */
static const LowKernel *kernel_with_peak(DType product)
{
    const LowKernel *kernel = product == DT_F32 ? NULL : low_kernel(isa_best(), product);
    return kernel && kernel->peak_loop ? kernel : NULL;
}

double peak_product_gflops(DType product, int threads)
{
    const LowKernel *kernel = kernel_with_peak(product);
    return kernel ? best_rate(kernel->peak_loop, threads) : peak_gflops(threads);
}

const char *peak_instruction(DType product)
{
    const LowKernel *kernel = kernel_with_peak(product);
    return product == DT_F32 ? isa_best()->fma : kernel ? kernel->instruction : NULL;
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

uint32_t peak_read(const void *block, size_t bytes, size_t times, int threads)
{
    const Isa *isa = isa_in_use();
    const size_t floats = bytes / sizeof(float), parts = (size_t)threads;
    uint32_t all = 0;
#pragma omp parallel for schedule(static, 1) num_threads(threads) reduction(| : all)
    for (size_t i = 0; i < parts; i++) {
        size_t from = floats * i / parts, to = floats * (i + 1) / parts;
        for (size_t time = 0; time < times; time++)
            all |= isa->read_loop((const float *)block + from, to - from);
    }
    return all;
}

double peak_read_bandwidth(int threads, size_t bytes)
{
    enum { LEAST_PASSES = 4, LEAST_BYTES = 8 << 20 }; /* of a pass, for each thread */
    const double seconds = 0.05;
    const size_t least = (size_t)threads * LEAST_BYTES;
    static volatile uint32_t kept; /* so that what was read is needed */
    Err err;
    char *block = block_alloc(bytes, &err);
    if (!block)
        return 0;
    size_t times = bytes < least ? least / bytes : 1;
    double best = 0;
#pragma omp parallel for schedule(static) num_threads(threads)
    for (size_t i = 0; i < bytes; i += sizeof(float))
        *(float *)(block + i) = 1; /* unwritten pages would all be the one page of zeros */
    double first = now();
    for (int pass = 0; pass < LEAST_PASSES || now() - first < seconds; pass++) {
        double begin = now();
        kept = peak_read(block, bytes, times, threads);
        double rate = (double)bytes * (double)times / (now() - begin) / 1e9;
        best = rate > best ? rate : best;
    }
    (void)kept;
    block_free(block, bytes);
    return best;
}
