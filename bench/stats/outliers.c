/* outliers: see outliers.h. */
#include "bench/stats/outliers.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autograd/base.h"
#include "bench/stats/moments.h"

static Fences fences_of_sorted(const double *sorted, size_t n)
{
    double q1 = percentile_of_sorted(sorted, n, 0.25);
    double q3 = percentile_of_sorted(sorted, n, 0.75), range = q3 - q1;
    return (Fences){q1 - 1.5 * range, q3 + 1.5 * range};
}

Fences tukey_fences(const double *x, size_t n)
{
    OWNED double *sorted = sorted_copy(x, n);
    return fences_of_sorted(sorted, n);
}

bool is_outlier(const Fences *f, double value)
{
    return value < f->low || value > f->high;
}

ZScale z_scale_of(const double *x, size_t n, double resolution)
{
    CHECK(n > 0, "no samples to compare with");
    double unit = MAD_TO_SIGMA * mad_of(x, n);
    return (ZScale){.median = median_of(x, n), .unit = unit > 0 ? unit : resolution};
}

double modified_z(const ZScale *scale, double value)
{
    double distance = fabs(value - scale->median);
    return distance == 0 ? 0 : distance / scale->unit;
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

static Usual usual_of(const double *x, size_t n)
{
    if (!x)
        return (Usual){NAN, NAN};
    OWNED double *known = xmalloc(n * sizeof *known);
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        if (!isnan(x[i]))
            known[count++] = x[i];
    OWNED double *sorted = sorted_copy(known, count);
    Usual usual = {.median = percentile_of_sorted(sorted, count, 0.5),
                   .high = fences_of_sorted(sorted, count).high};
    return usual;
}

UsualTrial usual_trial_of(const double *wall_ns, const TrialCounters *counters, size_t n)
{
    return (UsualTrial){
        .wall_ns = usual_of(wall_ns, n),
        .cpu_ns = usual_of(counters->cpu_ns, n),
        .runqueue_ns = usual_of(counters->runqueue_ns, n),
        .steal_ns = usual_of(counters->steal_ns, n),
        .minor_faults = usual_of(counters->minor_faults, n),
        .major_faults = usual_of(counters->major_faults, n),
        .involuntary_switches = usual_of(counters->involuntary_switches, n),
    };
}

/* A counter's value above its median; 0 for one that is not known. */
static double excess(const double *counter, const Usual *usual, size_t index)
{
    return counter && !isnan(counter[index]) ? fmax(counter[index] - usual->median, 0) : 0;
}

/* What trial `index` took beyond the median without using a CPU, waiting for one or losing one to
 * the host. NaN where the CPU time is not known. */
static double time_asleep(const double *wall_ns, const TrialCounters *c, const UsualTrial *usual,
                          size_t index)
{
    if (!c->cpu_ns)
        return NAN;
    return excess(wall_ns, &usual->wall_ns, index) - excess(c->cpu_ns, &usual->cpu_ns, index) -
           excess(c->runqueue_ns, &usual->runqueue_ns, index) -
           excess(c->steal_ns, &usual->steal_ns, index);
}

/* 212 ms, 3.4 ms, 0.25 ms: two digits or more. */
static int decimals_of_ms(double ms)
{
    return fabs(ms) >= 10 ? 0 : fabs(ms) >= 1 ? 1 : 2;
}

void outlier_describe(const double *wall_ns, const TrialCounters *counters, const UsualTrial *usual,
                      size_t index, long number, char *text, size_t size)
{
    const struct {
        const double *values;
        const Usual *usual;
        bool is_time;
        const char *words;
    } causes[] = {
        {counters->runqueue_ns, &usual->runqueue_ns, true, "waiting for a CPU"},
        {counters->steal_ns, &usual->steal_ns, true, "taken by other machines on this host"},
        {counters->minor_faults, &usual->minor_faults, false, "first touches of memory"},
        {counters->major_faults, &usual->major_faults, false,
         "page faults that waited for the disk"},
        {counters->involuntary_switches, &usual->involuntary_switches, false,
         "times taken off its CPU"},
    };
    double distance = (wall_ns[index] - usual->wall_ns.median) * 1e-6;
    size_t used = 0;
    bool explained = false;
    append(text, size, &used, "trial %ld: %+.*f ms", number, decimals_of_ms(distance), distance);
    for (size_t i = 0; i < COUNT_OF(causes); i++) {
        if (!causes[i].values || !(causes[i].values[index] > causes[i].usual->high))
            continue;
        double value = causes[i].values[index] * (causes[i].is_time ? 1e-6 : 1);
        append(text, size, &used, ", %.*f %s%s", causes[i].is_time ? decimals_of_ms(value) : 0,
               value, causes[i].is_time ? "ms " : "", causes[i].words);
        explained = true;
    }
    double asleep = time_asleep(wall_ns, counters, usual, index) * 1e-6;
    if (asleep > distance / 2)
        append(text, size, &used, ", %.*f ms asleep", decimals_of_ms(asleep), asleep);
    else if (!explained)
        append(text, size, &used, ", no cause seen by the kernel");
}

bool outlier_is_described(const char *sentences)
{
    const char mark[] = "trial ";
    for (const char *s = sentences; s; s = strstr(s, "; "), s = s ? s + 2 : NULL)
        if (strncmp(s, mark, sizeof mark - 1) == 0)
            return true;
    return false;
}

double cpu_wait_of(const double *wall_ns, const double *runqueue_ns, size_t n, double threads)
{
    if (!runqueue_ns)
        return NAN;
    OWNED double *share = xmalloc(n * sizeof *share);
    for (size_t i = 0; i < n; i++)
        share[i] = runqueue_ns[i] / (threads * wall_ns[i]);
    double median = median_of(share, n);
    return median <= 1 ? median : NAN;
}
