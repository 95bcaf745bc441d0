/* accuracy: see accuracy.h. */
#include "bench/precision/accuracy.h"

#include <math.h>
#include <stdlib.h>

#include "autograd/base.h"
#include "bench/stats/distributions.h"
#include "bench/stats/stats.h"
#include "bench/text/classifier.h"

void flip_list_release(FlipList *l)
{
    free(l->at);
    *l = (FlipList){0};
}

static int32_t best_label(const float *logits, size_t labels)
{
    return (int32_t)classifier_best(logits, labels);
}

static double log_sum_exp(const float *logits, size_t labels)
{
    double most = (double)logits[best_label(logits, labels)], sum = 0;
    for (size_t k = 0; k < labels; k++)
        sum += exp((double)logits[k] - most);
    return most + log(sum);
}

/* Kullback & Leibler: sum of p_a ln(p_a / p_b). */
static double divergence(const float *a, const float *b, size_t labels)
{
    double lse_a = log_sum_exp(a, labels), lse_b = log_sum_exp(b, labels), sum = 0;
    for (size_t k = 0; k < labels; k++) {
        double ln_a = (double)a[k] - lse_a, ln_b = (double)b[k] - lse_b;
        sum += exp(ln_a) * (ln_a - ln_b);
    }
    return sum;
}

void drift_of(const float *a, const float *b, size_t n, double *mean, double *max)
{
    double sum = 0;
    *max = 0;
    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)a[i] - (double)b[i]);
        sum += d;
        *max = d > *max || isnan(d) ? d : *max;
    }
    *mean = sum / (double)n;
}

Interval paired_proportion_interval(size_t only_a, size_t only_b, size_t n, double level)
{
    double z = normal_quantile(0.5 + level / 2), m = (double)n + 2;
    double a = ((double)only_a + 1) / m, b = ((double)only_b + 1) / m;
    double half = z * sqrt((a + b - (b - a) * (b - a)) / m);
    return (Interval){fmax(-1, b - a - half), fmin(1, b - a + half), level};
}

/* One text of both. */
static void compare_text(const Scored *a, const Scored *b, size_t i, ClassifierChange *c)
{
    const float *la = a->logits + i * a->labels, *lb = b->logits + i * a->labels;
    int32_t before = best_label(la, a->labels), after = best_label(lb, a->labels);
    int32_t right = a->right[i];
    c->correct += after == right;
    c->only_a += before == right && after != right;
    c->only_b += before != right && after == right;
    c->mean_kl += divergence(la, lb, a->labels) / (double)a->texts;
    if (before == after)
        return;
    c->flips.at = xrealloc(c->flips.at, (c->flips.count + 1) * sizeof *c->flips.at);
    c->flips.at[c->flips.count++] =
        (Flip){i, right, before, after, (double)la[before] - (double)la[after]};
}

ClassifierChange classifier_change(const Scored *a, const Scored *b)
{
    CHECK(a->texts == b->texts && a->labels == b->labels && a->texts > 0, "unlike classifiers");
    ClassifierChange c = {0};
    for (size_t i = 0; i < a->texts; i++)
        compare_text(a, b, i, &c);
    drift_of(a->logits, b->logits, a->texts * a->labels, &c.mean_drift, &c.max_drift);
    c.mcnemar_p = mcnemar_exact(c.only_a, c.only_b);
    c.change = ((double)c.only_b - (double)c.only_a) / (double)a->texts;
    c.change_interval = paired_proportion_interval(c.only_a, c.only_b, a->texts, CONFIDENCE_LEVEL);
    return c;
}

PerplexityChange perplexity_change(const double *loss_a, const double *loss_b, size_t windows)
{
    OWNED double *difference = xcalloc(windows, sizeof *difference);
    for (size_t i = 0; i < windows; i++)
        difference[i] = loss_b[i] - loss_a[i];
    Summary s = summary_of(difference, windows);
    double loss = mean_of(loss_b, windows);
    return (PerplexityChange){exp(loss),
                              loss / log(2),
                              expm1(s.mean),
                              {expm1(s.mean_ci.lo), expm1(s.mean_ci.hi), s.mean_ci.coverage}};
}
