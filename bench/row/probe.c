/* probe: see probe.h. */
#include "bench/row/probe.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "autograd/kernels/kernels.h"
#include "bench/stats/moments.h"

/* Three matrices of 192 x 192 are 432 KiB. */
enum { SIDE = 192 };

static size_t product_floats(void)
{
    return 3 * (size_t)SIDE * SIDE;
}

size_t probe_read_bytes(int threads)
{
    const long assumed = 1 << 20, most = 2 << 20; /* of a cache: 2 x 2 MiB are read in 0.4 ms */
    long cache = sysconf(_SC_LEVEL2_CACHE_SIZE);
    if (cache <= 0)
        cache = assumed;
    return 2 * (size_t)threads * (size_t)(cache < most ? cache : most);
}

void probe_open(Probe *p, int threads)
{
    Err err;
    size_t read_bytes = probe_read_bytes(threads);
    size_t bytes = product_floats() * sizeof(float) + read_bytes + gemm_scratch_bytes(threads);
    *p = (Probe){.threads = threads, .bytes = bytes, .read_bytes = read_bytes};
    p->block = block_alloc(bytes, &err);
    if (!p->block)
        *p = (Probe){0};
    for (size_t i = 0; p->block && i < product_floats() + read_bytes / sizeof(float); i++)
        p->block[i] = 1.0f; /* unwritten pages would all be the one page of zeros */
}

void probe_close(Probe *p)
{
    if (p->block)
        block_free(p->block, p->bytes);
    *p = (Probe){0};
}

static int64_t time_product(const Probe *p)
{
    float *a = p->block, *scratch = a + product_floats() + p->read_bytes / sizeof(float);
    Gemm g = gemm_of_square(a, SIDE);
    int64_t start = clock_ns();
    gemm_run(&g, p->threads, scratch);
    return clock_ns() - start;
}

static int64_t time_read(const Probe *p)
{
    const uint64_t *words = (const uint64_t *)(const void *)(p->block + product_floats());
    uint64_t sum = 0;
    int64_t start = clock_ns();
#pragma omp parallel for schedule(static) num_threads(p->threads) reduction(+ : sum)
    for (size_t i = 0; i < p->read_bytes / sizeof *words; i++)
        sum += words[i];
    int64_t end = clock_ns();
    CHECK(sum != 0, "the probe read nothing");
    return end - start;
}

void probe_after(Probe *p, Sample *s)
{
    const double share = 0.1;
    p->since_ns += (double)s->wall_ns;
    if (p->threads == 0 || share * p->since_ns < p->cost_ns)
        return;
    int64_t start = clock_ns();
    s->probe_product_ns = time_product(p);
    s->probe_read_ns = time_read(p);
    p->cost_ns = (double)(clock_ns() - start);
    p->since_ns = 0;
}

Wander probe_wander(const Samples *s, const char *column)
{
    const size_t fewest = 3;
    size_t n;
    OWNED double *ns = samples_values(s, TIMED_TRIALS, column, 1, &n);
    return n < fewest ? (Wander){NAN, NAN}
                      : (Wander){min_of(ns, n) / percentile_of(ns, n, 0.9),
                                 min_of(ns, n) / median_of(ns, n)};
}
