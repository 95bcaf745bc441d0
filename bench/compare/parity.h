/* parity: do two implementations compute the same? Their outputs, as safetensors files with the
 * same names and shapes, compared number by number. */
#pragma once

#include "autograd/base.h"

typedef struct Parity {
    bool ok;
    double tolerance; /* as asked: of max_rel, or of max_rms where it is above parity_tolerance */
    double max_abs;   /* the largest difference of all tensors */
    double max_rel;   /* the largest, over tensors, of largest difference / largest value */
    double max_rms;   /* the largest, over sequences, of root mean square difference / value */
    char worst[64];   /* the tensor with max_rel */
    bool nearly;      /* ids were only proven to be nearly the likeliest */
    char reason[160]; /* why not ok; "" if ok */
} Parity;

/* The bound of max_rel in fp32; integers have to be equal. Two correct fp32 implementations were
 * seen to differ by at most 1.3e-6 in the hidden states of DistilBERT-base, 2.4e-6 in the gradients
 * of GPT small and 3.0e-6 in those of medium, 3.1e-6 in a classifier's logits of 1,080 texts; the
 * bound is about three times the last. */
extern const double parity_tolerance;

/* A format that rounds more has a wider bound, of root mean squares, for each sequence (each index
 * of a tensor's first dimension; a gradient `grad.NAME` is of all sequences and counts as one): the
 * largest of many rounding errors says more of how many there are than of the format. It may be so
 * many times the bound of the largest value, so that a number that is far off is found too; seen
 * were 1.5 times in bf16, 1.4 in mixed and 0.9 in q8_0. */
enum { PARITY_MOST_OVER_RMS = 3 };

/* A tensor without dimensions is a loss, a mean over all tokens in which errors cancel: it may
 * differ by this part of that bound. */
enum { PARITY_RMS_OVER_LOSS = 32 };

/* -1: a file cannot be read. `logits` beside `ids` may be missing in theirs, for not every
 * implementation shows them; of logits that may differ by more than in fp32, ids are not compared
 * but, where theirs are alone, have to be nearly the likeliest by our logits. Other names, shapes
 * or kinds of tensors, a number that is not finite and a difference above the bound are in *p. */
int parity_compare(const char *ours, const char *theirs, double tolerance, Parity *p, Err *err);
