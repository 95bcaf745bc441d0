/* outliers: which trials stand out, and what the kernel says about why.
 *
 * The one idea: an outlier is labelled and explained, never dropped; every other figure of the row
 * still contains it. Pure functions of one row's trials in run order. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Tukey's fences: 1.5 interquartile ranges below the first and above the third quartile (type
 * 7). */
typedef struct Fences {
    double low, high;
} Fences;

/* Both NaN, so that nothing lies beyond them, for n = 0. */
Fences tukey_fences(const double *x, size_t n);
bool is_outlier(const Fences *f, double value);

/* Iglewicz & Hoaglin's modified z of a value among n > 0 samples: |value - median| in units of
 * 1.4826 MAD; where the MAD is 0, of `resolution`, the clock's step (0: infinite unless equal). */
typedef struct ZScale {
    double median, unit;
} ZScale;

ZScale z_scale_of(const double *x, size_t n, double resolution);
double modified_z(const ZScale *scale, double value);

/* Above this modified z a trial deserves a warning; hyperfine's rule. Tukey's fence would warn in
 * every fourth quiet row of ten trials. */
#define OUTLIER_Z 10.0

/* Counters of the same n trials; NaN where the kernel did not tell, NULL where it never does. */
typedef struct TrialCounters {
    const double *cpu_ns, *runqueue_ns, *steal_ns, *minor_faults, *major_faults;
    const double *involuntary_switches;
} TrialCounters;

/* The median of a series and its fence above, over the values that are known; NaN for none. */
typedef struct Usual {
    double median, high;
} Usual;

/* What is usual for the trials of one row: found once, for all of its outliers. */
typedef struct UsualTrial {
    Usual wall_ns, cpu_ns, runqueue_ns, steal_ns, minor_faults, major_faults, involuntary_switches;
} UsualTrial;

UsualTrial usual_trial_of(const double *wall_ns, const TrialCounters *counters, size_t n);

/* One line about trial `index` (from 0), named by `number`:
 * "trial 7: +212 ms, 209 ms waiting for a CPU". The distance is from the median; a counter is named
 * when it exceeds its own fence. "asleep" is added when none of the times explains half of the
 * distance; without any cause it says "no cause seen by the kernel". */
void outlier_describe(const double *wall_ns, const TrialCounters *counters, const UsualTrial *usual,
                      size_t index, long number, char *text, size_t size);

/* Whether one of these sentences, "; " between two, is such a line. analysis/verdicts.py looks for
 * the same. */
bool outlier_is_described(const char *sentences);

/* The share of a trial in which a thread was ready and waited for a CPU: mean of the threads,
 * median of the n trials. NaN where runqueue_ns, the sum over threads, is NULL, or says that they
 * waited longer than the trial took. */
double cpu_wait_of(const double *wall_ns, const double *runqueue_ns, size_t n, double threads);

/* Above this cpu_wait a row deserves a warning, though no trial may stand out: every thread then
 * lost as much as the smallest change that a comparison reports (NOISE_THRESHOLD). */
#define CPU_WAIT_LIMIT 0.02
