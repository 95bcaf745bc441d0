/* plausible: see plausible.h. */
#include "bench/machine/plausible.h"

#include <stdlib.h>

/* CPUs' worth of time that can be counted. The scheduler brings a running thread's CPU time up to
 * date only when its timer ticks, every 10 ms at the slowest, so the count is right on average
 * only. */
static double most_cpus(double threads, double measured_ms)
{
    const double slack = 1.2, tick_ms = 10;
    return threads * (slack + tick_ms / measured_ms);
}

int plausible(const Peaks *p, const Claim *c, Err *why)
{
    double limit = peaks_limit_of_product(p, c->product);
    if (c->gflops > limit)
        return err_set(why,
                       "%.4g GFLOP/s on %.0f threads is more than the %.4g this machine can reach",
                       c->gflops, p->threads, limit);
    if (c->cpus_used > most_cpus(p->threads, c->measured_ms))
        return err_set(why,
                       "its CPU time is %.3g times its time on %.0f threads: the clock is slow, or "
                       "other threads ran",
                       c->cpus_used, p->threads);
    return 0;
}

void guard_init(Guard *g)
{
    *g = (Guard){.measure = peaks_spawn};
}

void guard_release(Guard *g)
{
    free(g->at);
    guard_init(g);
}

const Peaks *guard_peaks(const Guard *g, int64_t threads)
{
    for (size_t i = 0; i < g->count; i++)
        if (g->at[i].threads == (double)threads)
            return &g->at[i];
    return NULL;
}

int guard_measure(Guard *g, int64_t threads, Err *err)
{
    const Peaks *known = guard_peaks(g, threads);
    Peaks p;
    if (g->measure(threads, &p, err) != 0)
        return -1;
    if (known) {
        peaks_raise(&g->at[known - g->at], &p);
        return 0;
    }
    g->at = xrealloc(g->at, (g->count + 1) * sizeof *g->at);
    g->at[g->count++] = p;
    return 0;
}

int guard_doubt(Guard *g, int64_t threads, const Claim *c, Err *err)
{
    enum { MORE_MEASUREMENTS = 3 };
    if (!guard_peaks(g, threads) && guard_measure(g, threads, err) != 0)
        return -1;
    for (int i = 0; i < MORE_MEASUREMENTS; i++) {
        if (!(c->gflops > peaks_of_product(guard_peaks(g, threads), c->product)))
            break;
        if (guard_measure(g, threads, err) != 0)
            return -1;
    }
    return 0;
}
