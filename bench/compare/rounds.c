/* rounds: see rounds.h. */
#include "bench/compare/rounds.h"

#include <math.h>
#include <stdlib.h>

#include "bench/util/interrupt.h"

const char *const entry_state_names[] = {[ENTRY_OK] = "ok",
                                         [ENTRY_FAILED] = "failed",
                                         [ENTRY_DIFFERS] = "differs",
                                         [ENTRY_IMPLAUSIBLE] = "implausible"};

/* ---- an entry ---- */

bool entry_failed(const Entry *e)
{
    return e->failure.msg[0] != '\0';
}

void entry_release(Entry *e)
{
    free(e->ms);
    e->ms = NULL;
}

static bool differs(const Entry *e)
{
    return e->has_parity && !e->parity.ok;
}

EntryState entry_state(const Entry *e, const Peaks *p)
{
    Err why;
    if (entry_failed(e))
        return ENTRY_FAILED;
    if (differs(e))
        return ENTRY_DIFFERS;
    return p && plausible(p, &e->claim, &why) != 0 ? ENTRY_IMPLAUSIBLE : ENTRY_OK;
}

double entry_peak_fraction(const Entry *e, const Peaks *p)
{
    return peaks_fraction(p, e->claim.product, e->claim.gflops);
}

RatioTest entry_ratio(const Entry *a, const Entry *b, size_t n)
{
    if (a == b || entry_failed(a) || entry_failed(b) || differs(a) || differs(b))
        return ratio_missing();
    return paired_ratio(b->ms, a->ms, a->rounds, bonferroni_level(CONFIDENCE_LEVEL, n - 1));
}

/* ---- turns ---- */

size_t turn_of(uint64_t seed, uint64_t stream, size_t round, size_t turn, size_t n)
{
    size_t first = (size_t)(rng_uniform(seed, stream, 2 * round) * (double)n);
    bool backwards = rng_uniform(seed, stream, 2 * round + 1) < 0.5;
    return (backwards ? first + n - turn : first + turn) % n;
}

int64_t turn_calls(double call_ns, double turn_ns)
{
    return (int64_t)fmax(1, ceil(turn_ns / fmax(1, call_ns)));
}

static void take_turn(Entry *e, size_t i, RoundsTurn *turn, void *ctx)
{
    Err err = {""};
    double ms = turn(ctx, i, &err);
    if (!err.msg[0])
        e->ms[e->rounds++] = ms;
    else if (!interrupted())
        e->failure = err;
}

/* Of those who did not fail. */
static size_t complete_rounds(Entry *const *e, size_t n)
{
    size_t complete = SIZE_MAX;
    for (size_t i = 0; i < n; i++)
        if (!entry_failed(e[i]) && e[i]->rounds < complete)
            complete = e[i]->rounds;
    return complete == SIZE_MAX ? 0 : complete;
}

static void summarise(Entry *e, size_t rounds)
{
    e->rounds = entry_failed(e) ? 0 : rounds;
    e->median_ms = median_of(e->ms, e->rounds);
    e->interval = median_interval(e->ms, e->rounds, CONFIDENCE_LEVEL);
}

int rounds_run(Entry *const *e, size_t n, const RoundsPlan *p, RoundsTurn *turn, void *ctx)
{
    for (size_t i = 0; i < n; i++) {
        e[i]->ms = xcalloc(p->rounds, sizeof *e[i]->ms);
        e[i]->rounds = 0;
    }
    for (size_t round = 0; round < p->rounds; round++)
        for (size_t i = 0; i < n && !interrupted(); i++) {
            size_t next = turn_of(p->seed, p->stream, round, i, n);
            if (!entry_failed(e[next]))
                take_turn(e[next], next, turn, ctx);
        }
    size_t complete = complete_rounds(e, n);
    for (size_t i = 0; i < n; i++)
        summarise(e[i], complete);
    for (size_t i = 0; i < n; i++)
        e[i]->ratio = entry_ratio(e[0], e[i], n);
    return interrupted() && complete == 0 ? -1 : 0;
}
