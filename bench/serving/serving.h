/* serving: a trained sentiment classifier, measured beside its peers: single requests from text to
 * label, and how often the label is right.
 *
 * Every implementation is started a few times for its cold figures (process, model load, first
 * request), then labels every text once, which is where accuracy and the proof of parity come from.
 * After the warmups they take turns (compare/rounds.h): a turn is one request for every benchmark
 * sample, in an order drawn anew each round and the same for all, behind one untimed request.
 * Nothing is subtracted from any time. */
#pragma once

#include "bench/compare/output.h"
#include "bench/serving/config.h"
#include "bench/text/jsonl.h"

/* One implementation. */
typedef struct ServingEntry {
    /* a sample is the median request of a round; its ratio also needs plausible rates */
    Entry entry;
    double start_ms, load_ms, first_ms; /* medians of the cold starts */
    int32_t *labels;                    /* [num_texts]; NULL where it failed before */
    int32_t *lengths;                   /* [num_texts], ids of each text */
    double *ms, *tokenizer_ms;          /* [rounds][samples], in the order of the requests */
    double *round_mean_ms;              /* [rounds] */
    Summary latency;                    /* of all requests */
    double text_p99; /* 99th percentile of a request's time over the median of the same text */
    double tokenizer_share; /* of the time of all requests */
} ServingEntry;

typedef struct Serving {
    const ServingConfig *config;
    Session session;
    ModelFiles model;
    Labels labels;
    LabelledTexts sets[NUM_SETS];              /* an empty one was left out */
    size_t num_texts;                          /* of all sets, which stand one after the other */
    size_t max_length;                         /* ids of a text */
    ServingEntry entries[NUM_IMPLEMENTATIONS]; /* ours first */
    size_t count;
} Serving;

/* Reads model and texts. A missing test set is a line on stderr. -1: exit 2. Release also after
 * -1. */
int serving_open(Serving *s, const ServingConfig *c, Err *err);
void serving_release(Serving *s);

/* Starts the implementations and measures the machine's peaks. */
int serving_start(Serving *s, Err *err);

/* Measures. An implementation that fails has its failure in its entry, the others go on. After an
 * interruption the complete rounds count. -1: interrupted before there was one, or an output file
 * cannot be made. */
int serving_measure(Serving *s, Err *err);

/* a's time over b's (entry_ratio); missing where one of them may not be compared. */
RatioTest serving_entry_ratio(const Serving *s, const ServingEntry *a, const ServingEntry *b);

/* Place of the first text of a set among all texts. */
size_t serving_first(const Serving *s, ServingSet set);

/* ---- report.c ---- */

extern const Report serving_report; /* of a Serving */

/* findings.c: sentences, each of which follows from the figures of this run alone: an array of
 * strings. */
json_t *serving_findings(const Serving *s);

/* "tare" of one entry. */
const char *serving_entry_name(const ServingEntry *c);
