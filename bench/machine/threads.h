/* threads: how many threads a verb uses unless told, and the option that tells it. */
#ifndef TARE_BENCH_MACHINE_THREADS_H
#define TARE_BENCH_MACHINE_THREADS_H

#include "bench/machine/machine.h"
#include "bench/util/options.h"

enum { THREADS_MAX = 4096 }; /* more than any machine has: a typing error */

/* OMP_NUM_THREADS if it is a count that --threads would take, else the CPUs this process may
 * use. */
int64_t threads_default(void);

/* The CPUs of the affinity mask, but no more than the control group's quota, rounded up: a
 * throttled thread stands still and the others wait for it. At least 1. */
int64_t threads_for(const Machine *c);

/* --threads N; *threads has its default before the options are read. */
Option threads_option(int64_t *threads);

#endif
