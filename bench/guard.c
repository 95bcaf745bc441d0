/* guard: see guard.h. */
#include "guard.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void guard_init(Guard *g)
{
    *g = (Guard){0};
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
    if (peaks_spawn(threads, &p, err) != 0)
        return NULL;
    g->at = xrealloc(g->at, (g->count + 1) * sizeof *g->at);
    g->at[g->count] = p;
    return &g->at[g->count++];
}

const Peaks *guard_peaks(Guard *g, int64_t threads, Err *err)
{
    return find_or_measure(g, threads, err);
}

void guard_compare(const Peaks *p, RowResult *r)
{
    r->peak_gflops_per_s = peaks_measured(p);
    r->peak_fraction = r->gflops_per_s / r->peak_gflops_per_s;
    if (!(r->gflops_per_s > peaks_limit(p)))
        return;
    text_set(r->status, STATUS_IMPLAUSIBLE);
    snprintf(r->status_reason, TEXT_SIZE,
             "%.4g GFLOP/s on %.0f threads is more than the %.4g this machine can reach",
             r->gflops_per_s, p->threads, peaks_limit(p));
}

int guard_judge(Guard *g, RowResult *r, Err *err)
{
    enum { MORE_MEASUREMENTS = 3 };
    if (strcmp(r->status, STATUS_OK) != 0)
        return 0;
    Peaks *p = find_or_measure(g, r->config.threads, err);
    if (!p)
        return -1;
    for (int i = 0; i < MORE_MEASUREMENTS && r->gflops_per_s > peaks_limit(p); i++) {
        Peaks again;
        if (peaks_spawn(r->config.threads, &again, err) != 0)
            return -1;
        peaks_raise(p, &again);
    }
    guard_compare(p, r);
    return 0;
}
