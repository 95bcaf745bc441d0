/* probe: looks at the machine between the runs of a row, outside what is timed.
 *
 * The one idea: a neighbour on the host takes cache, memory and clock and shows in no counter of
 * this kernel, but a fixed piece of work takes longer. About a millisecond: a matrix product that
 * lives in the second-level caches and a read of more than they hold, on the row's threads. It
 * follows so many runs that it costs at most a tenth of their time. */
#pragma once

#include "bench/row/samples.h"

typedef struct Probe {
    int threads; /* 0: there is no probe */
    float *block;
    size_t bytes;
    double cost_ns, since_ns; /* of the last look; of the runs since */
} Probe;

/* Takes some MiB. Where they are refused there is no probe. */
void probe_open(Probe *p, int threads);
void probe_close(Probe *p);

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
