/* runs: the warmups and trials of a row, in order, whatever a run is (run.c, generate.c). */
#pragma once

#include "bench/row/row.h"
#include "bench/row/samples.h"

/* Streams of random numbers beside those of the parameters, which count from 0. */
enum { STREAM_TOKENS = 1 << 30, STREAM_TARGETS };

/* `count` ids below vocab, by the row's seed. Caller frees. */
int32_t *random_ids(const RowConfig *c, size_t count, size_t vocab, uint64_t stream);

typedef struct Runs {
    Sample (*once)(void *what);
    void (*after_trial)(void *what, int64_t trial, Samples *samples); /* or NULL */
    void *what;
    Samples *samples;
    bool no_probe; /* probe.h does not look between them */
} Runs;

/* Runs the warmups, which it counts itself where c says so, and the trials. Returns the number of
 * warmups.
 *
 * Nothing of the arena, the gradients or the moments is touched before the first run, warmup or
 * timed: that run pays for first touch, for packing weights and for starting the team of threads.
 * (Initialising the weights may start the team as well; next to first touch that does not show.) */
int64_t run_all(const Runs *runs, const RowConfig *c);
