/* outliers: see outliers.h. */
#include "outliers.h"

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "../autograd/base.h"
#include "moments.h"

Fences tukey_fences(const double *x, size_t n)
{
    double *sorted = sorted_copy(x, n);
    double q1 = percentile_of_sorted(sorted, n, 0.25, PERCENTILE_HF7);
    double q3 = percentile_of_sorted(sorted, n, 0.75, PERCENTILE_HF7), range = q3 - q1;
    free(sorted);
    return (Fences){q1 - 3 * range, q1 - 1.5 * range, q3 + 1.5 * range, q3 + 3 * range};
}

OutlierLabel outlier_label(const Fences *f, double value)
{
    if (value < f->severe_low)
        return OUTLIER_SEVERE_LOW;
    if (value < f->mild_low)
        return OUTLIER_MILD_LOW;
    if (value > f->severe_high)
        return OUTLIER_SEVERE_HIGH;
    return value > f->mild_high ? OUTLIER_MILD_HIGH : OUTLIER_NOT;
}

const char *outlier_label_name(OutlierLabel label)
{
    static const char *const names[] = {
        [OUTLIER_NOT] = "",
        [OUTLIER_SEVERE_LOW] = "severe_low",
        [OUTLIER_MILD_LOW] = "mild_low",
        [OUTLIER_MILD_HIGH] = "mild_high",
        [OUTLIER_SEVERE_HIGH] = "severe_high",
    };
    CHECK((size_t)label < COUNT_OF(names), "outlier label %d", (int)label);
    return names[label];
}

double modified_z(const double *x, size_t n, double value, double resolution)
{
    CHECK(n > 0, "no samples to compare with");
    double distance = fabs(value - median_of(x, n)), unit = MAD_TO_SIGMA * mad_of(x, n);
    if (unit == 0)
        unit = resolution;
    return distance == 0 ? 0 : distance / unit;
}

/* Appends to text[size], cutting what does not fit. */
static void append(char *text, size_t size, size_t *used, const char *fmt, ...)
{
    if (*used >= size)
        return;
    va_list ap;
    va_start(ap, fmt);
    int wrote = vsnprintf(text + *used, size - *used, fmt, ap);
    va_end(ap);
    *used += wrote > 0 ? (size_t)wrote : 0;
}

/* Whether counter[index] lies above the fence of the counter's known values. */
static bool above_own_fence(const double *counter, size_t n, size_t index)
{
    if (!counter || isnan(counter[index]))
        return false;
    double *known = xmalloc(n * sizeof *known);
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        if (!isnan(counter[i]))
            known[count++] = counter[i];
    Fences fences = tukey_fences(known, count);
    free(known);
    return outlier_label(&fences, counter[index]) >= OUTLIER_MILD_HIGH;
}

/* A counter's value above its median; 0 for one that is not known. */
static double excess(const double *counter, size_t n, size_t index)
{
    return counter && !isnan(counter[index]) ? fmax(counter[index] - median_of(counter, n), 0) : 0;
}

/* What trial `index` took beyond the median without using a CPU, waiting for one or losing one to the
 * host. NaN where the CPU time is not known. */
static double time_asleep(const double *wall_ns, size_t n, size_t index, const TrialCounters *c)
{
    if (!c->cpu_ns)
        return NAN;
    return excess(wall_ns, n, index) - excess(c->cpu_ns, n, index) -
           excess(c->runqueue_ns, n, index) - excess(c->steal_ns, n, index);
}

/* 212 ms, 3.4 ms, 0.25 ms: two digits or more. */
static int decimals_of_ms(double ms)
{
    return fabs(ms) >= 10 ? 0 : fabs(ms) >= 1 ? 1 : 2;
}

void outlier_describe(const double *wall_ns, size_t n, size_t index, long number,
                      const TrialCounters *counters, char *text, size_t size)
{
    CHECK(index < n, "trial %zu of %zu", index, n);
    const struct {
        const double *values;
        bool is_time;
        const char *words;
    } causes[] = {
        {counters->runqueue_ns, true, "waiting for a CPU"},
        {counters->steal_ns, true, "taken by other machines on this host"},
        {counters->minor_faults, false, "first touches of memory"},
        {counters->major_faults, false, "page faults that waited for the disk"},
        {counters->involuntary_switches, false, "times taken off its CPU"},
    };
    double distance = (wall_ns[index] - median_of(wall_ns, n)) * 1e-6;
    size_t used = 0;
    bool explained = false;
    append(text, size, &used, "trial %ld: %+.*f ms", number, decimals_of_ms(distance), distance);
    for (size_t i = 0; i < COUNT_OF(causes); i++) {
        if (!above_own_fence(causes[i].values, n, index))
            continue;
        double value = causes[i].values[index] * (causes[i].is_time ? 1e-6 : 1);
        append(text, size, &used, ", %.*f %s%s", causes[i].is_time ? decimals_of_ms(value) : 0,
               value, causes[i].is_time ? "ms " : "", causes[i].words);
        explained = true;
    }
    double asleep = time_asleep(wall_ns, n, index, counters) * 1e-6;
    if (asleep > distance / 2)
        append(text, size, &used, ", %.*f ms asleep", decimals_of_ms(asleep), asleep);
    else if (!explained)
        append(text, size, &used, ", no cause seen by the kernel");
}

double cpu_wait_of(const double *wall_ns, const double *runqueue_ns, size_t n, double threads)
{
    if (!runqueue_ns)
        return NAN;
    double *share = xmalloc(n * sizeof *share);
    for (size_t i = 0; i < n; i++)
        share[i] = runqueue_ns[i] / (threads * wall_ns[i]);
    double median = median_of(share, n);
    free(share);
    return median;
}
