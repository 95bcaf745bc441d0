/* study: see study.h. */
#include "bench/attention/study.h"

#include <math.h>
#include <string.h>

#include "bench/attention/row.h"
#include "bench/attention/run.h"
#include "bench/machine/plausible.h"
#include "bench/row/result.h"
#include "bench/sweep/estimate.h"
#include "bench/util/interrupt.h"
#include "bench/util/owned.h"
#include "bench/util/process.h"

/* ---- the fresh process ---- */

int attention_study_answer(GridStudy *s, bool parity, int fd, Err *err)
{
    OWNED_BY(samples_release) Samples samples;
    samples_init(&samples);
    if (s->count != 1)
        return err_set(err, "--result-fd and --parity are for a config of one row");
    int status = parity ? attention_parity(s->rows, grid_study_memory(s), err)
                        : attention_run(s->rows, &samples, err);
    return status == 0 ? grid_row_answer(s, s->rows, &samples, fd, err) : -1;
}

/* The row's time, or its parity, from a fresh process. */
static int ask_process(const GridStudy *s, AttentionRow *r, bool parity, Samples *samples, Err *err)
{
    int64_t limit = grid_study_memory(s);
    char **argv = grid_row_command(s, r, CHILD_RESULT_FD);
    if (limit != INT_MISSING)
        argv_add(&argv, "--set=max_memory=%lld", (long long)limit);
    if (parity)
        argv_add(&argv, "--parity");
    return grid_row_ask(s, r, argv, samples, err);
}

/* ---- a row ---- */

/* A study under way. Time is learned of each implementation by itself. */
typedef struct Runner {
    GridStudy *s;
    Progress *progress;
    Guard guard;
    TimeModel time[2]; /* flash, plain */
} Runner;

static TimeModel *time_of(Runner *run, const AttentionRow *r)
{
    return &run->time[strcmp(r->impl, "plain") == 0];
}

/* Whether two rows differ in nothing but what computes them. */
static bool same_shape(const AttentionRow *a, const AttentionRow *b)
{
    static const char *const shape[] = {"batch_size", "num_heads", "context_length", "head_dim",
                                        "causal",     "precision", "threads",        "seed"};
    bool same = true;
    for (size_t i = 0; i < COUNT_OF(shape) && same; i++)
        same = field_same(schema_field(attention_schema(), shape[i]), a, b);
    return same;
}

/* Of an earlier row of this shape, or by a process of its own. */
static int find_parity(Runner *run, AttentionRow *r, Err *err)
{
    for (const AttentionRow *past = run->s->rows; past < r; past++)
        if (past->parity[0] && same_shape(past, r)) {
            text_set(r->parity, past->parity);
            r->parity_context = past->parity_context;
            r->parity_error = past->parity_error;
            return 0;
        }
    OWNED_BY(samples_release) Samples none;
    samples_init(&none);
    return ask_process(run->s, r, true, &none, err);
}

static void judge(Runner *run, AttentionRow *r)
{
    Err unknown;
    if (result_judge(&r->base, &run->guard, &unknown) == 0)
        return;
    if (interrupted())
        r->base.status[0] = '\0'; /* not judged, so not finished */
    else
        progress_note(run->progress, "the machine's peaks are not known: %s", unknown.msg);
}

/* Checks, times and judges a row that fits. */
static int run_row(void *ctx, size_t i, Samples *samples, Err *err)
{
    Runner *run = ctx;
    AttentionRow *r = grid_study_row(run->s, i);
    r->base.predicted_time_s = time_model_predict(time_of(run, r), &r->base);
    if (!row_fits(&r->base, grid_study_memory(run->s), run->s->grid.max_row_time))
        return 0;
    if (find_parity(run, r, err) != 0)
        return -1;
    if (interrupted() || strcmp(r->base.status, STATUS_FAILED) == 0)
        return 0;
    int64_t start = clock_ns();
    if (ask_process(run->s, r, false, samples, err) != 0)
        return -1;
    if (strcmp(r->base.status, STATUS_OK) != 0)
        return 0;
    time_model_learn(time_of(run, r), &r->base, (double)(clock_ns() - start) / 1e9);
    judge(run, r);
    return 0;
}

static TimeLeft time_left(void *ctx, size_t next)
{
    Runner *run = ctx;
    double sum = 0;
    int64_t limit = grid_study_memory(run->s);
    for (size_t i = next; i < run->s->count; i++) {
        const AttentionRow *r = grid_study_row(run->s, i);
        bool fits = limit == INT_MISSING || r->base.predicted_peak_bytes <= limit;
        if (run->s->selected[i] && fits)
            sum += time_model_predict(time_of(run, r), &r->base);
    }
    return (TimeLeft){sum, sum, sum};
}

/* ---- the study ---- */

static void begin(void *ctx, Progress *progress)
{
    Runner *run = ctx;
    Err unknown;
    int64_t threads = ((const RowResult *)run->s->rows)->config.threads;
    run->progress = progress;
    if (guard_measure(&run->guard, threads, &unknown) != 0 && !interrupted())
        progress_note(progress, "the machine's peaks are not known: %s", unknown.msg);
    const Peaks *peaks = guard_peaks(&run->guard, threads);
    for (size_t i = 0; i < COUNT_OF(run->time); i++)
        time_model_init(&run->time[i], peaks ? peaks->gemm : NAN, threads);
}

static int run_study(GridStudy *s, const char *out, bool overwrite, FILE *log, Err *err)
{
    Runner run = {.s = s};
    guard_init(&run.guard);
    int status = grid_study_run(
        s, &(GridRun){.ctx = &run, .begin = begin, .row = run_row, .left = time_left}, out,
        overwrite, log, err);
    guard_release(&run.guard);
    return status;
}

static void show_table(const void *const *records, size_t count, TableFormat format, FILE *out)
{
    Table t = table_new(out, format, "row|status");
    table_columns(&t,
                  "forward ms|backward ms|both ms|GFLOP/s|of peak|saved|peak memory|predicted|"
                  "parity|reason",
                  TABLE_IF_KNOWN);
    for (size_t i = 0; i < count; i++) {
        const AttentionRow *r = records[i];
        const RowResult *b = &r->base;
        table_cells(&t, "%s|%s|%.3f|%.3f|%.3f|%.1f|%.0f %%", b->row_id, b->status, b->forward_ms,
                    b->backward_ms, b->median_ms, b->gflops_per_s, b->peak_fraction * 100);
        table_bytes(&t, (double)r->saved_bytes);
        table_bytes(&t, b->peak_rss_bytes == INT_MISSING ? NAN : (double)b->peak_rss_bytes);
        table_bytes(&t, (double)b->predicted_peak_bytes);
        table_cells(&t, "%.1e|%s", r->parity_error, told(b->status_reason));
        table_row_end(&t);
    }
    table_end(&t);
}

/* What the name of a row says of itself. */
static const char *const named_keys[] = {"impl",     "batch_size", "num_heads", "context_length",
                                         "head_dim", "causal",     "precision"};

const ConfigFile *attention_config_file(void)
{
    static GridFile file;
    return grid_file(&file, "`tare attention`", attention_schema(), FIELD_CONFIG, field_parse);
}

const GridVerb attention_verb = {.name = "attention",
                                 .file = attention_config_file,
                                 .named = named_keys,
                                 .num_named = COUNT_OF(named_keys),
                                 .plan = attention_row_plan,
                                 .run = run_study,
                                 .show = show_table,
                                 .warns = true};
