/* diff: see diff.h. This file judges; it reads and prints nothing. */
#include "diff.h"

#include <math.h>
#include <stdlib.h>

#include "bootstrap.h"
#include "moments.h"
#include "stats.h"

/* With fewer rows the bootstrap over rows has too few different resamples to mean anything. */
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

static void test_row(DiffRow *r, bool paired)
{
    double old_cv = robust_cv_of(r->old_ms, r->old_count);
    double new_cv = robust_cv_of(r->new_ms, r->new_count);
    r->old_median = median_of(r->old_ms, r->old_count);
    r->new_median = median_of(r->new_ms, r->new_count);
    r->cv = sqrt((old_cv * old_cv + new_cv * new_cv) / 2);
    r->test = paired
                  ? paired_ratio(r->old_ms, r->new_ms, r->old_count, CONFIDENCE_LEVEL)
                  : rank_ratio(r->old_ms, r->old_count, r->new_ms, r->new_count, CONFIDENCE_LEVEL);
    r->welch = welch_ratio(r->old_ms, r->old_count, r->new_ms, r->new_count, CONFIDENCE_LEVEL);
    r->detectable = NAN;
    if (isnan(r->test.interval.lo))
        r->test.p = NAN; /* too few trials: no outcome could have been significant */
    else
        r->detectable = minimum_detectable_effect(r->cv, r->old_count, r->new_count);
}

static void judge_rows(Diff *d)
{
    double *p = xmalloc(d->count * sizeof *p), *q = xmalloc(d->count * sizeof *q);
    for (size_t i = 0; i < d->count; i++)
        p[i] = d->rows[i].test.p;
    benjamini_hochberg(p, d->count, q);
    for (size_t i = 0; i < d->count; i++) {
        d->rows[i].q = q[i];
        d->rows[i].verdict = verdict_among_rows(d->rows[i].test.interval, d->threshold, q[i]);
    }
    free(p);
    free(q);
}

static void judge_file(Diff *d)
{
    double *ratios = xmalloc(d->count * sizeof *ratios);
    Verdict *verdicts = xmalloc(d->count * sizeof *verdicts);
    for (size_t i = 0; i < d->count; i++) {
        ratios[i] = d->rows[i].test.ratio;
        verdicts[i] = d->rows[i].verdict;
    }
    d->ratio = geometric_mean_of(ratios, d->count);
    d->interval = d->count < FEWEST_ROWS_FOR_MEAN
                      ? interval_missing()
                      : geometric_mean_interval(ratios, d->count, CONFIDENCE_LEVEL);
    d->verdict = verdict_of_file(verdicts, d->count, d->interval, d->threshold);
    free(ratios);
    free(verdicts);
}

int diff_judge(Diff *d, double threshold, bool paired, Err *err)
{
    d->threshold = threshold;
    for (size_t i = 0; i < d->count; i++) {
        DiffRow *r = &d->rows[i];
        if (paired && r->old_count != r->new_count)
            return err_set(err,
                           "--paired: row %s has %zu trials in the old file and %zu in the new",
                           r->name, r->old_count, r->new_count);
        test_row(r, paired);
    }
    judge_rows(d);
    judge_file(d);
    return 0;
}
