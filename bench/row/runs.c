/* runs: see runs.h. */
#include "bench/row/runs.h"

#include <string.h>

#include "bench/row/config.h"
#include "bench/row/probe.h"
#include "bench/stats/steady.h"

enum {
    /* num_warmups = "auto" or "window" looks after each block of runs, up to a maximum. */
    WARMUP_BLOCK = 5,
    MAX_AUTO_WARMUPS = 100,
};

int32_t *random_ids(const RowConfig *c, size_t count, size_t vocab, uint64_t stream)
{
    int32_t *ids = xmalloc(count * sizeof *ids);
    for (size_t i = 0; i < count; i++)
        ids[i] = (int32_t)(rng_uniform((uint64_t)c->seed, stream, i) * (double)vocab);
    return ids;
}

static void run_many(const Runs *runs, Probe *probe, int64_t count, bool warmup)
{
    for (int64_t i = 0; i < count; i++) {
        Sample s = runs->once(runs->what);
        s.trial = (int64_t)runs->samples->count + 1;
        s.is_warmup = warmup;
        s.process = 1;
        probe_after(probe, &s);
        samples_add(runs->samples, s);
        if (runs->after_trial && !warmup)
            runs->after_trial(runs->what, s.trial, runs->samples);
    }
}

/* Warms up in blocks until the runs look steady, by the cheaper rule if `window`. These runs are no
 * trials: they were chosen for looking steady. Returns the number of runs. */
static int64_t warm_up_until_steady(const Runs *runs, Probe *probe, bool window)
{
    double ns[MAX_AUTO_WARMUPS];
    int64_t done = 0;
    bool steady;
    do {
        run_many(runs, probe, WARMUP_BLOCK, true);
        done += WARMUP_BLOCK;
        size_t n = samples_column(runs->samples, ALL_RUNS, "wall_ns", 1, ns);
        steady = window ? steady_window_settled(ns, n) : steady_warmed_up(ns, n, STEADY_DELTA);
    } while (done < MAX_AUTO_WARMUPS && !steady);
    return done;
}

int64_t run_all(const Runs *runs, const RowConfig *c)
{
    bool automatic = row_config_finds_warmups(c);
    int64_t most = automatic ? MAX_AUTO_WARMUPS : c->num_warmups;
    samples_reserve(runs->samples, (size_t)(most + c->num_trials));
    int64_t warmups = c->num_warmups;
    Probe probe = {0};
    if (!runs->no_probe)
        probe_open(&probe, (int)c->threads);
    if (automatic)
        warmups = warm_up_until_steady(runs, &probe, strcmp(c->warmup_mode, "window") == 0);
    else
        run_many(runs, &probe, warmups, true);
    run_many(runs, &probe, c->num_trials, false);
    probe_close(&probe);
    return warmups;
}
