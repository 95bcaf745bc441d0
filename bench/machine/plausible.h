/* plausible: nothing is faster than the machine: the one rule by which every verb believes a
 * figure.
 *
 * The one idea: a rate is held against the peaks of the same number of threads. They are measured
 * before, and at once again while a rate is above them, so that a machine whose speed swings
 * neither accuses itself nor shows more than its peak. A clock that is slow for the peaks too shows
 * elsewhere: the CPU time that the scheduler counts cannot exceed the time on all threads. A figure
 * that breaks either limit is shown as `implausible`; nothing is ranked by it. */
#pragma once

#include "bench/machine/peaks.h"

/* What a measurement claims. */
typedef struct Claim {
    DType product;      /* format of its matrix products */
    double gflops;      /* GFLOP/s; NaN: it has no matrix work */
    double cpus_used;   /* CPU time over time; NaN: not counted */
    double measured_ms; /* the time in which CPU time was counted */
} Claim;

/* -1 with the sentence that says which limit it breaks: peaks_limit_of_product, or its CPU time. */
int plausible(const Peaks *p, const Claim *c, Err *why);

/* peaks_spawn, or a test's own. */
typedef int MeasurePeaks(int64_t threads, Peaks *p, Err *err);

/* The highest peaks measured so far, one entry per number of threads. */
typedef struct Guard {
    Peaks *at;
    size_t count;
    MeasurePeaks *measure;
} Guard;

void guard_init(Guard *g);
void guard_release(Guard *g);

/* Those of that many threads; NULL: not measured. Valid until the next measurement. */
const Peaks *guard_peaks(const Guard *g, int64_t threads);

/* Measures them, also where that was done, and keeps the higher of each rate. -1: no peaks, as
 * before. */
int guard_measure(Guard *g, int64_t threads, Err *err);

/* Measures them unless that was done, and again, three times at most, while the rate is above
 * them. */
int guard_doubt(Guard *g, int64_t threads, const Claim *c, Err *err);
