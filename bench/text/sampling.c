/* sampling: see sampling.h. */
#include "bench/text/sampling.h"

#include <math.h>
#include <stdlib.h>

/* Equal ones by id, so that the order is one. */
static int likelier_first(const void *a, const void *b)
{
    const Candidate *x = a, *y = b;
    if (x->logit != y->logit)
        return x->logit > y->logit ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* How many of the sorted list are among the top_k, with all that equal the last of them. */
static size_t count_top_k(const Candidate *list, size_t count, size_t top_k)
{
    if (top_k == 0 || top_k >= count)
        return count;
    size_t n = top_k;
    while (n < count && list[n].logit == list[top_k - 1].logit)
        n++;
    return n;
}

static double sum_weights(const Candidate *list, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += list[i].weight;
    return sum;
}

/* The fewest likeliest that make up top_p of the weight; at least one. */
static size_t count_top_p(const Candidate *list, size_t count, double top_p)
{
    if (top_p <= 0 || top_p >= 1)
        return count;
    double wanted = top_p * sum_weights(list, count), sum = 0;
    size_t n = 0;
    while (n < count && sum < wanted)
        sum += list[n++].weight;
    return n;
}

/* The candidate at `part` of the weight, 0 <= part < 1. */
static int32_t candidate_at(const Candidate *list, size_t count, double part)
{
    double left = part * sum_weights(list, count);
    size_t i = 0;
    while (i + 1 < count && left >= list[i].weight)
        left -= list[i++].weight;
    return list[i].id;
}

int32_t sample_token(const Sampling *s, const float *logits, size_t count, uint64_t step,
                     Candidate *list)
{
    enum { STREAM = 1 };
    size_t best = 0;
    for (size_t i = 0; i < count; i++) {
        if (isnan(logits[i]))
            return -1;
        best = logits[i] > logits[best] ? i : best;
    }
    if (!isfinite(logits[best]))
        return -1;
    if (s->temperature <= 0)
        return (int32_t)best;
    for (size_t i = 0; i < count; i++) {
        double below = (double)logits[best] - (double)logits[i];
        list[i] = (Candidate){exp(-below / s->temperature), logits[i], (int32_t)i};
    }
    if (s->top_k > 0 || (s->top_p > 0 && s->top_p < 1)) {
        qsort(list, count, sizeof *list, likelier_first);
        count = count_top_k(list, count, s->top_k);
        count = count_top_p(list, count, s->top_p);
    }
    return candidate_at(list, count, rng_uniform(s->seed, STREAM, step));
}
