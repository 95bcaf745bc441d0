/* noise: what one process of a build differs from the next by, measured while a sweep runs.
 *
 * The one idea: a row of one process cannot tell, so a small row runs in fresh processes at the
 * beginning, in the middle and at the end of the sweep, where it meets the same host. Its spread is
 * stored with every row (noise_cv), and `tare diff` holds a change against it. */
#pragma once

#include "bench/row/row.h"
#include "bench/row/samples.h"
#include "bench/sweep/spawn.h"

/* Forward+backward of 1.6 M parameters over 128 tokens: some milliseconds a trial. */
enum { NOISE_WARMUPS = 3, NOISE_TRIALS = 15 };
void noise_row(RowConfig *c, int64_t threads);

/* Fresh processes a look, and looks a sweep. */
enum { NOISE_LOOK = 3, NOISE_LOOKS = 3 };

/* What all looks of a sweep take, about: a sweep not much longer is not worth it. */
#define NOISE_SECONDS 3.0

typedef struct Noise {
    double ms[NOISE_LOOK * NOISE_LOOKS]; /* medians of the processes so far */
    size_t count;
} Noise;

/* Like row_spawn: an empty status means that it was interrupted; -1: no row can be run at all. */
typedef int (*RowExecutor)(RowResult *r, Samples *samples, const RowLimits *limits, Err *err);

/* Takes one look, without row/probe.h where no_probe says so. A process that fails or is
 * interrupted adds nothing. -1: no process can be made. */
int noise_look(Noise *n, int64_t threads, bool no_probe, RowExecutor execute, Err *err);

/* Standard deviation of the logarithms; NaN for fewer than 2 processes. */
double noise_cv(const Noise *n);
