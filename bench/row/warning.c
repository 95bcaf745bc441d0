/* warning: see warning.h. */
#include "bench/row/warning.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/machine/blas.h"
#include "bench/machine/threads.h"
#include "bench/stats/outliers.h"
#include "bench/stats/steady.h"

static bool is_class(const RowResult *r, SteadyClass c)
{
    return strcmp(r->steady_class, steady_class_name(c)) == 0;
}

/* Whether the mean is off its right value by enough to matter, or there is no right value. One of
 * twenty trials is nearly always slow: nobody would read a warning for each. */
static bool mean_is_off(const RowResult *r, double right)
{
    const double matters = 0.02; /* the change that `tare diff` looks for, too */
    return !(fabs(r->mean_time_ms / right - 1) <= matters);
}

static bool has_waited(const RowResult *r)
{
    return r->cpu_wait > CPU_WAIT_LIMIT;
}

static bool outliers_moved_mean(const RowResult *r)
{
    return outlier_is_described(r->noise) && mean_is_off(r, r->median_ms);
}

static bool has_slow_start(const RowResult *r)
{
    bool slow = is_class(r, STEADY_WARMUP) || is_class(r, STEADY_GOOD_INCONSISTENT);
    return slow && r->warmups_needed > r->config.num_warmups;
}

/* How its runs went from the first to the last. */
static void settling_warning(const RowResult *r, FieldTEXT text)
{
    if (is_class(r, STEADY_NONE))
        snprintf(text, TEXT_SIZE, "its level still changed in the last runs: run it again, longer");
    else if (is_class(r, STEADY_BAD_INCONSISTENT))
        snprintf(text, TEXT_SIZE, "its processes settled in different ways: look at their runs");
    else if (is_class(r, STEADY_SLOWDOWN))
        snprintf(text, TEXT_SIZE,
                 "slower from run %" PRId64 " on: look for heat or other work, and run it again",
                 r->steady_start);
    else if (has_slow_start(r) && mean_is_off(r, r->steady_mean_ms))
        snprintf(text, TEXT_SIZE,
                 "slow first runs are in the mean: it takes %" PRId64 " warmup%s to leave them out",
                 r->warmups_needed, r->warmups_needed == 1 ? "" : "s");
}

void row_add_blas(const RowResult *r, FieldTEXT text)
{
    char far_below[BLAS_TEXT_SIZE];
    if (strcmp(r->config.gemm, "openblas") == 0 &&
        blas_is_far_below(r->blas, best_isa(), far_below))
        text_add(text, "%s: " BLAS_REMEDY, far_below);
}

/* What `noise` says; of a row that nothing disturbed its BLAS alone. */
static void noise_warning(const RowResult *r, FieldTEXT text)
{
    bool waited = has_waited(r);
    if (waited || outliers_moved_mean(r))
        text_add(text, "%.400s%s", r->noise,
                 waited ? " (stop other work, or use fewer threads)" : "");
    else
        row_add_blas(r, text);
}

bool row_warning(const RowResult *r, FieldTEXT text)
{
    char doubt[THREADS_TEXT_SIZE];
    text[0] = '\0';
    if (strcmp(r->status, STATUS_OK) != 0)
        return false;
    settling_warning(r, text);
    noise_warning(r, text);
    threads_doubt(r->threads_seen, r->config.threads, doubt);
    text_add(text, "%s", doubt);
    return text[0] != '\0';
}

bool row_all_threads_ran(const RowResult *r)
{
    return r->threads_seen == INT_MISSING || r->threads_seen >= r->config.threads;
}

bool row_is_believed(const RowResult *r)
{
    bool steady = is_class(r, STEADY_FLAT) || is_class(r, STEADY_WARMUP) ||
                  is_class(r, STEADY_GOOD_INCONSISTENT);
    bool disturbed = has_waited(r) || (outliers_moved_mean(r) && !has_slow_start(r));
    return strcmp(r->status, STATUS_OK) == 0 && steady && !disturbed && row_all_threads_ran(r);
}
