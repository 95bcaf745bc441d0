/* diff: see diff.h. This file judges; it reads and prints nothing. */
#include "bench/result/diff.h"

#include <math.h>
#include <stdlib.h>

#include "bench/stats/bootstrap.h"
#include "bench/stats/moments.h"
#include "bench/stats/stats.h"

/* The fewest rows whose bootstrap has enough different resamples to mean anything. */
enum { FEWEST_ROWS_FOR_MEAN = 6 };

void diff_release(Diff *d)
{
    for (size_t i = 0; i < d->count; i++) {
        free(d->rows[i].old_ms);
        free(d->rows[i].new_ms);
    }
    free(d->rows);
    free(d->skipped);
    *d = (Diff){0};
}

static void test_row(DiffRow *r, const DiffRule *rule)
{
    double old_cv = robust_cv_of(r->old_ms, r->old_count);
    double new_cv = robust_cv_of(r->new_ms, r->new_count);
    r->least_change = fmax(rule->threshold, r->wait);
    r->old_median = median_of(r->old_ms, r->old_count);
    r->new_median = median_of(r->new_ms, r->new_count);
    r->cv = sqrt((old_cv * old_cv + new_cv * new_cv) / 2);
    r->test = rule->paired
                  ? paired_ratio(r->old_ms, r->new_ms, r->old_count, CONFIDENCE_LEVEL)
                  : rank_ratio(r->old_ms, r->old_count, r->new_ms, r->new_count, CONFIDENCE_LEVEL);
    r->welch = welch_ratio(r->old_ms, r->old_count, r->new_ms, r->new_count, CONFIDENCE_LEVEL);
    r->detectable = NAN;
    if (isnan(r->test.interval.lo))
        r->test.p = NAN; /* too few trials: no outcome could have been significant */
    else
        r->detectable = minimum_detectable_effect(r->cv, r->old_count, r->new_count);
}

/* `v`, unless nobody knows what processes of one build differ by, or it is a change that the interval
 * does not show to exceed least_change. */
static Verdict believed(const Diff *d, Verdict v, Interval ratio, double least_change)
{
    if (!d->spread_known)
        return VERDICT_INCONCLUSIVE;
    bool change = v == VERDICT_IMPROVEMENT || v == VERDICT_REGRESSION;
    return change && verdict_of(ratio, least_change) != v ? VERDICT_INCONCLUSIVE : v;
}

static void judge_rows(Diff *d)
{
    double *p = xmalloc(d->count * sizeof *p), *q = xmalloc(d->count * sizeof *q);
    for (size_t i = 0; i < d->count; i++)
        p[i] = d->rows[i].test.p;
    benjamini_hochberg(p, d->count, q);
    for (size_t i = 0; i < d->count; i++) {
        DiffRow *r = &d->rows[i];
        r->q = q[i];
        Verdict v = verdict_among_rows(r->test.interval, d->threshold, q[i]);
        r->verdict = believed(d, v, r->test.interval, r->least_change);
    }
    free(p);
    free(q);
}

static void judge_file(Diff *d)
{
    double *ratios = xmalloc(d->count * sizeof *ratios), least_change = 0;
    Verdict *verdicts = xmalloc(d->count * sizeof *verdicts);
    for (size_t i = 0; i < d->count; i++) {
        ratios[i] = d->rows[i].test.ratio;
        verdicts[i] = d->rows[i].verdict;
        least_change += d->rows[i].least_change / (double)d->count;
    }
    d->ratio = geometric_mean_of(ratios, d->count);
    d->interval = d->count < FEWEST_ROWS_FOR_MEAN
                      ? interval_missing()
                      : geometric_mean_interval(ratios, d->count, CONFIDENCE_LEVEL);
    Verdict mean = verdict_of(d->interval, d->threshold);
    d->verdict = verdict_of_file(verdicts, d->count, believed(d, mean, d->interval, least_change));
    free(ratios);
    free(verdicts);
}

int diff_judge(Diff *d, const DiffRule *rule, Err *err)
{
    d->threshold = rule->threshold;
    d->spread_known = rule->threshold_given;
    for (size_t i = 0; i < d->count; i++) {
        DiffRow *r = &d->rows[i];
        if (rule->paired && r->old_count != r->new_count)
            return err_set(err,
                           "--paired: row %s has %zu trials in the old file and %zu in the new",
                           r->name, r->old_count, r->new_count);
        test_row(r, rule);
    }
    judge_rows(d);
    judge_file(d);
    return 0;
}
