/* plausible: see plausible.h. */
#include "bench/row/plausible.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/row/support.h"

void guard_init(Guard *g)
{
    *g = (Guard){.measure = peaks_spawn};
}

void guard_release(Guard *g)
{
    free(g->at);
    guard_init(g);
}

static Peaks *find_or_measure(Guard *g, int64_t threads, Err *err)
{
    for (size_t i = 0; i < g->count; i++)
        if (g->at[i].threads == (double)threads)
            return &g->at[i];
    Peaks p;
    if (g->measure(threads, &p, err) != 0)
        return NULL;
    g->at = xrealloc(g->at, (g->count + 1) * sizeof *g->at);
    g->at[g->count] = p;
    return &g->at[g->count++];
}

const Peaks *guard_peaks(Guard *g, int64_t threads, Err *err)
{
    return find_or_measure(g, threads, err);
}

/* The scheduler brings a running thread's CPU time up to date only when its timer ticks, every 10 ms at
 * the slowest, so what falls into the trials is right on average only: hence the room. */
static double most_cpus(const RowResult *r)
{
    const double slack = 1.2, tick_ms = 10;
    double measured_ms = r->mean_time_ms * (double)r->config.num_trials;
    return (double)r->config.threads * (slack + tick_ms / measured_ms);
}

void guard_compare(const Peaks *p, RowResult *r)
{
    DType product = row_product(&r->config);
    double limit = peaks_limit_of_product(p, product);
    r->peak_gflops_per_s = peaks_of_product(p, product);
    r->peak_fraction = r->gflops_per_s / r->peak_gflops_per_s;
    if (r->gflops_per_s > limit) {
        text_set(r->status, STATUS_IMPLAUSIBLE);
        snprintf(r->status_reason, TEXT_SIZE,
                 "%.4g GFLOP/s on %.0f threads is more than the %.4g this machine can reach",
                 r->gflops_per_s, p->threads, limit);
    } else if (r->cpus_used > most_cpus(r)) {
        text_set(r->status, STATUS_IMPLAUSIBLE);
        snprintf(r->status_reason, TEXT_SIZE,
                 "its CPU time is %.3g times its time on %.0f threads: the clock is slow, or other "
                 "threads ran",
                 r->cpus_used, p->threads);
    }
}

int guard_judge(Guard *g, RowResult *r, Err *err)
{
    enum { MORE_MEASUREMENTS = 3 };
    if (strcmp(r->status, STATUS_OK) != 0)
        return 0;
    Peaks *p = find_or_measure(g, r->config.threads, err);
    if (!p)
        return -1;
    DType product = row_product(&r->config);
    for (int i = 0; i < MORE_MEASUREMENTS && r->gflops_per_s > peaks_of_product(p, product); i++) {
        Peaks again;
        if (g->measure(r->config.threads, &again, err) != 0)
            return -1;
        peaks_raise(p, &again);
    }
    guard_compare(p, r);
    return 0;
}
