/* classifier: a trained DistilBERT or BERT classifier and its tokenizer, one text at a time.
 *
 * The model is recorded at several lengths; a text runs in the shortest recording that holds it,
 * the rest masked. Encoding and running are apart, so that each can be timed. */
#pragma once

#include "model/bucketed.h"
#include "model/files/model_dir.h"
#include "model/tokenizer/wordpiece.h"

typedef struct Classifier {
    WordPiece *tokenizer;
    Labels labels;
    Bucketed model;
    size_t max_length; /* ids of a text; what is longer is cut */
    IdBuffer ids;
    size_t second;                  /* the first id of the second text of a pair */
    int32_t *tokens, *mask, *types; /* [max_length] */
    char *unused;                   /* what the checkpoint holds beside; NULL = nothing */
} Classifier;

/* Reads a Hugging Face directory, to classify texts or, with `pairs`, two texts together.
 * max_length 0 = all positions that the model has. -1 for a model without a classifier, a tokenizer
 * with more ids than the model, and whatever the files have. Release also after -1. */
int classifier_init(Classifier *c, const char *dir, size_t max_length, bool pairs, int threads,
                    Err *err);
void classifier_release(Classifier *c);

/* Text of any bytes to ids, kept inside; returns how many. */
size_t classifier_encode(Classifier *c, const char *text, size_t len);
/* The same for two texts. */
size_t classifier_encode_pair(Classifier *c, WordText a, WordText b);
/* Runs the ids; returns logits [labels.count], valid until the next run. */
const float *classifier_run(Classifier *c);

/* Whether all are; if not, a weight is broken or the arithmetic overflowed, and there is no
 * label. */
bool classifier_finite(const float *logits, size_t count);

/* The place of the largest logit, the first of equals. */
size_t classifier_best(const float *logits, size_t count);

/* The score of each label, which the model's scoring makes of its logits. */
void classifier_scores(const Classifier *c, const float *logits, double *scores);
