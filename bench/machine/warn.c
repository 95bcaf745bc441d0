/* warn: see warn.h. */
#include "bench/machine/warn.h"

#include <stdio.h>

#include "bench/machine/blas.h"
#include "bench/machine/threads.h"

void machine_warn(int64_t threads)
{
    char doubt[THREADS_TEXT_SIZE], far_below[BLAS_TEXT_SIZE];
    threads_doubt(threads_seen(threads), threads, doubt);
    if (doubt[0])
        fprintf(stderr, "warning: %s\n", doubt);
    if (blas_in_use_is_far_below(far_below))
        fprintf(stderr, "warning: %s: " BLAS_REMEDY "\n", far_below);
}
