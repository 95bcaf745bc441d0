/* result: see result.h. */
#include "bench/row/result.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/row/config.h"
#include "bench/row/probe.h"
#include "bench/row/ranked.h"
#include "bench/row/support.h"
#include "bench/row/warning.h"
#include "bench/stats/outliers.h"
#include "bench/stats/stats.h"
#include "bench/stats/steady.h"

static const double ns_to_ms = 1e-6;

static int64_t count_or_missing(double value)
{
    return isnan(value) ? INT_MISSING : (int64_t)value;
}

static void fill_summary(RowResult *r, const Summary *s)
{
    r->mean_time_ms = s->mean;
    r->std_time_ms = s->std;
    r->median_ms = s->median;
    r->median_lo_ms = s->median_ci.lo;
    r->median_hi_ms = s->median_ci.hi;
    r->median_coverage = s->median_ci.coverage;
    r->mean_lo_ms = s->mean_ci.lo;
    r->mean_hi_ms = s->mean_ci.hi;
    r->min_ms = s->min;
    r->max_ms = s->max;
    r->p95_ms = s->p95;
    r->p95_hi_ms = s->p95_hi;
    r->p99_ms = s->p99;
    r->p99_hi_ms = s->p99_hi;
    r->cv = s->cv;
    r->robust_cv = s->robust_cv;
    r->between_cv = s->between_cv;
    r->within_cv = s->within_cv;
}

/* NaN where one of them is. */
static double largest(const double *x, size_t n)
{
    return isnan(mean_of(x, n)) ? NAN : max_of(x, n);
}

/* What several processes agree on: their class, median first runs, mean level, latest start. */
static void fill_steady(RowResult *r, const Samples *s, double resolution_ms)
{
    size_t count = samples_processes(s), n = 0;
    OWNED double *room = xmalloc((5 * count + s->count) * sizeof *room);
    double *first = room, *ratio = room + count, *start = room + 2 * count,
           *needed = room + 3 * count, *mean = room + 4 * count, *ms = room + 5 * count;
    OWNED SteadyClass *classes = xmalloc(count * sizeof *classes);
    Samples runs;
    for (size_t at = 0; n < count; at += runs.count, n++) {
        runs = samples_of_process(s, at);
        size_t timed = samples_column(&runs, ALL_RUNS, "wall_ns", ns_to_ms, ms);
        Steady steady = steady_of(ms, timed, STEADY_DELTA, resolution_ms);
        classes[n] = steady.steady_class;
        first[n] = ms[0];
        ratio[n] = steady.first_over_steady;
        start[n] = steady.steady_start;
        needed[n] = steady.warmups_needed;
        mean[n] = steady.steady_mean;
    }
    text_set(r->steady_class, steady_class_name(steady_class_of_processes(classes, count)));
    r->first_trial_ms = median_of(first, count);
    r->first_over_steady = isnan(mean_of(ratio, count)) ? NAN : median_of(ratio, count);
    r->steady_start = count_or_missing(largest(start, count));
    r->warmups_needed = count_or_missing(largest(needed, count));
    r->steady_mean_ms = mean_of(mean, count);
}

/* Median of one phase, of the processes' medians; missing where the phase did not run. */
static double phase_ms(const Samples *s, const char *column)
{
    OWNED double *room = xmalloc(2 * s->count * sizeof *room);
    double *medians = room + s->count;
    size_t count = 0;
    Samples runs;
    for (size_t at = 0; at < s->count; at += runs.count) {
        runs = samples_of_process(s, at);
        size_t n = samples_column(&runs, TIMED_TRIALS, column, ns_to_ms, room);
        if (n)
            medians[count++] = median_of(room, n);
    }
    return count ? median_of(medians, count) : NAN;
}

/* Collects a counter of the timed trials for outlier_describe; NULL unless all trials have it. */
static const double *counter(const Samples *s, const char *column, size_t trials, double *room)
{
    return samples_column(s, TIMED_TRIALS, column, 1, room) == trials ? room : NULL;
}

/* Fills how many CPUs the trials kept busy, and how long they waited for one. */
static void fill_cpus(RowResult *r, const TrialCounters *c, const double *wall_ns, size_t n)
{
    if (c->cpu_ns)
        r->cpus_used = mean_of(c->cpu_ns, n) / mean_of(wall_ns, n);
    r->cpu_wait = cpu_wait_of(wall_ns, c->runqueue_ns, n, (double)r->config.threads);
    if (r->cpu_wait > CPU_WAIT_LIMIT)
        text_add(r->noise, "threads waited for a CPU %.0f %% of the time", 100 * r->cpu_wait);
}

static void add_wander(RowResult *r, const Samples *s, const char *column, const char *what)
{
    Wander w = probe_wander(s, column);
    if (w.low < PROBE_LOW)
        text_add(r->noise, "%s ran at %.0f to 100 %% of their best", what, 100 * w.low);
}

static double probe_median_us(const Samples *s, const char *column)
{
    size_t n;
    OWNED double *us = samples_values(s, TIMED_TRIALS, column, 1e-3, &n);
    return n ? median_of(us, n) : NAN;
}

/* What the probe saw of the machine, and a sentence where it wandered. */
static void fill_probe(RowResult *r, const Samples *s)
{
    r->probe_product_us = probe_median_us(s, "probe_product_ns");
    r->probe_read_us = probe_median_us(s, "probe_read_ns");
    add_wander(r, s, "probe_product_ns", "products");
    add_wander(r, s, "probe_read_ns", "reads");
}

/* Counters of the timed trials of one row or process. */
typedef struct Timed {
    double *room, *wall_ns, *numbers;
    TrialCounters counters;
    size_t n;
} Timed;

static Timed timed_trials(const Samples *s)
{
    double *room = xmalloc((8 * s->count + 1) * sizeof *room);
    Timed t = {.room = room, .wall_ns = room, .numbers = room + s->count};
    t.n = samples_column(s, TIMED_TRIALS, "wall_ns", 1, t.wall_ns);
    samples_column(s, TIMED_TRIALS, "trial", 1, t.numbers);
    room += 2 * s->count;
    t.counters = (TrialCounters){
        .cpu_ns = counter(s, "cpu_ns", t.n, room),
        .runqueue_ns = counter(s, "runqueue_ns", t.n, room + s->count),
        .steal_ns = counter(s, "steal_ns", t.n, room + 2 * s->count),
        .minor_faults = counter(s, "minor_faults", t.n, room + 3 * s->count),
        .major_faults = counter(s, "major_faults", t.n, room + 4 * s->count),
        .involuntary_switches = counter(s, "involuntary_switches", t.n, room + 5 * s->count),
    };
    return t;
}

/* Counts a process's outliers and describes, for the first few slow ones of the row, what the
 * kernel saw. */
static void add_outliers(RowResult *r, const Samples *process, double resolution_ns,
                         size_t *sentences)
{
    enum { MAX_SENTENCES = 4 };
    Timed t = timed_trials(process);
    Fences fences = tukey_fences(t.wall_ns, t.n);
    ZScale scale = z_scale_of(t.wall_ns, t.n, resolution_ns);
    UsualTrial usual = usual_trial_of(t.wall_ns, &t.counters, t.n);
    for (size_t i = 0; i < t.n; i++) {
        char text[128];
        if (!is_outlier(&fences, t.wall_ns[i]))
            continue;
        r->outliers++;
        bool slow = t.wall_ns[i] > fences.high;
        if (!slow || *sentences == MAX_SENTENCES || modified_z(&scale, t.wall_ns[i]) <= OUTLIER_Z)
            continue;
        outlier_describe(t.wall_ns, &t.counters, &usual, i, (long)t.numbers[i], text, sizeof text);
        text_add(r->noise, "%s", text);
        ++*sentences;
    }
    free(t.room);
}

static void fill_noise(RowResult *r, const Samples *s, double resolution_ns)
{
    Timed all = timed_trials(s);
    size_t sentences = 0;
    Samples process;
    r->noise[0] = '\0';
    r->outliers = 0;
    row_add_blas(r, r->noise);
    fill_cpus(r, &all.counters, all.wall_ns, all.n);
    free(all.room);
    fill_probe(r, s);
    for (size_t at = 0; at < s->count; at += process.count) {
        process = samples_of_process(s, at);
        add_outliers(r, &process, resolution_ns, &sentences);
    }
}

static void fill_rates(RowResult *r)
{
    double seconds = r->median_ms / 1e3;
    r->tokens_per_s = row_tokens(&r->config) / seconds;
    r->gflops_per_s = r->model_flops / seconds / 1e9;
    r->gb_per_s = r->bytes_per_token * r->tokens_per_s / 1e9;
    r->bandwidth_fraction = r->gb_per_s / r->peak_gb_per_s;
}

/* Times between tokens of all timed trials; the first of a trial has none before it. */
static void fill_tokens(RowResult *r, const Samples *s)
{
    OWNED double *gaps = xmalloc((s->num_tokens + 1) * sizeof *gaps);
    size_t n = 0;
    for (size_t i = 0; i < s->num_tokens; i++)
        if (s->tokens[i].token > 0)
            gaps[n++] = (double)s->tokens[i].ns * ns_to_ms;
    r->tpot_ms = mean_of(gaps, n);
    r->itl_p50_ms = median_of(gaps, n);
    r->itl_p95_ms = supported_percentile_of(gaps, n, 0.95);
    r->itl_p99_ms = supported_percentile_of(gaps, n, 0.99);
    r->itl_max_ms = max_of(gaps, n);
    if (row_task(&r->config) == TASK_PREFILL)
        r->ttft_ms = r->median_ms;
}

void result_fill(RowResult *r, const Samples *s, double resolution_ns)
{
    size_t n;
    OWNED double *ms = samples_timed_ms(s, &n);
    size_t processes = samples_processes(s);
    CHECK(n > 0, "a row without timed trials");
    CHECK(n % processes == 0, "%zu trials of %zu processes", n, processes);
    Summary summary = summary_of_processes(ms, processes, n / processes);
    fill_summary(r, &summary);
    fill_steady(r, s, resolution_ns * ns_to_ms);
    r->forward_ms = phase_ms(s, "forward_ns");
    r->backward_ms = phase_ms(s, "backward_ns");
    r->optimizer_ms = phase_ms(s, "optimizer_ns");
    r->comm_ms = phase_ms(s, "comm_ns");
    r->comm_exposed_ms = phase_ms(s, "comm_exposed_ns");
    r->comm_share = r->comm_exposed_ms / r->median_ms;
    if (r->comm_ms > 0)
        r->overlap_fraction = fmax(1 - r->comm_exposed_ms / r->comm_ms, 0);
    fill_rates(r);
    fill_tokens(r, s);
    fill_noise(r, s, resolution_ns);
}

/* `one` says nothing about the row but that it failed. */
static void fail_row(RowResult *r, const RowResult *one, int64_t process)
{
    int64_t processes = row_processes(&r->config);
    *r = *one;
    snprintf(r->status_reason, sizeof r->status_reason,
             "process %" PRId64 " of %" PRId64 ": %.440s", process, processes, one->status_reason);
}

void result_add_process(RowResult *r, Samples *all, const RowResult *one, const Samples *samples,
                        int64_t process)
{
    if (strcmp(one->status, STATUS_OK) != 0 && process > 1) {
        fail_row(r, one, process);
        all->count = all->num_tokens = 0;
        return;
    }
    RowResult before = *r;
    *r = *one;
    if (process > 1) {
        if (before.peak_rss_bytes > r->peak_rss_bytes)
            r->peak_rss_bytes = before.peak_rss_bytes;
        r->peak_gb_per_s = fmax(r->peak_gb_per_s, before.peak_gb_per_s);
        if (before.threads_seen < r->threads_seen)
            r->threads_seen = before.threads_seen;
        if (before.config.num_warmups > r->config.num_warmups)
            r->config.num_warmups = before.config.num_warmups;
        r->predicted_time_s = before.predicted_time_s;
    }
    for (size_t i = 0; i < samples->num_tokens; i++) {
        TokenTime t = samples->tokens[i];
        t.trial += (int64_t)all->count;
        samples_add_token(all, t);
    }
    for (size_t i = 0; i < samples->count; i++) {
        Sample s = samples->at[i];
        s.process = process;
        s.trial = (int64_t)all->count + 1;
        samples_add(all, s);
    }
}

void result_predict(RowResult *r, double gb_per_s, double gflops_per_s)
{
    double flops_per_token = r->model_flops / row_tokens(&r->config);
    if (row_task(&r->config) != TASK_LOSS)
        r->predicted_tokens_per_s =
            fmin(gb_per_s * 1e9 / r->bytes_per_token, gflops_per_s * 1e9 / flops_per_token);
}

/* What most of the time goes into. */
static void fill_bound(RowResult *r)
{
    const double most = 0.5;
    result_predict(r, r->peak_gb_per_s, r->peak_gflops_per_s);
    if (isnan(r->bandwidth_fraction) || isnan(r->peak_fraction))
        return;
    double larger = fmax(r->bandwidth_fraction, r->peak_fraction);
    text_set(r->bound, larger < most                ? "overhead"
                       : larger == r->peak_fraction ? "compute"
                                                    : "memory");
}

/* Nothing reads its weights faster than memory is read. */
static void judge_bandwidth(RowResult *r)
{
    if (row_task(&r->config) != TASK_DECODE || !(r->bandwidth_fraction > PEAK_SLACK))
        return;
    text_set(r->status, STATUS_IMPLAUSIBLE);
    snprintf(r->status_reason, TEXT_SIZE,
             "reads %.4g GB/s, but no more than %.4g were measured over the same memory",
             r->gb_per_s, r->peak_gb_per_s);
}

int result_judge(RowResult *r, Guard *g, Err *err)
{
    Claim claim = {.product = row_product(&r->config),
                   .gflops = r->gflops_per_s,
                   .cpus_used = r->cpus_used,
                   .measured_ms = r->mean_time_ms * (double)r->config.num_trials};
    double ranks = row_ranks(&r->config);
    if (ranks > 1) { /* a rank's rate; its communication thread has CPU time as well */
        claim.gflops /= ranks;
        claim.cpus_used = NAN;
    }
    if (strcmp(r->status, STATUS_OK) != 0)
        return 0;
    if (guard_doubt(g, r->config.threads, &claim, err) != 0)
        return -1;
    const Peaks *p = guard_peaks(g, r->config.threads);
    r->peak_gflops_per_s = ranks * peaks_of_product(p, claim.product);
    r->peak_fraction = peaks_fraction(p, claim.product, claim.gflops);
    fill_bound(r);
    judge_bandwidth(r);
    Err why;
    if (plausible(p, &claim, &why) != 0) {
        text_set(r->status, STATUS_IMPLAUSIBLE);
        text_set(r->status_reason, why.msg);
    }
    return 0;
}
