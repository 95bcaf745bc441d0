/* diff: see diff.h. This file judges; it reads and prints nothing. */
#include "bench/result/diff.h"

#include <math.h>
#include <stdlib.h>

#include "bench/stats/bootstrap.h"
#include "bench/stats/moments.h"
#include "bench/stats/stats.h"

/* With fewer rows the bootstrap over rows has too few different resamples to mean anything, and
 * their mean says little that the rows do not. */
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

void diff_skip(Diff *d, const char *name, const char *reason)
{
    DiffSkipped *s = &d->skipped[d->num_skipped++];
    text_set(s->name, name);
    text_set(s->reason, reason);
}

static RatioTest ratio_test(const DiffRow *r, DiffUnit unit)
{
    if (unit == DIFF_TRIALS)
        return rank_ratio(r->old_ms, r->old_count, r->new_ms, r->new_count, CONFIDENCE_LEVEL);
    if (unit == DIFF_PAIRED_TRIALS)
        return paired_ratio(r->old_ms, r->new_ms, r->old_count, CONFIDENCE_LEVEL);
    RatioTest test = paired_t_ratio(r->old_ms, r->new_ms, r->old_count, CONFIDENCE_LEVEL);
    if (r->old_count < FEWEST_PROCESSES)
        test.interval = interval_missing();
    return test;
}

static double cv_of_trials(const DiffRow *r)
{
    double old_cv = robust_cv_of(r->old_ms, r->old_count);
    double new_cv = robust_cv_of(r->new_ms, r->new_count);
    return sqrt((old_cv * old_cv + new_cv * new_cv) / 2);
}

/* What the ratio within a round says of one process: drift that both sides saw is not in it. */
static double cv_of_processes(const DiffRow *r)
{
    OWNED double *d = xmalloc(r->old_count * sizeof *d);
    for (size_t i = 0; i < r->old_count; i++)
        d[i] = log(r->new_ms[i] / r->old_ms[i]);
    return std_of(d, r->old_count) / sqrt(2);
}

static void test_row(DiffRow *r, const DiffRule *rule)
{
    r->least_change = fmax(rule->threshold, r->wait);
    r->old_median = median_of(r->old_ms, r->old_count);
    r->new_median = median_of(r->new_ms, r->new_count);
    r->cv = rule->unit == DIFF_PROCESSES ? cv_of_processes(r) : cv_of_trials(r);
    r->test = ratio_test(r, rule->unit);
    r->welch = welch_ratio(r->old_ms, r->old_count, r->new_ms, r->new_count, CONFIDENCE_LEVEL);
    r->detectable = NAN;
    if (isnan(r->test.interval.lo))
        r->test.p = NAN; /* too few: no outcome could have been significant */
    else
        r->detectable = minimum_detectable_effect(r->cv, r->old_count, r->new_count);
}

/* `v`, unless nobody knows what processes of one build differ by, or it is a change that the
 * interval does not show to exceed least_change. */
static Verdict believed(const Diff *d, Verdict v, Interval ratio, double least_change)
{
    if (!d->spread_known)
        return VERDICT_INCONCLUSIVE;
    bool change = v == VERDICT_IMPROVEMENT || v == VERDICT_REGRESSION;
    return change && verdict_of(ratio, least_change) != v ? VERDICT_INCONCLUSIVE : v;
}

static void judge_rows(Diff *d)
{
    OWNED double *p = xmalloc(d->count * sizeof *p), *q = xmalloc(d->count * sizeof *q);
    for (size_t i = 0; i < d->count; i++)
        p[i] = d->rows[i].test.p;
    benjamini_hochberg(p, d->count, q);
    for (size_t i = 0; i < d->count; i++) {
        DiffRow *r = &d->rows[i];
        r->q = q[i];
        Verdict v = verdict_among_rows(r->test.interval, d->threshold, q[i]);
        r->verdict = believed(d, v, r->test.interval, r->least_change);
    }
}

/* Rows of one round share what happened in it, so the round is the unit: Student's t over the
 * rounds that all rows finished, of the rows' mean ratio in each. */
static Interval interval_over_rounds(const Diff *d)
{
    size_t rounds = SIZE_MAX;
    for (size_t i = 0; i < d->count; i++)
        rounds = d->rows[i].old_count < rounds ? d->rows[i].old_count : rounds;
    if (rounds < FEWEST_PROCESSES)
        return interval_missing();
    OWNED double *log_ratios = xcalloc(rounds, sizeof *log_ratios);
    for (size_t k = 0; k < rounds; k++)
        for (size_t i = 0; i < d->count; i++)
            log_ratios[k] += log(d->rows[i].new_ms[k] / d->rows[i].old_ms[k]) / (double)d->count;
    Interval logs = mean_t_interval(log_ratios, rounds, CONFIDENCE_LEVEL);
    return (Interval){exp(logs.lo), exp(logs.hi), logs.coverage};
}

static Interval interval_of_mean(const Diff *d, const double *ratios)
{
    if (d->count < FEWEST_ROWS_FOR_MEAN)
        return interval_missing();
    return d->unit == DIFF_PROCESSES ? interval_over_rounds(d)
                                     : geometric_mean_interval(ratios, d->count, CONFIDENCE_LEVEL);
}

static void judge_file(Diff *d)
{
    double least_change = 0;
    OWNED double *ratios = xmalloc(d->count * sizeof *ratios);
    OWNED Verdict *verdicts = xmalloc(d->count * sizeof *verdicts);
    for (size_t i = 0; i < d->count; i++) {
        ratios[i] = d->rows[i].test.ratio;
        verdicts[i] = d->rows[i].verdict;
        least_change += d->rows[i].least_change / (double)d->count;
    }
    d->ratio = geometric_mean_of(ratios, d->count);
    d->interval = interval_of_mean(d, ratios);
    Verdict mean = verdict_of(d->interval, d->threshold);
    d->verdict = verdict_of_file(verdicts, d->count, believed(d, mean, d->interval, least_change));
}

int diff_judge(Diff *d, const DiffRule *rule, Err *err)
{
    d->threshold = rule->threshold;
    d->unit = rule->unit;
    d->spread_known = rule->threshold_given || rule->unit == DIFF_PROCESSES;
    for (size_t i = 0; i < d->count; i++) {
        DiffRow *r = &d->rows[i];
        if (rule->unit == DIFF_PAIRED_TRIALS && r->old_count != r->new_count)
            return err_set(err,
                           "--paired: row %s has %zu trials in the old file and %zu in the new",
                           r->name, r->old_count, r->new_count);
        test_row(r, rule);
    }
    judge_rows(d);
    judge_file(d);
    return 0;
}
