/* result: see result.h. */
#include "bench/row/result.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/row/support.h"
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
}

static void fill_steady(RowResult *r, const double *all_ms, size_t n, double resolution_ms)
{
    Steady s = steady_of(all_ms, n, STEADY_DELTA, resolution_ms);
    text_set(r->steady_class, steady_class_name(s.steady_class));
    r->first_trial_ms = all_ms[0];
    r->first_over_steady = s.first_over_steady;
    r->steady_start = count_or_missing(s.steady_start);
    r->warmups_needed = count_or_missing(s.warmups_needed);
    r->steady_mean_ms = s.steady_mean;
}

/* Median of one phase; missing where the phase did not run. */
static double phase_ms(const Samples *s, const char *column, double *room)
{
    size_t n = samples_column(s, TIMED_TRIALS, column, ns_to_ms, room);
    return n ? median_of(room, n) : NAN;
}

/* Collects a counter of the timed trials for outlier_describe; NULL unless all trials have it. */
static const double *counter(const Samples *s, const char *column, size_t trials, double *room)
{
    return samples_column(s, TIMED_TRIALS, column, 1, room) == trials ? room : NULL;
}

/* Appends one sentence to r->noise, "; " between two. */
static void add_noise(RowResult *r, const char *sentence)
{
    size_t used = strlen(r->noise);
    snprintf(r->noise + used, sizeof r->noise - used, "%s%s", used ? "; " : "", sentence);
}

/* Fills how many CPUs the trials kept busy, and how long they waited for one. */
static void fill_cpus(RowResult *r, const TrialCounters *c, const double *wall_ns, size_t n)
{
    if (c->cpu_ns)
        r->cpus_used = mean_of(c->cpu_ns, n) / mean_of(wall_ns, n);
    r->cpu_wait = cpu_wait_of(wall_ns, c->runqueue_ns, n, (double)r->config.threads);
    if (!(r->cpu_wait > CPU_WAIT_LIMIT))
        return;
    char text[64];
    snprintf(text, sizeof text, "threads waited for a CPU %.0f %% of the time", 100 * r->cpu_wait);
    add_noise(r, text);
}

/* Counts the outliers and describes, for the first few slow ones, what the kernel saw. */
static void fill_outliers(RowResult *r, const TrialCounters *c, const double *numbers,
                          const double *wall_ns, size_t n, double resolution_ns)
{
    enum { MAX_SENTENCES = 4 };
    Fences fences = tukey_fences(wall_ns, n);
    ZScale scale = z_scale_of(wall_ns, n, resolution_ns);
    UsualTrial usual = usual_trial_of(wall_ns, c, n);
    r->outliers = 0;
    for (size_t i = 0, sentences = 0; i < n; i++) {
        char text[128];
        if (!is_outlier(&fences, wall_ns[i]))
            continue;
        r->outliers++;
        bool slow = wall_ns[i] > fences.high;
        if (!slow || sentences == MAX_SENTENCES || modified_z(&scale, wall_ns[i]) <= OUTLIER_Z)
            continue;
        outlier_describe(wall_ns, c, &usual, i, (long)numbers[i], text, sizeof text);
        add_noise(r, text);
        sentences++;
    }
}

/* `room` is for 7 n values. */
static void fill_noise(RowResult *r, const Samples *s, const double *wall_ns, size_t n,
                       double resolution_ns, double *room)
{
    double *numbers = room;
    TrialCounters counters = {
        .cpu_ns = counter(s, "cpu_ns", n, room + n),
        .runqueue_ns = counter(s, "runqueue_ns", n, room + 2 * n),
        .steal_ns = counter(s, "steal_ns", n, room + 3 * n),
        .minor_faults = counter(s, "minor_faults", n, room + 4 * n),
        .major_faults = counter(s, "major_faults", n, room + 5 * n),
        .involuntary_switches = counter(s, "involuntary_switches", n, room + 6 * n),
    };
    samples_column(s, TIMED_TRIALS, "trial", 1, numbers);
    r->noise[0] = '\0';
    fill_cpus(r, &counters, wall_ns, n);
    fill_outliers(r, &counters, numbers, wall_ns, n, resolution_ns);
}

static void fill_rates(RowResult *r)
{
    double seconds = r->median_ms / 1e3;
    r->tokens_per_s = (double)(r->config.batch_size * r->config.context_length) / seconds;
    r->gflops_per_s = r->model_flops / seconds / 1e9;
}

void result_fill(RowResult *r, const Samples *s, double resolution_ns)
{
    double *x = xmalloc(8 * s->count * sizeof *x), *room = x + s->count;
    size_t runs = samples_column(s, ALL_RUNS, "wall_ns", ns_to_ms, x);
    fill_steady(r, x, runs, resolution_ns * ns_to_ms);
    r->forward_ms = phase_ms(s, "forward_ns", x);
    r->backward_ms = phase_ms(s, "backward_ns", x);
    r->optimizer_ms = phase_ms(s, "optimizer_ns", x);
    size_t n = samples_column(s, TIMED_TRIALS, "wall_ns", ns_to_ms, x);
    CHECK(n > 0, "a row without timed trials");
    Summary summary = summary_of(x, n);
    fill_summary(r, &summary);
    fill_rates(r);
    samples_column(s, TIMED_TRIALS, "wall_ns", 1, x);
    fill_noise(r, s, x, n, resolution_ns, room);
    free(x);
}

int result_judge(RowResult *r, Guard *g, Err *err)
{
    Claim claim = {.product = row_product(&r->config),
                   .gflops = r->gflops_per_s,
                   .cpus_used = r->cpus_used,
                   .measured_ms = r->mean_time_ms * (double)r->config.num_trials};
    if (strcmp(r->status, STATUS_OK) != 0)
        return 0;
    if (guard_doubt(g, r->config.threads, &claim, err) != 0)
        return -1;
    const Peaks *p = guard_peaks(g, r->config.threads);
    r->peak_gflops_per_s = peaks_of_product(p, claim.product);
    r->peak_fraction = peaks_fraction(p, claim.product, claim.gflops);
    Err why;
    if (plausible(p, &claim, &why) != 0) {
        text_set(r->status, STATUS_IMPLAUSIBLE);
        text_set(r->status_reason, why.msg);
    }
    return 0;
}
