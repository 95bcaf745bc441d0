/* score: how often labels are right, and how often two classifiers agree. Pure functions of labels
 * and texts. */
#pragma once

#include "bench/text/jsonl.h"
#include "bench/util/fields.h"

/* Members are those of a record's columns. */
typedef struct Score {
    FieldINT texts;
    FieldREAL right, share; /* share: NaN for no text */
    FieldREAL lo, hi;       /* Wilson's, 95 % */
} Score;

/* labels[i] is that given to texts->at[i]. Only texts of this category; NULL = all. */
Score score_of(const LabelledTexts *texts, const int32_t *labels, const char *category);

/* The categories of the texts in alphabetical order, each once; texts without one are none. The
 * names are borrowed, the array is the caller's. */
const char **categories_of(const LabelledTexts *texts, size_t *count);

/* How many of n labels are equal. */
size_t agreements(const int32_t *a, const int32_t *b, size_t n);

/* McNemar's exact p of "equally often right" (stats/intervals.h). */
double mcnemar_of(const LabelledTexts *texts, const int32_t *a, const int32_t *b);
