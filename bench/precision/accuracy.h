/* accuracy: two formats of one classifier on the same texts, and two of one language model on
 * the same windows, from what they computed to the columns of a record.
 *
 * Pure functions. The one idea: both saw the same cases, so differences are judged by the cases on
 * which they differ, not by two separate proportions. Running models is quality.c's business. */
#pragma once

#include "bench/precision/record.h"
#include "bench/stats/intervals.h"

/* Logits [texts, labels] of one format, and the right labels [texts]. */
typedef struct Scored {
    size_t texts, labels;
    const float *logits;
    const int32_t *right;
} Scored;

/* Fills what is right with `own`, Wilson's interval of its accuracy, and, unless the logits are
 * fp32's own, what it changed against them: paired_proportion_interval of the change, McNemar's
 * exact p, drift, divergence (Kullback-Leibler, nats) and the flipped labels. Both have the same
 * texts and labels. */
void record_accuracy(StudyRecord *r, const Scored *fp32, const Scored *own);

/* One row of logits [n], with what is asked of it more than once. */
typedef struct Scores {
    const float *logits; /* borrowed */
    double log_sum_exp;
    int32_t top; /* the place of the largest, the first of equals */
} Scores;

Scores scores_of(const float *logits, size_t n);

/* Nats: of the right one, and of `own` from fp32's row of as many (Kullback-Leibler of their
 * softmax). */
double scores_loss(const Scores *own, int32_t right);
double scores_divergence(const Scores *fp32, const Scores *own, size_t n);

/* The same of mean losses, nats a token, on windows of equal length, a token standing for
 * `token_bytes` of text: the change is relative, exp(mean difference) - 1, its interval by
 * windows. */
void record_perplexity(StudyRecord *r, const double *fp32, const double *own, size_t windows,
                       double token_bytes);

/* Fills mean and 99.9th percentile (not of fewer than 1,000) of the divergences of these positions,
 * and how many of them have fp32's likeliest token. */
void record_divergence(StudyRecord *r, const double *divergence, size_t positions, size_t same_top);

/* The interval of a difference of paired proportions, (only_b - only_a) / n: Wald's with half a
 * case added to each kind (Bonett & Price 2012), which holds its level also when there are few
 * cases. */
Interval paired_proportion_interval(size_t only_a, size_t only_b, size_t n, double level);

/* Mean and largest |a - b|. */
void drift_of(const float *a, const float *b, size_t n, double *mean, double *max);
