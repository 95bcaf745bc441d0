/* steady: see steady.h. The order of the functions is the order of the algorithm. */
#include "bench/stats/steady.h"

#include <math.h>
#include <stdlib.h>

#include "autograd/base.h"
#include "bench/stats/moments.h"

enum { FEWEST_TRIALS = 6, FEWEST_FOR_AUTOCORRELATION = 15 };

static const double SMALLEST_SIGMA = 1e-4;
static const double SPIKE_SIGMAS = 5;
static const double PENALTY_PER_LOG_N = 4;
static const double LARGEST_AUTOCORRELATION = 0.7;

const char *steady_class_name(SteadyClass c)
{
    static const char *const names[] = {
        [STEADY_TOO_FEW] = "too_few",
        [STEADY_FLAT] = "flat",
        [STEADY_WARMUP] = "warmup",
        [STEADY_SLOWDOWN] = "slowdown",
        [STEADY_NONE] = "no_steady_state",
        [STEADY_GOOD_INCONSISTENT] = "good_inconsistent",
        [STEADY_BAD_INCONSISTENT] = "bad_inconsistent",
    };
    CHECK((size_t)c < COUNT_OF(names), "steady class %d", (int)c);
    return names[c];
}

/* Noise from the differences of neighbours, which a few level shifts do not move. */
static double sigma_from_differences(const double *y, size_t n, double floor)
{
    OWNED double *step = xmalloc(n * sizeof *step);
    for (size_t i = 0; i + 1 < n; i++)
        step[i] = fabs(y[i + 1] - y[i]);
    double sigma = MAD_TO_SIGMA * median_of(step, n - 1) / M_SQRT2;
    return fmax(sigma, floor);
}

/* Copies y to z with lone spikes replaced by the median of the five trials around them (fewer at
 * the ends). The first trial stays: being slow is its nature, not noise. Returns how many. */
static size_t despike(const double *y, size_t n, double sigma, double *z)
{
    size_t spikes = 0;
    z[0] = y[0];
    for (size_t i = 1; i < n; i++) {
        size_t from = i >= 2 ? i - 2 : 0, to = i + 3 <= n ? i + 3 : n;
        double around = median_of(y + from, to - from);
        bool far = fabs(y[i] - around) > SPIKE_SIGMAS * sigma;
        bool left_near = fabs(y[i - 1] - around) <= SPIKE_SIGMAS * sigma;
        bool right_near = i + 1 == n || fabs(y[i + 1] - around) <= SPIKE_SIGMAS * sigma;
        bool spike = far && left_near && right_near;
        z[i] = spike ? around : y[i];
        spikes += spike;
    }
    return spikes;
}

/* Running sums of y and y^2 over the first i values, so that the cost of any segment takes constant
 * time; taken from y[0] against cancellation. */
typedef struct Sums {
    double plain, squares;
} Sums;

static Sums *sums_new(const double *y, size_t n)
{
    Sums *sums = xcalloc(n + 1, sizeof *sums);
    for (size_t i = 0; i < n; i++) {
        double d = y[i] - y[0];
        sums[i + 1] = (Sums){sums[i].plain + d, sums[i].squares + d * d};
    }
    return sums;
}

/* sum (y - mean)^2 / sigma^2 over from..to-1. */
static double segment_cost(const Sums *sums, size_t from, size_t to, double sigma)
{
    double sum = sums[to].plain - sums[from].plain;
    double squares = sums[to].squares - sums[from].squares;
    return fmax(squares - sum * sum / (double)(to - from), 0) / (sigma * sigma);
}

/* How many boundaries are looked at, and where the k-th of them is, the 0-th before the first
 * value. */
static size_t boundary_count(size_t n)
{
    return n < STEADY_EXACT_N ? n : STEADY_EXACT_N;
}

static size_t boundary_at(size_t k, size_t n)
{
    const size_t every = STEADY_EXACT_N / 2, rest = STEADY_EXACT_N - every;
    if (n <= STEADY_EXACT_N || k <= every)
        return k;
    return every + (k - every) * (n - every) / rest;
}

/* Walks the best last boundaries back from the end and writes the segments' ends in ascending
 * order. */
static size_t ends_from_boundaries(const size_t *last, size_t n, size_t *ends)
{
    size_t count = 0;
    for (size_t t = boundary_count(n); t > 0; t = last[t])
        count++;
    size_t i = count;
    for (size_t t = boundary_count(n); t > 0; t = last[t])
        ends[--i] = boundary_at(t, n);
    return count;
}

size_t steady_segments(const double *y, size_t n, double sigma, double penalty, size_t *ends)
{
    CHECK(n > 0 && sigma > 0, "%zu values with noise %g", n, sigma);
    OWNED Sums *sums = sums_new(y, n);
    size_t places = boundary_count(n), room = places + 1;
    OWNED double *best = xmalloc(room * sizeof *best);   /* F(t): least cost up to boundary t */
    OWNED size_t *last = xmalloc(room * sizeof *last);   /* where its last segment begins */
    OWNED size_t *live = xmalloc(room * sizeof *live);   /* boundaries that may still be the best */
    OWNED double *total = xmalloc(room * sizeof *total); /* F(live) + cost from there to t */
    size_t live_count = 1;
    best[0] = -penalty;
    live[0] = 0;
    for (size_t t = 1; t <= places; t++) {
        size_t end = boundary_at(t, n);
        best[t] = INFINITY;
        for (size_t i = 0; i < live_count; i++) {
            total[i] = best[live[i]] + segment_cost(sums, boundary_at(live[i], n), end, sigma);
            if (total[i] + penalty < best[t]) {
                best[t] = total[i] + penalty;
                last[t] = live[i];
            }
        }
        size_t kept = 0;
        for (size_t i = 0; i < live_count; i++)
            if (total[i] <= best[t])
                live[kept++] = live[i];
        live[kept++] = t;
        live_count = kept;
    }
    return ends_from_boundaries(last, n, ends);
}

static void segment_means(const double *y, const size_t *ends, size_t count, double *means)
{
    for (size_t j = 0, from = 0; j < count; from = ends[j++])
        means[j] = mean_of(y + from, ends[j] - from);
}

/* Lag-1 autocorrelation of what the segments leave over, with the bias correction 1/n. */
static double residual_autocorrelation(const double *y, size_t n, const size_t *ends,
                                       const double *means)
{
    double products = 0, squares = 0, previous = 0;
    for (size_t i = 0, j = 0; i < n; i++) {
        if (i == ends[j])
            j++;
        double residual = y[i] - means[j];
        squares += residual * residual;
        products += residual * previous;
        previous = residual;
    }
    double rho = (squares > 0 ? products / squares : 0) + 1 / (double)n;
    return fmin(fmax(rho, 0), LARGEST_AUTOCORRELATION);
}

/* One classification under way: n log times without spikes, and their segments. */
typedef struct Levels {
    double *z;     /* [n] */
    size_t *ends;  /* [count], room for n */
    double *means; /* [count], room for n */
    size_t n, count;
    double sigma;
} Levels;

static void levels_segment(Levels *l)
{
    double penalty = PENALTY_PER_LOG_N * log((double)l->n);
    l->count = steady_segments(l->z, l->n, l->sigma, penalty, l->ends);
    segment_means(l->z, l->ends, l->count, l->means);
}

/* Correlated noise looks like level shifts, and differences underestimate it: widen sigma by both
 * effects and segment once more. */
static void levels_allow_autocorrelation(Levels *l)
{
    if (l->n < FEWEST_FOR_AUTOCORRELATION)
        return;
    double rho = residual_autocorrelation(l->z, l->n, l->ends, l->means);
    if (rho <= 1 / sqrt((double)l->n))
        return;
    l->sigma *= sqrt((1 + rho) / (1 - rho)) / sqrt(1 - rho);
    levels_segment(l);
}

static size_t levels_begin(const Levels *l, size_t segment)
{
    return segment == 0 ? 0 : l->ends[segment - 1];
}

static bool equivalent_to_last(const Levels *l, size_t segment, double delta)
{
    size_t last = l->count - 1;
    double length = (double)(l->ends[segment] - levels_begin(l, segment));
    double last_length = (double)(l->n - levels_begin(l, last));
    double noise = 2 * l->sigma * sqrt(1 / length + 1 / last_length);
    return fabs(l->means[segment] - l->means[last]) <= fmax(delta, noise);
}

/* Walks back from the end while segments are equivalent to the last; *start is the first trial of
 * those. */
static SteadyClass levels_classify(const Levels *l, double delta, size_t *start)
{
    size_t first = l->count - 1;
    while (first > 0 && equivalent_to_last(l, first - 1, delta))
        first--;
    *start = levels_begin(l, first);
    if (first == 0)
        return STEADY_FLAT;
    if ((double)(l->n - *start) < fmax(3, (double)l->n / 4))
        return STEADY_NONE;
    return l->means[first - 1] > l->means[l->count - 1] ? STEADY_WARMUP : STEADY_SLOWDOWN;
}

static Steady steady_unknown(SteadyClass c)
{
    return (Steady){.steady_class = c,
                    .steady_start = NAN,
                    .warmups_needed = NAN,
                    .first_over_steady = NAN,
                    .steady_mean = NAN,
                    .sigma = NAN};
}

/* The segmentation of n >= 6 positive times; *start as levels_classify gives it. */
static Steady segment_and_classify(const double *x, size_t n, double delta, double sigma_floor,
                                   size_t *start)
{
    OWNED double *y = xmalloc(n * sizeof *y), *z = xmalloc(n * sizeof *z),
                 *means = xmalloc(n * sizeof *means);
    OWNED size_t *ends = xmalloc(n * sizeof *ends);
    for (size_t i = 0; i < n; i++)
        y[i] = log(x[i]);
    Levels l = {z, ends, means, n, 0, sigma_from_differences(y, n, sigma_floor)};
    Steady s = steady_unknown(STEADY_NONE);
    s.outliers = despike(y, n, l.sigma, l.z);
    levels_segment(&l);
    levels_allow_autocorrelation(&l);
    s.steady_class = levels_classify(&l, delta, start);
    s.segments = l.count;
    s.sigma = l.sigma;
    return s;
}

Steady steady_of(const double *x, size_t n, double delta, double resolution)
{
    for (size_t i = 0; i < n; i++)
        if (!(x[i] > 0 && isfinite(x[i])))
            return steady_unknown(STEADY_NONE);
    Steady s = steady_unknown(STEADY_TOO_FEW);
    size_t start = 0;
    if (n >= FEWEST_TRIALS)
        s = segment_and_classify(x, n, delta, fmax(SMALLEST_SIGMA, resolution / mean_of(x, n)),
                                 &start);
    bool steady = s.steady_class != STEADY_TOO_FEW && s.steady_class != STEADY_NONE;
    if (steady) {
        s.steady_start = (double)start + 1;
        s.steady_mean = mean_of(x + start, n - start);
        if (s.steady_class != STEADY_SLOWDOWN)
            s.warmups_needed = (double)start;
    }
    size_t from = steady ? start : 1;
    if (n >= 2)
        s.first_over_steady = x[0] / median_of(x + from, n - from);
    return s;
}

SteadyClass steady_class_of_processes(const SteadyClass *classes, size_t count)
{
    CHECK(count > 0, "no process");
    bool same = true, good = true;
    for (size_t i = 0; i < count; i++) {
        same = same && classes[i] == classes[0];
        good = good && (classes[i] == STEADY_FLAT || classes[i] == STEADY_WARMUP);
    }
    return same ? classes[0] : good ? STEADY_GOOD_INCONSISTENT : STEADY_BAD_INCONSISTENT;
}

bool steady_warmed_up(const double *x, size_t n, double delta)
{
    Steady s = steady_of(x, n, delta, 0);
    if (s.steady_class != STEADY_FLAT && s.steady_class != STEADY_WARMUP)
        return false;
    return (double)n - s.warmups_needed >= fmax(5, (double)n / 3);
}

bool steady_window_settled(const double *x, size_t n)
{
    enum { WINDOW = 5, WINDOWS = 3 };
    if (n < WINDOW)
        return false;
    if (cv_of(x + n - WINDOW, WINDOW) <= 0.01)
        return true;
    if (n < WINDOW * WINDOWS)
        return false;
    double means[WINDOWS];
    for (size_t i = 0; i < WINDOWS; i++)
        means[i] = mean_of(x + n - (i + 1) * WINDOW, WINDOW);
    return max_of(means, WINDOWS) <= 1.1 * min_of(means, WINDOWS);
}
