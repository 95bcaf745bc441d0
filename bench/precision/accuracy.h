/* accuracy: two formats of one classifier on the same texts, and two of one language model on
 * the same windows, from what they computed.
 *
 * Pure functions. The one idea: both saw the same cases, so differences are judged by the cases on
 * which they differ, not by two separate proportions. Running models is quality.c's business. */
#ifndef TARE_BENCH_PRECISION_ACCURACY_H
#define TARE_BENCH_PRECISION_ACCURACY_H

#include <stdint.h>

#include "bench/stats/intervals.h"

/* Logits [texts, labels] of one format, and the right labels [texts]. */
typedef struct Scored {
    size_t texts, labels;
    const float *logits;
    const int32_t *right;
} Scored;

/* A text that the two formats label differently. */
typedef struct Flip {
    size_t text; /* from 0 */
    int32_t right, before, after;
    double margin; /* of the fp32 logits between their best and the label given now */
} Flip;

typedef struct FlipList {
    Flip *at;
    size_t count;
} FlipList;

void flip_list_release(FlipList *l);

/* What `b` changed against `a`. */
typedef struct ClassifierChange {
    size_t correct;               /* of b */
    size_t only_a, only_b;        /* right with one of them alone */
    double mcnemar_p;             /* exact */
    double change;                /* accuracy of b minus that of a */
    Interval change_interval;     /* paired_proportion_interval */
    double mean_drift, max_drift; /* |logit difference| */
    double mean_kl;               /* of b's probabilities from a's, nats */
    FlipList flips;               /* the caller's to release */
} ClassifierChange;

/* a and b have the same texts and labels. */
ClassifierChange classifier_change(const Scored *a, const Scored *b);

/* The interval of a difference of paired proportions, (only_b - only_a) / n: Wald's with half a
 * case added to each kind (Bonett & Price 2012), which holds its level also when there are few
 * cases. */
Interval paired_proportion_interval(size_t only_a, size_t only_b, size_t n, double level);

/* Mean and largest |a - b|. */
void drift_of(const float *a, const float *b, size_t n, double *mean, double *max);

/* Mean losses of one model on windows of equal length, nats a byte. */
typedef struct PerplexityChange {
    double perplexity, bits_per_byte;
    double change;     /* relative to a: exp(mean difference) - 1 */
    Interval interval; /* of the change, by windows */
} PerplexityChange;

PerplexityChange perplexity_change(const double *loss_a, const double *loss_b, size_t windows);

#endif
