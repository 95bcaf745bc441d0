/* study: see study.h. */
#include "bench/attention/study.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/attention/run.h"
#include "bench/machine/machine.h"
#include "bench/machine/plausible.h"
#include "bench/result/file.h"
#include "bench/row/config.h"
#include "bench/row/result.h"
#include "bench/row/stamp.h"
#include "bench/row/warning.h"
#include "bench/sweep/estimate.h"
#include "bench/sweep/grid_row.h"
#include "bench/sweep/progress.h"
#include "bench/util/interrupt.h"
#include "bench/util/process.h"

/* ---- what sweep/grid_row.h needs to know ---- */

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
        table_text(&t, b->row_id);
        table_text(&t, b->status);
        table_value(&t, "%.3f", b->forward_ms);
        table_value(&t, "%.3f", b->backward_ms);
        table_value(&t, "%.3f", b->median_ms);
        table_value(&t, "%.1f", b->gflops_per_s);
        table_value(&t, "%.0f %%", b->peak_fraction * 100);
        table_bytes(&t, (double)r->saved_bytes);
        table_bytes(&t, b->peak_rss_bytes == INT_MISSING ? NAN : (double)b->peak_rss_bytes);
        table_bytes(&t, (double)b->predicted_peak_bytes);
        table_value(&t, "%.1e", r->parity_error);
        table_text(&t, b->status_reason[0] ? b->status_reason : NULL);
        table_row_end(&t);
    }
    table_end(&t);
}

static void init_row(void *record)
{
    attention_row_init(record);
}

static const GridVerb verb = {"attention", attention_schema, init_row, show_table};

/* ---- before anything runs ---- */

int attention_study_init(AttentionStudy *s, const char *config_path, const TextList *settings,
                         const char *filter, Err *err)
{
    *s = (AttentionStudy){0};
    if (grid_load(attention_config_file(), &s->config, config_path, settings, err) != 0)
        return -1;
    int status = attention_expand(&s->config, &s->rows, &s->count, err);
    s->selected = xcalloc(s->count + 1, sizeof *s->selected);
    s->in_file = xcalloc(s->count + 1, sizeof *s->in_file);
    if (status == 0)
        status = grid_rows_select(&verb, s->rows, s->count, filter, s->selected, err);
    if (status != 0)
        attention_study_release(s);
    return status;
}

void attention_study_release(AttentionStudy *s)
{
    config_release(attention_config_file(), &s->config);
    free(s->rows);
    free(s->selected);
    free(s->in_file);
    *s = (AttentionStudy){0};
}

int64_t attention_memory_limit(const AttentionStudy *s)
{
    return s->config.grid.max_memory ? s->config.grid.max_memory : memory_auto_limit();
}

/* ---- the fresh process ---- */

int attention_study_answer(AttentionStudy *s, bool parity, int fd, Err *err)
{
    Samples samples;
    if (s->count != 1)
        return err_set(err, "--result-fd and --parity are for a config of one row");
    samples_init(&samples);
    int status = parity ? attention_parity(s->rows, attention_memory_limit(s), err)
                        : attention_run(s->rows, &samples, err);
    if (status == 0)
        status = grid_row_answer(&verb, s->rows, &samples, fd, err);
    samples_release(&samples);
    return status;
}

/* The row's time, or its parity, from a fresh process. */
static int ask_process(const AttentionStudy *s, AttentionRow *r, bool parity, Samples *samples,
                       Err *err)
{
    const char *more[4] = {NULL};
    size_t n = 0;
    int64_t limit = attention_memory_limit(s);
    OWNED char *memory = xasprintf("max_memory=%lld", (long long)limit);
    if (limit != INT_MISSING) {
        more[n++] = "--set";
        more[n++] = memory;
    }
    if (parity)
        more[n++] = "--parity";
    char **argv = grid_row_command(&verb, r, CHILD_RESULT_FD, more);
    return grid_row_ask(&verb, r, argv, s->config.grid.max_row_time, samples, err);
}

/* ---- a row ---- */

/* A study under way. Time is learned of each implementation by itself. */
typedef struct Runner {
    AttentionStudy *s;
    ResultFile file;
    Progress progress;
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
    for (size_t i = 0; i < COUNT_OF(shape); i++) {
        FieldTEXT in_a, in_b;
        const Field *f = schema_field(attention_schema(), shape[i]);
        field_cell(f, a, in_a);
        field_cell(f, b, in_b);
        if (strcmp(in_a, in_b) != 0)
            return false;
    }
    return true;
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
    Samples none;
    samples_init(&none);
    int status = ask_process(run->s, r, true, &none, err);
    samples_release(&none);
    return status;
}

static void judge(Runner *run, AttentionRow *r)
{
    Err unknown;
    if (result_judge(&r->base, &run->guard, &unknown) == 0)
        return;
    if (interrupted())
        r->base.status[0] = '\0'; /* not judged, so not finished */
    else
        progress_note(&run->progress, "the machine's peaks are not known: %s", unknown.msg);
}

/* Checks, times and judges an admitted row. */
static int execute(Runner *run, AttentionRow *r, Samples *samples, Err *err)
{
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

static TimeLeft time_left(Runner *run, size_t next)
{
    double sum = 0;
    int64_t limit = attention_memory_limit(run->s);
    for (size_t i = next; i < run->s->count; i++) {
        const AttentionRow *r = &run->s->rows[i];
        bool fits = limit == INT_MISSING || r->base.predicted_peak_bytes <= limit;
        if (run->s->selected[i] && fits)
            sum += time_model_predict(time_of(run, r), &r->base);
    }
    return (TimeLeft){sum, sum, sum};
}

static int finish_row(Runner *run, size_t i, const Samples *samples, Err *err)
{
    AttentionRow *r = &run->s->rows[i];
    FieldTEXT warning;
    row_stamp(&r->base);
    if (result_file_add(&run->file, r, r->base.row_id, samples, err) != 0)
        return -1;
    run->s->in_file[i] = true;
    progress_row_ended(&run->progress, r->base.row_id, &r->base, time_left(run, i + 1));
    if (row_warning(&r->base, warning))
        progress_note(&run->progress, "    warning: %s", warning);
    return 0;
}

static int run_row(Runner *run, size_t i, Err *err)
{
    AttentionRow *r = &run->s->rows[i];
    const Grid *limits = &run->s->config.grid;
    Samples samples;
    int status = 0;
    samples_init(&samples);
    progress_row_begins(&run->progress, r->base.row_id, time_left(run, i));
    r->base.predicted_time_s = time_model_predict(time_of(run, r), &r->base);
    if (row_fits(&r->base, attention_memory_limit(run->s), limits->max_row_time))
        status = execute(run, r, &samples, err);
    if (status == 0 && r->base.status[0])
        status = finish_row(run, i, &samples, err);
    samples_release(&samples);
    return status;
}

/* ---- the study ---- */

static void prepare(Runner *run)
{
    AttentionStudy *s = run->s;
    size_t total = 0;
    Err unknown;
    int64_t threads = s->rows[0].base.config.threads;
    for (size_t i = 0; i < s->count; i++)
        total += s->selected[i];
    progress_start(&run->progress, run->progress.out, total);
    guard_init(&run->guard);
    if (guard_measure(&run->guard, threads, &unknown) != 0 && !interrupted())
        progress_note(&run->progress, "the machine's peaks are not known: %s", unknown.msg);
    const Peaks *peaks = guard_peaks(&run->guard, threads);
    for (size_t i = 0; i < COUNT_OF(run->time); i++)
        time_model_init(&run->time[i], peaks ? peaks->gemm : NAN, threads);
}

int attention_study_run(AttentionStudy *s, const char *out, bool overwrite, FILE *log, Err *err)
{
    Runner run = {.s = s, .progress.out = log};
    if (result_file_create(&run.file, attention_schema(), out, overwrite, err) != 0)
        return -1;
    prepare(&run);
    int status = 0;
    for (size_t i = 0; i < s->count && status == 0 && !interrupted(); i++)
        if (s->selected[i])
            status = run_row(&run, i, err);
    progress_end(&run.progress);
    guard_release(&run.guard);
    result_file_close(&run.file);
    return status;
}

size_t attention_study_show(const AttentionStudy *s, const char *format, FILE *out)
{
    return grid_rows_show(&verb, s->rows, s->count, s->in_file, format, out);
}
