/* serving: a trained sentiment classifier, measured beside its peers: single requests from text to
 * label, and how often the label is right.
 *
 * Every implementation is started a few times for its cold figures (process, model load, first request),
 * then labels every text once, which is where accuracy and the proof of parity come from. After the
 * warmups they take turns: a round gives each of them one turn, in a random cyclic order; a turn is one
 * request for every benchmark sample, in an order drawn anew and the same for all, behind one untimed
 * request, for the others have had the caches meanwhile. Nothing is subtracted from any time. */
#ifndef TARE_BENCH_SERVING_SERVING_H
#define TARE_BENCH_SERVING_SERVING_H

#include "bench/compare/implementation.h"
#include "bench/compare/parity.h"
#include "bench/machine/plausible.h"
#include "bench/text/jsonl.h"
#include "bench/stats/rank_tests.h"
#include "bench/serving/config.h"
#include "bench/stats/stats.h"

/* One implementation. */
typedef struct ServingEntry {
    Implementation *implementation;
    double start_ms, load_ms, first_ms; /* medians of the cold starts */
    int32_t *labels;                    /* [num_texts]; NULL where it failed before */
    int32_t *lengths;                   /* [num_texts], ids of each text */
    double *ms, *tokenizer_ms;          /* [rounds][samples], in the order of the requests */
    double *round_ms, *round_mean_ms;   /* [rounds], the median and the mean of each */
    size_t rounds;                      /* complete ones */
    Summary latency;                    /* of all requests */
    double text_p99; /* 99th percentile of a request's time over the median of the same text */
    Interval median_interval; /* that of the rounds' medians: requests of one round are alike */
    double tokenizer_share;   /* of the time of all requests */
    bool has_parity;          /* not for tare itself */
    Parity parity;
    RatioTest ratio; /* tare's time over this one's, paired by round; missing without parity */
    Err failure;     /* "" = none; otherwise there is no latency */
} ServingEntry;

typedef struct Serving {
    const ServingConfig *config;
    Project project;
    ModelFiles model;
    Labels labels;
    LabelledTexts sets[NUM_SETS]; /* an empty one was left out */
    size_t num_texts;             /* of all sets, which stand one after the other */
    size_t max_length;            /* ids of a text */
    Implementation implementations[NUM_IMPLEMENTATIONS];
    Guard guard;
    double other_cpus;                         /* kept busy by others before anything was started */
    char folder[TEMPORARY_FOLDER];             /* temporary, for outputs */
    ServingEntry entries[NUM_IMPLEMENTATIONS]; /* ours first */
    size_t count;
} Serving;

/* Reads model and texts. A missing test set is a line on stderr. -1: exit 2. Release also after -1. */
int serving_open(Serving *s, const ServingConfig *c, Err *err);
void serving_release(Serving *s);

/* Starts the implementations (implementations_start) and measures the machine's peaks. */
int serving_start(Serving *s, bool *misbehaved, Err *err);

/* Measures. An implementation that fails has its failure in its entry, the others go on. After an
 * interruption the complete rounds count. -1: interrupted before there was one, or an output file cannot
 * be made. */
int serving_measure(Serving *s, Err *err);

/* Model FLOPs of the benchmark samples over the time of the median round, in GFLOP/s. */
double serving_entry_gflops(const Serving *s, const ServingEntry *c);

/* That as a share of the peak; NaN where the peaks are not known. */
double serving_entry_peak_fraction(const Serving *s, const ServingEntry *c);
/* Whether the machine can do it; *why as of plausible.h. */
bool serving_entry_plausible(const Serving *s, const ServingEntry *c, Err *why);

/* The peaks of the comparison's threads; NULL = not known. */
const Peaks *serving_peaks(const Serving *s);

EntryState serving_entry_state(const Serving *s, const ServingEntry *c);

/* a's time over b's, paired by round; missing where one of them may not be compared. */
RatioTest serving_entry_ratio(const Serving *s, const ServingEntry *a, const ServingEntry *b);

/* Place of the first text of a set among all texts. */
size_t serving_first(const Serving *s, ServingSet set);

#endif
