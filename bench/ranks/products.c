/* products: see products.h. */
#include "bench/ranks/products.h"

#include "autograd/kernels/kernels.h"

enum { SIDE = 256, MATRICES = 3 * SIDE * SIDE };

static size_t bytes_of(int threads)
{
    return MATRICES * sizeof(float) + gemm_scratch_bytes(threads);
}

int products_init(Products *p, int threads, Err *err)
{
    *p = (Products){.a = block_alloc(bytes_of(threads), err), .threads = threads};
    if (!p->a)
        return -1;
    for (size_t i = 0; i < MATRICES; i++)
        p->a[i] = 1.0f / SIDE;
    return 0;
}

void products_release(Products *p)
{
    block_free(p->a, bytes_of(p->threads));
}

double products_multiply(const Products *p, size_t count)
{
    Gemm g = gemm_of_square(p->a, SIDE);
    int64_t start = clock_ns();
    for (size_t i = 0; i < count; i++)
        gemm_run(&g, p->threads, p->a + MATRICES);
    return (double)(clock_ns() - start);
}
