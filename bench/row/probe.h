/* probe: looks at the machine between the runs of a row, outside what is timed.
 *
 * The one idea: a neighbour on the host takes cache, memory and clock and shows in no counter of
 * this kernel, but a fixed piece of work takes longer. About a millisecond on the row's threads: a
 * matrix product of 432 KiB, which a second-level cache holds, and a read of twice what the
 * threads' second-level caches hold, from the third level or from memory, whichever has it. It
 * follows so many runs that it costs at most a tenth of their time. */
#pragma once

#include "bench/row/samples.h"

typedef struct Probe {
    int threads; /* 0: there is no probe */
    float *block;
    size_t bytes, read_bytes;
    double cost_ns, since_ns; /* of the last look; of the runs since */
} Probe;

/* Takes some MiB. Where they are refused there is no probe. */
void probe_open(Probe *p, int threads);
void probe_close(Probe *p);

/* What each look reads: twice the second-level caches of the threads, of which at most 2 MiB each
 * count, so that a look stays within the millisecond. */
size_t probe_read_bytes(int threads);

/* Looks after the run `s` where one is due, and fills its probe columns. */
void probe_after(Probe *p, Sample *s);

/* How far the looks of one process wandered: the slow tenth (type 7) and the median over the best,
 * as rates, so at most 1. NaN for fewer than 3 looks. */
typedef struct Wander {
    double low, median;
} Wander;

Wander probe_wander(const Samples *s, const char *column);

/* Below this share of their best the looks of a row are worth a sentence. */
#define PROBE_LOW 0.8
