/* orderings: what an earlier study of number formats expected to see, held against what was
 * measured: expected, observed, and whether they agree.
 *
 * The one idea: an expectation is a region in which a quantity should lie, and the data give an
 * interval of that quantity. Inside: agrees. Outside: contradicts. Neither: within noise. An order
 * of formats is one such question for each neighbouring pair, the quantity being their ratio. The
 * expectations are those of a GPU study (DistilBERT in FP32, MIXED and FP16 on a card with native
 * FP16): a contradiction is a finding about this machine, no failure. Pure functions but for the
 * last, which reads records. */
#pragma once

#include "bench/stats/intervals.h"
#include "bench/precision/record.h"

typedef enum Agreement { NOT_JUDGED, AGREES, CONTRADICTS, WITHIN_NOISE } Agreement;

const char *agreement_name(Agreement a); /* "not judged", "agrees", "contradicts", "within noise" */

/* Expected strictly between lo and hi. */
typedef struct Region {
    double lo, hi;
} Region;

/* NOT_JUDGED when an end of the interval is missing. */
Agreement agreement_of(Interval seen, Region expected);

/* Several questions asked at once: contradicts if one does, else within noise if one is, else not
 * judged if one is not (or there is none), else agrees. */
Agreement agreement_of_all(const Agreement *each, size_t count);

typedef struct Ordering {
    char measure[32], where[128]; /* "latency"; "distilbert-base b8s128" */
    char expected[96], observed[256], note[256];
    Agreement verdict;
} Ordering;

/* One format's samples of a positive quantity, paired with the other formats' by their place. */
typedef struct Series {
    Precision format;
    double *at;
    size_t count;
    double center; /* what is shown */
    bool exact;    /* a figure without noise, such as a size: center is all there is */
} Series;

/* `relations` stands between neighbours of `formats`: '>', '<', or '=' (within a thousandth).
 * Formats without a series are passed over, and noted. Fills all but measure and where. */
void ordering_of_series(Ordering *o, const Precision *formats, const char *relations, size_t count,
                        const Series *series, size_t num_series, const char *unit);

typedef struct Orderings {
    Ordering *at;
    size_t count;
} Orderings;

/* Every expectation for every model and cell of the records; idle power, in watts, is
 * subtracted from energies. */
void orderings_build(Orderings *o, const StudyRecord *records, size_t count, double idle);
void orderings_release(Orderings *o);

/* Energy of a sample in each round [rounds], idle power subtracted, or NULL where one is not known.
 * The caller frees. */
double *energy_per_sample(const StudyRecord *r, double idle);
