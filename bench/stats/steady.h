/* steady: when did the trials of one process become steady, if they did?
 *
 * The one idea: change points on log times. After Barrett et al. (OOPSLA 2017) with PELT (Killick,
 * Fearnhead & Eckley, JASA 2012), but for 10 to 200 trials instead of 2000: the noise is estimated
 * from the differences of neighbours, segments differ in mean only, one trial may be a segment, and
 * what counts as equal is a fraction of the time. Times enter as ratios only, so the unit does not
 * matter. It labels; it drops no sample. Pure functions of one process's trials, warm-ups included,
 * in run order. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

typedef enum SteadyClass {
    STEADY_TOO_FEW,           /* fewer than 6 trials */
    STEADY_FLAT,              /* steady from the first trial on */
    STEADY_WARMUP,            /* slower, then steady */
    STEADY_SLOWDOWN,          /* faster, then steady */
    STEADY_NONE,              /* still changing in the last quarter (at least 3 trials) */
    STEADY_GOOD_INCONSISTENT, /* several processes: some flat, some warm-up */
    STEADY_BAD_INCONSISTENT   /* several processes that differ in any other way */
} SteadyClass;

/* "too_few", "flat", "warmup", "slowdown", "no_steady_state", "good_inconsistent",
 * "bad_inconsistent". */
const char *steady_class_name(SteadyClass c);

/* Levels closer than this fraction are the same; doctor's measured noise floor is a better one. */
#define STEADY_DELTA 0.03

/* NaN where there is no such figure. */
typedef struct Steady {
    SteadyClass steady_class;
    double steady_start; /* number, from 1, of the first steady trial; flat, warmup and slowdown */
    double warmups_needed; /* trials before steady_start; flat and warmup */
    /* first trial / median of the steady ones; of all later ones where none is steady. n >= 2, for
     * every class: a first trial 10 % slow is more than the classifier can see */
    double first_over_steady;
    double steady_mean; /* mean of the steady trials, in the samples' unit */
    double sigma;       /* the noise, as a fraction of a trial's time; n >= 6 */
    size_t segments;    /* levels found, 0 for n < 6 */
    size_t outliers;    /* lone spikes that the segmentation looked past */
} Steady;

/* Classifies n trials. `resolution` is the clock's step in the samples' unit, 0 when it is
 * negligible: the noise is taken to be at least that. A trial that is not a positive time means
 * STEADY_NONE. */
Steady steady_of(const double *x, size_t n, double delta, double resolution);

/* Several processes of one row: their common class, or one of the inconsistent ones. count > 0. */
SteadyClass steady_class_of_processes(const SteadyClass *classes, size_t count);

/* num_warmups = "auto": flat or warm-up with at least max(5, n/3) steady trials among the n so far.
 * The statistics then need fresh trials: these were chosen for looking steady. */
bool steady_warmed_up(const double *x, size_t n, double delta);

/* The cheaper rules other tools use while running, offered as the "window" warm-up mode only: the
 * means of the last 3 windows of 5 trials are within 10 %, or the last 5 trials have a CV of at
 * most 1 %. */
bool steady_window_settled(const double *x, size_t n);

/* Up to so many values the segmentation is exact. */
#define STEADY_EXACT_N 2000

/* The segmentation itself, for any series: the boundaries that minimise sum over segments of sum (y
 * - mean)^2 / sigma^2 + penalty * (segments - 1). Writes each segment's end (one past its last
 * index) to ends[0..n-1] in ascending order and returns how many. n > 0. Its time grows with the
 * square of the places where a boundary may be, so of a series longer than STEADY_EXACT_N only so
 * many are looked at: each of the first half of them, where warming up happens, and the rest at
 * even distances over the remaining values. The costs stay those of all values. */
size_t steady_segments(const double *y, size_t n, double sigma, double penalty, size_t *ends);
