/* plausible: no row is faster than the machine.
 *
 * The one idea: a row's rate is compared with peaks measured before the rows and, when it is above them,
 * again at once, so that a machine whose speed swings does not accuse itself, nor show a row at more than
 * the peak. A clock that is slow for
 * the peaks too shows elsewhere: the CPU time of a row, counted by the scheduler, cannot exceed its time
 * on all its threads. What breaks either limit is `implausible`: it is shown with its figures, but left
 * out of rankings, and the program exits with 1. */
#ifndef TARE_BENCH_ROW_PLAUSIBLE_H
#define TARE_BENCH_ROW_PLAUSIBLE_H

#include "bench/machine/peaks.h"
#include "bench/row/row.h"

/* peaks_spawn, or a test's own. */
typedef int MeasurePeaks(int64_t threads, Peaks *p, Err *err);

/* The peaks measured so far, one entry per number of threads. */
typedef struct Guard {
    Peaks *at;
    size_t count;
    MeasurePeaks *measure;
} Guard;

void guard_init(Guard *g);
void guard_release(Guard *g);

/* Measures the peaks on that many threads unless that was done. The pointer is valid until the next
 * call. NULL on failure. */
const Peaks *guard_peaks(Guard *g, int64_t threads, Err *err);

/* Fills peak_gflops_per_s and peak_fraction of an `ok` row and makes it implausible where it is. While
 * the row is faster than the peaks they are measured again, three times at most.
 * -1: the peaks could not be measured, the columns stay empty. */
int guard_judge(Guard *g, RowResult *r, Err *err);

/* The same by given peaks. */
void guard_compare(const Peaks *p, RowResult *r);

#endif
