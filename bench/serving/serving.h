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
#include "bench/compare/peak.h"
#include "bench/text/jsonl.h"
#include "bench/stats/rank_tests.h"
#include "bench/serving/config.h"
#include "bench/stats/stats.h"

/* One implementation. */
typedef struct Contestant {
    Alternative *alternative;
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
} Contestant;

typedef struct Sentiment {
    const SentimentConfig *config;
    Project project;
    ModelFiles model;
    Labels labels;
    LabelledTexts sets[NUM_SETS]; /* an empty one was left out */
    size_t num_texts;             /* of all sets, which stand one after the other */
    size_t max_length;            /* ids of a text */
    Alternative alternatives[NUM_ALTERNATIVES];
    PeakWatch watch;
    double other_cpus;                        /* kept busy by others before anything was started */
    char folder[TEMPORARY_FOLDER];            /* temporary, for outputs */
    Contestant contestants[NUM_ALTERNATIVES]; /* ours first */
    size_t count;
} Sentiment;

/* Reads model and texts. A missing test set is a line on stderr. -1: exit 2. Release also after -1. */
int sentiment_open(Sentiment *s, const SentimentConfig *c, Err *err);
void sentiment_release(Sentiment *s);

/* Starts the alternatives (alternatives_start) and measures the machine's peaks. */
int sentiment_start(Sentiment *s, bool *misbehaved, Err *err);

/* Measures. An implementation that fails has its failure in its contestant, the others go on. After an
 * interruption the complete rounds count. -1: interrupted before there was one, or an output file cannot
 * be made. */
int sentiment_measure(Sentiment *s, Err *err);

/* Model FLOPs of the benchmark samples over the time of the median round, in GFLOP/s. */
double contestant_gflops(const Sentiment *s, const Contestant *c);

RecordState contestant_state(const Sentiment *s, const Contestant *c);

/* a's time over b's, paired by round; missing where one of them may not be compared. */
RatioTest contestant_ratio(const Sentiment *s, const Contestant *a, const Contestant *b);

/* Place of the first text of a set among all texts. */
size_t sentiment_first(const Sentiment *s, SentimentSet set);

#endif
