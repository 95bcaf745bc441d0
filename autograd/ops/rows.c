/* rows: see rows.h. */
#include "autograd/ops/rows.h"

#include <omp.h>

enum { CACHE_LINE_FLOATS = 16 };

static size_t padded_floats(size_t n)
{
    return (n + CACHE_LINE_FLOATS - 1) / CACHE_LINE_FLOATS * CACHE_LINE_FLOATS;
}

float *thread_scratch(const ExecCtx *c, size_t floats)
{
    return (float *)c->scratch + (size_t)omp_get_thread_num() * padded_floats(floats);
}

size_t thread_scratch_bytes(int threads, size_t floats)
{
    return (size_t)threads * padded_floats(floats) * sizeof(float);
}
