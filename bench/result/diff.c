/* diff: see diff.h. This file judges; it reads and prints nothing. */
#include "bench/result/diff.h"

#include <math.h>
#include <stdlib.h>

#include "bench/stats/bootstrap.h"
#include "bench/stats/distributions.h"
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

/* ---- several processes a side that ran apart ---- */

/* Geometric means of as many runs of consecutive processes as FEWEST_PROCESSES: batch means
 * (Schmeiser 1982), whose spread has in it what drifts while a sweep runs. Caller frees. */
static double *batches_of(const double *medians, size_t processes)
{
    double *batches = xmalloc(FEWEST_PROCESSES * sizeof *batches);
    for (size_t i = 0; i < FEWEST_PROCESSES; i++) {
        size_t from = i * processes / FEWEST_PROCESSES, to = (i + 1) * processes / FEWEST_PROCESSES;
        batches[i] = geometric_mean_of(medians + from, to - from);
    }
    return batches;
}

static void widen(Interval *i, Interval other)
{
    i->lo = fmin(i->lo, other.lo);
    i->hi = fmax(i->hi, other.hi);
}

/* By ranks, which assume nothing but that processes are alike; no narrower than by batches, which
 * see drift. Missing for fewer than FEWEST_PROCESSES a side. */
static RatioTest apart_ratio(const double *old, size_t n, const double *new, size_t m)
{
    RatioTest test = rank_ratio(old, n, new, m, CONFIDENCE_LEVEL);
    if (n < FEWEST_PROCESSES || m < FEWEST_PROCESSES) {
        test.interval = interval_missing();
        return test;
    }
    double *old_batches = batches_of(old, n), *new_batches = batches_of(new, m);
    RatioTest batch =
        welch_ratio(old_batches, FEWEST_PROCESSES, new_batches, FEWEST_PROCESSES, CONFIDENCE_LEVEL);
    widen(&test.interval, batch.interval);
    test.p = fmax(test.p, batch.p);
    free(old_batches);
    free(new_batches);
    return test;
}

/* Fills what is judged of a row of several processes a side. */
static void test_apart(DiffRow *r)
{
    size_t n = r->old_processes, m = r->new_processes;
    OWNED double *old = medians_of_processes(r->old_ms, n, r->old_count / n),
                 *new = medians_of_processes(r->new_ms, m, r->new_count / m);
    r->old_median = median_of(old, n);
    r->new_median = median_of(new, m);
    r->test = apart_ratio(old, n, new, m);
    r->welch = welch_ratio(old, n, new, m, CONFIDENCE_LEVEL);
    if (!isnan(r->test.interval.lo))
        widen(&r->test.interval,
              nested_ratio_interval((Nested){r->new_ms, m, r->new_count / m},
                                    (Nested){r->old_ms, n, r->old_count / n}, CONFIDENCE_LEVEL));
    r->cv = sqrt((pow(cv_of(old, n), 2) + pow(cv_of(new, m), 2)) / 2);
    r->spread_known = true;
}

/* ---- one process a side, or rounds ---- */

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

/* The ratio of one process to one other by the noise floor: Student's t, no narrower than what the
 * trials tell. */
static void add_noise(DiffRow *r)
{
    double error = M_SQRT2 * r->noise, shift = log(r->test.ratio);
    double reach = student_quantile(0.5 + CONFIDENCE_LEVEL / 2, r->noise_freedom) * error;
    double p = 2 * student_cdf(-fabs(shift) / error, r->noise_freedom);
    if (isnan(r->test.interval.lo))
        return;
    widen(&r->test.interval, (Interval){exp(shift - reach), exp(shift + reach), CONFIDENCE_LEVEL});
    r->test.p = fmax(r->test.p, p);
    r->cv = fmax(r->cv, r->noise);
    r->least_change = fmax(r->least_change, exp(reach) - 1);
    r->spread_known = r->by_floor = true;
}

static void test_units(DiffRow *r, const DiffRule *rule)
{
    r->old_median = median_of(r->old_ms, r->old_count);
    r->new_median = median_of(r->new_ms, r->new_count);
    r->cv = r->unit == DIFF_PROCESSES ? cv_of_processes(r) : cv_of_trials(r);
    r->test = ratio_test(r, r->unit);
    r->welch = welch_ratio(r->old_ms, r->old_count, r->new_ms, r->new_count, CONFIDENCE_LEVEL);
    r->spread_known = rule->threshold_given || r->unit == DIFF_PROCESSES;
    if (!r->spread_known && r->noise_freedom > 0)
        add_noise(r);
}

/* ---- every row ---- */

size_t diff_units(const DiffRow *r, bool new)
{
    if (r->unit == DIFF_APART)
        return new ? r->new_processes : r->old_processes;
    return new ? r->new_count : r->old_count;
}

static void test_row(DiffRow *r, const DiffRule *rule)
{
    bool apart = rule->unit == DIFF_TRIALS && r->old_processes > 1 && r->new_processes > 1;
    r->unit = apart ? DIFF_APART : rule->unit;
    r->least_change = rule->threshold;
    if (rule->unit != DIFF_PROCESSES) /* in turns both sides waited, and the rounds tell how much */
        r->least_change = fmax(r->least_change, r->wait);
    if (!rule->threshold_given)
        r->least_change = fmax(r->least_change, r->shift);
    if (apart)
        test_apart(r);
    else
        test_units(r, rule);
    r->detectable = NAN;
    if (isnan(r->test.interval.lo))
        r->test.p = NAN; /* too few: no outcome could have been significant */
    else
        r->detectable = minimum_detectable_effect(r->cv, r->by_floor ? 1 : diff_units(r, false),
                                                  r->by_floor ? 1 : diff_units(r, true));
}

/* `v`, unless nobody knows what processes of one build differ by, or it is a change that the
 * interval does not show to exceed least_change. */
static Verdict believed(bool spread_known, Verdict v, Interval ratio, double least_change)
{
    if (!spread_known)
        return VERDICT_INCONCLUSIVE;
    bool change = v == VERDICT_IMPROVEMENT || v == VERDICT_REGRESSION;
    return change && verdict_of(ratio, least_change) != v ? VERDICT_INCONCLUSIVE : v;
}

/* Rows of one round share what happened in it, so the round is the unit of their mean: one side's
 * geometric mean over the rows in each of the rounds that all rows had. Caller frees. */
static double *rounds_of(const Diff *d, bool new, size_t *rounds)
{
    *rounds = SIZE_MAX;
    for (size_t i = 0; i < d->count; i++) {
        size_t units = diff_units(&d->rows[i], new);
        *rounds = units < *rounds ? units : *rounds;
    }
    double *logs = xcalloc(*rounds, sizeof *logs);
    for (size_t i = 0; i < d->count; i++) {
        const DiffRow *r = &d->rows[i];
        size_t processes = diff_units(r, new);
        size_t trials = (new ? r->new_count : r->old_count) / processes;
        OWNED double *medians =
            medians_of_processes(new ? r->new_ms : r->old_ms, processes, trials);
        for (size_t k = 0; k < *rounds; k++)
            logs[k] += log(medians[k]) / (double)d->count;
    }
    for (size_t k = 0; k < *rounds; k++)
        logs[k] = exp(logs[k]);
    return logs;
}

static bool all_apart(const Diff *d)
{
    for (size_t i = 0; i < d->count; i++)
        if (d->rows[i].unit != DIFF_APART)
            return false;
    return true;
}

/* Of the geometric mean over the rows. By trials, its p is not known. */
static RatioTest test_of_mean(const Diff *d, const double *ratios)
{
    RatioTest test = ratio_missing();
    size_t n, m;
    if (d->count < FEWEST_ROWS_FOR_MEAN)
        return test;
    if (d->unit != DIFF_PROCESSES && !all_apart(d)) {
        test.interval = geometric_mean_interval(ratios, d->count, CONFIDENCE_LEVEL);
        return test;
    }
    OWNED double *old = rounds_of(d, false, &n), *new = rounds_of(d, true, &m);
    if (n < FEWEST_PROCESSES || m < FEWEST_PROCESSES)
        return test;
    return d->unit == DIFF_PROCESSES ? paired_t_ratio(old, new, n, CONFIDENCE_LEVEL)
                                     : apart_ratio(old, n, new, m);
}

/* The mean is one more question beside the rows', so its p counts among theirs. */
static Verdict judge_rows(Diff *d, double mean_p)
{
    OWNED double *p = xmalloc((d->count + 1) * sizeof *p), *q = xmalloc((d->count + 1) * sizeof *q);
    double least_change = 0;
    p[d->count] = mean_p;
    for (size_t i = 0; i < d->count; i++)
        p[i] = d->rows[i].test.p;
    benjamini_hochberg(p, d->count + 1, q);
    for (size_t i = 0; i < d->count; i++) {
        DiffRow *r = &d->rows[i];
        r->q = q[i];
        Verdict v = verdict_among_rows(r->test.interval, d->threshold, q[i]);
        r->verdict = believed(r->spread_known, v, r->test.interval, r->least_change);
        least_change += r->least_change / (double)d->count;
    }
    Verdict mean = isnan(mean_p) ? verdict_of(d->interval, d->threshold)
                                 : verdict_among_rows(d->interval, d->threshold, q[d->count]);
    return believed(d->spread_known, mean, d->interval, least_change);
}

static void judge_file(Diff *d)
{
    OWNED double *ratios = xmalloc(d->count * sizeof *ratios);
    OWNED Verdict *verdicts = xmalloc(d->count * sizeof *verdicts);
    for (size_t i = 0; i < d->count; i++)
        ratios[i] = d->rows[i].test.ratio;
    RatioTest mean = test_of_mean(d, ratios);
    d->ratio = geometric_mean_of(ratios, d->count);
    d->interval = mean.interval;
    Verdict of_mean = judge_rows(d, mean.p);
    for (size_t i = 0; i < d->count; i++)
        verdicts[i] = d->rows[i].verdict;
    d->verdict = verdict_of_file(verdicts, d->count, of_mean);
}

int diff_judge(Diff *d, const DiffRule *rule, Err *err)
{
    d->threshold = rule->threshold;
    d->unit = rule->unit;
    d->spread_known = true;
    for (size_t i = 0; i < d->count; i++) {
        DiffRow *r = &d->rows[i];
        if (rule->unit == DIFF_PAIRED_TRIALS && r->old_count != r->new_count)
            return err_set(err,
                           "--paired: row %s has %zu trials in the old file and %zu in the new",
                           r->name, r->old_count, r->new_count);
        test_row(r, rule);
        d->spread_known &= r->spread_known;
    }
    judge_file(d);
    return 0;
}
