/* threads: how many threads a verb uses unless told, the option that tells it, and how many threads
 * really run. It places none: autograd/kernels/placement.h does. */
#pragma once

#include "bench/machine/machine.h"
#include "bench/util/options.h"

enum { THREADS_MAX = 4096 }; /* more than any machine has: a typing error */

/* OMP_NUM_THREADS if it is a count that --threads would take, else threads_for this machine. */
int64_t threads_default(void);

/* The physical cores of the CPUs in the affinity mask, where the system tells, else these CPUs: two
 * threads of one core share its multipliers. No more than the control group's quota, rounded up: a
 * throttled thread stands still and the others wait for it. At least 1. */
int64_t threads_for(const Machine *c);

/* How many threads can run at once where `threads` are asked for: those of a team of OpenMP, but
 * no more than the CPUs that they may run on and the control group's quota, rounded up. Starts the
 * team. */
int64_t threads_seen(int64_t threads);

/* Writes "only 1 of 2 threads can run at once: ..." and what to look at; "" where none is missing
 * or `seen` is INT_MISSING. */
enum { THREADS_TEXT_SIZE = 160 };
void threads_doubt(int64_t seen, int64_t threads, char text[THREADS_TEXT_SIZE]);

/* --threads N; *threads has its default before the options are read. */
Option threads_option(int64_t *threads);
