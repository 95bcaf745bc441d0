/* accuracy: see accuracy.h. */
#include "bench/precision/accuracy.h"

#include <math.h>

#include "bench/stats/distributions.h"
#include "bench/stats/stats.h"
#include "bench/text/classifier.h"

static int32_t best_label(const float *logits, size_t labels)
{
    return (int32_t)classifier_best(logits, labels);
}

Scores scores_of(const float *logits, size_t n)
{
    int32_t top = best_label(logits, n);
    double most = (double)logits[top], sum = 0;
    for (size_t k = 0; k < n; k++)
        sum += exp((double)logits[k] - most);
    return (Scores){logits, most + log(sum), top};
}

double scores_loss(const Scores *own, int32_t right)
{
    return own->log_sum_exp - (double)own->logits[right];
}

/* Kullback & Leibler: sum of p_a ln(p_a / p_b). */
double scores_divergence(const Scores *fp32, const Scores *own, size_t n)
{
    double sum = 0;
    for (size_t k = 0; k < n; k++) {
        double ln_a = (double)fp32->logits[k] - fp32->log_sum_exp;
        double ln_b = (double)own->logits[k] - own->log_sum_exp;
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
static void compare_text(const Scored *a, const Scored *b, size_t i, StudyRecord *r)
{
    Scores before = scores_of(a->logits + i * a->labels, a->labels);
    Scores after = scores_of(b->logits + i * a->labels, a->labels);
    int32_t right = a->right[i];
    r->only_fp32_right += before.top == right && after.top != right;
    r->only_this_right += before.top != right && after.top == right;
    r->mean_kl += scores_divergence(&before, &after, a->labels) / (double)a->texts;
    if (before.top == after.top)
        return;
    FlipList *l = &r->flip_list;
    double margin = (double)before.logits[before.top] - (double)before.logits[after.top];
    l->at = xrealloc(l->at, (l->count + 1) * sizeof *l->at);
    l->at[l->count++] = (Flip){i, right, before.top, after.top, margin};
}

void record_accuracy(StudyRecord *r, const Scored *fp32, const Scored *own)
{
    size_t n = own->texts;
    CHECK(fp32->texts == n && fp32->labels == own->labels && n > 0, "unlike classifiers");
    r->total = (int64_t)n;
    r->correct = 0;
    for (size_t i = 0; i < n; i++)
        r->correct += best_label(own->logits + i * own->labels, own->labels) == own->right[i];
    Interval wilson = wilson_interval((size_t)r->correct, n, CONFIDENCE_LEVEL);
    r->accuracy = (double)r->correct / (double)n;
    r->accuracy_lo = wilson.lo;
    r->accuracy_hi = wilson.hi;
    if (own->logits == fp32->logits)
        return;
    r->only_fp32_right = r->only_this_right = 0;
    r->mean_kl = 0;
    for (size_t i = 0; i < n; i++)
        compare_text(fp32, own, i, r);
    r->flips = (int64_t)r->flip_list.count;
    drift_of(fp32->logits, own->logits, n * own->labels, &r->logit_mean_drift, &r->logit_max_drift);
    size_t lost = (size_t)r->only_fp32_right, gained = (size_t)r->only_this_right;
    Interval change = paired_proportion_interval(lost, gained, n, CONFIDENCE_LEVEL);
    r->mcnemar_p = mcnemar_exact(lost, gained);
    r->accuracy_change = ((double)gained - (double)lost) / (double)n;
    r->accuracy_change_lo = change.lo;
    r->accuracy_change_hi = change.hi;
}

void record_perplexity(StudyRecord *r, const double *fp32, const double *own, size_t windows,
                       double token_bytes)
{
    double loss = mean_of(own, windows);
    r->total = (int64_t)windows;
    r->perplexity = exp(loss);
    r->bits_per_byte = loss / log(2) / token_bytes;
    if (own == fp32)
        return;
    OWNED double *difference = xcalloc(windows, sizeof *difference);
    for (size_t i = 0; i < windows; i++)
        difference[i] = own[i] - fp32[i];
    Summary s = summary_of(difference, windows);
    r->perplexity_change = expm1(s.mean);
    r->perplexity_change_lo = expm1(s.mean_ci.lo);
    r->perplexity_change_hi = expm1(s.mean_ci.hi);
}

void record_divergence(StudyRecord *r, const double *divergence, size_t positions, size_t same_top)
{
    Interval wilson = wilson_interval(same_top, positions, CONFIDENCE_LEVEL);
    r->positions = (int64_t)positions;
    r->mean_kl = mean_of(divergence, positions);
    r->kl_p999 = supported_percentile_of(divergence, positions, 0.999);
    r->same_top = (int64_t)same_top;
    r->same_top_share = (double)same_top / (double)positions;
    r->same_top_lo = wilson.lo;
    r->same_top_hi = wilson.hi;
}
