/* sampling: the next token from its logits: the likeliest one, or one drawn at a temperature from
 * the top_k likeliest and, of these, from the likeliest that make up the probability top_p
 * (Holtzman et al. 2020), in this order as in the transformers library. */
#pragma once

#include "autograd/base.h"

typedef struct Sampling {
    double temperature; /* 0: the likeliest, the first of equals */
    size_t top_k;       /* 0: all */
    double top_p;       /* in (0, 1]; 0 stands for 1 */
    uint64_t seed;
} Sampling;

typedef struct Candidate {
    double weight; /* its probability, times a factor common to all */
    float logit;
    int32_t id;
} Candidate;

/* `list` has room for count candidates. The draw is a pure function of seed and step. -1 where a
 * logit is NaN or none is finite. */
int32_t sample_token(const Sampling *s, const float *logits, size_t count, uint64_t step,
                     Candidate *list);
