/* rounds: entries that are compared take turns, and what their times say: the one engine of `tare
 * compare`, its classifiers, `tare precision` and the noise test of `tare doctor`.
 *
 * The one idea: a round gives each entry one turn, in a cyclic order whose start and direction are
 * drawn anew from the seed, so whatever drifts drifts for all of them and times are compared round
 * by round. An entry that fails takes no more turns and has no figures. An interruption keeps the
 * rounds that every other entry has finished. What a turn does is the caller's business; it fills
 * in parity and claim. */
#pragma once

#include "bench/compare/parity.h"
#include "bench/machine/plausible.h"
#include "bench/stats/rank_tests.h"
#include "bench/stats/stats.h"

/* A turn is one sample: the mean of as many calls as fill TURN_NS, at least one. Where a call is
 * shorter than UNTIMED_CALL_NS an untimed one goes first: the others have had the caches
 * meanwhile. */
enum { TURN_NS = 5000000, UNTIMED_CALL_NS = 100000000 };

/* One that is compared. */
typedef struct Entry {
    struct Implementation *implementation; /* borrowed; NULL where others than workers take turns */
    double *ms;                            /* [rounds] samples, in their order */
    size_t rounds;                         /* complete ones; 0 after a failure */
    double median_ms;                      /* of the samples, and its interval */
    Interval interval;                     /* at CONFIDENCE_LEVEL */
    /* entry 0's time over this one's, see entry_ratio; missing for entry 0 itself */
    RatioTest ratio;
    bool has_parity; /* its output was compared with entry 0's */
    Parity parity;
    Claim claim; /* of its matrix work */
    Err failure; /* "" = none; otherwise there are no figures */
} Entry;

bool entry_failed(const Entry *e);
void entry_release(Entry *e);

/* What may be said of an entry's figures. Only of ENTRY_OK a speed-up is shown. */
typedef enum EntryState {
    ENTRY_OK,
    ENTRY_FAILED,     /* there are no figures */
    ENTRY_DIFFERS,    /* its output is not entry 0's */
    ENTRY_IMPLAUSIBLE /* faster than the machine */
} EntryState;
extern const char *const entry_state_names[]; /* "ok", "failed", ... as in results */

/* p: the peaks of its threads; NULL: not known, and everything is plausible. */
EntryState entry_state(const Entry *e, const Peaks *p);

/* Its rate as a share of the peak; NaN where one of them is not known. */
double entry_peak_fraction(const Entry *e, const Peaks *p);

/* a's time over b's, paired by round, among n entries (so at Bonferroni's level for n - 1
 * comparisons). Missing where one of them failed or has other outputs than entry 0. */
RatioTest entry_ratio(const Entry *a, const Entry *b, size_t n);

typedef struct RoundsPlan {
    uint64_t seed, stream; /* of the order; `stream` sets comparisons of one seed apart */
    size_t rounds;
} RoundsPlan;

/* One turn of entry i, which has finished e[i]->rounds of them: its sample in ms. Or a failure in
 * *err; one while we are interrupted is none of the entry's. */
typedef double RoundsTurn(void *ctx, size_t i, Err *err);

/* Takes the turns of those that have not failed, then fills ms, rounds, median, interval and ratio
 * of all. -1: interrupted before the first round was complete. */
int rounds_run(Entry *const *e, size_t n, const RoundsPlan *p, RoundsTurn *turn, void *ctx);

/* Who has turn number `turn` of `round`, among n. */
size_t turn_of(uint64_t seed, uint64_t stream, size_t round, size_t turn, size_t n);

/* Calls of call_ns each in a turn of at least turn_ns. */
int64_t turn_calls(double call_ns, double turn_ns);
