/* study: see study.h. */
#include "bench/attention/study.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/attention/run.h"
#include "bench/machine/machine.h"
#include "bench/machine/plausible.h"
#include "bench/result/file.h"
#include "bench/result/show.h"
#include "bench/row/config.h"
#include "bench/row/result.h"
#include "bench/row/stamp.h"
#include "bench/row/warning.h"
#include "bench/sweep/estimate.h"
#include "bench/sweep/progress.h"
#include "bench/util/filter.h"
#include "bench/util/interrupt.h"
#include "bench/util/process.h"

/* ---- before anything runs ---- */

static int select_rows(AttentionStudy *s, const char *regex, Err *err)
{
    NameFilter filter;
    if (name_filter_open(&filter, regex, err) != 0)
        return -1;
    for (size_t i = 0; i < s->count; i++)
        s->selected[i] = name_filter_keeps(&filter, s->rows[i].base.row_id);
    return name_filter_close(&filter, "rows", err);
}

/* /dev/null, which is no file to read, is an empty config: all keys by --set. */
static int load(AttentionConfig *c, const char *path, const TextList *settings, Err *err)
{
    const ConfigFile *file = attention_config_file();
    return strcmp(path, "/dev/null") == 0 ? config_load_text(file, c, "", 0, path, settings, err)
                                          : config_load(file, c, path, settings, err);
}

int attention_study_init(AttentionStudy *s, const char *config_path, const TextList *settings,
                         const char *filter, Err *err)
{
    *s = (AttentionStudy){0};
    if (load(&s->config, config_path, settings, err) != 0)
        return -1;
    int status = attention_expand(&s->config, &s->rows, &s->count, err);
    s->selected = xcalloc(s->count + 1, sizeof *s->selected);
    s->in_file = xcalloc(s->count + 1, sizeof *s->in_file);
    if (status == 0)
        status = select_rows(s, filter, err);
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

static bool is_key(const Field *f)
{
    return f->group == FIELD_CONFIG;
}

/* `tare attention /dev/null --set impl=flash ...`: a config without lists has one row. */
static char **row_command(const AttentionRow *r, bool parity, int64_t memory_limit)
{
    const Schema *s = attention_schema();
    char **argv = xcalloc(2 * s->count + 10, sizeof *argv);
    size_t n = 0;
    argv[n++] = xstrdup("tare");
    argv[n++] = xstrdup("attention");
    argv[n++] = xstrdup("/dev/null");
    for (size_t i = 0; i < s->count; i++) {
        FieldTEXT cell;
        if (!is_key(&s->fields[i]))
            continue;
        field_cell(&s->fields[i], r, cell);
        argv[n++] = xstrdup("--set");
        argv[n++] = xasprintf("%s=%s", s->fields[i].name, cell);
    }
    if (memory_limit != INT_MISSING) {
        argv[n++] = xstrdup("--set");
        argv[n++] = xasprintf("max_memory=%lld", (long long)memory_limit);
    }
    if (parity)
        argv[n++] = xstrdup("--parity");
    argv[n++] = xstrdup("--result-fd");
    argv[n++] = xasprintf("%d", CHILD_RESULT_FD);
    return argv;
}

int attention_study_answer(AttentionStudy *s, bool parity, int fd, Err *err)
{
    Samples samples;
    if (s->count != 1)
        return err_set(err, "--result-fd and --parity are for a config of one row");
    samples_init(&samples);
    int status = parity ? attention_parity(s->rows, attention_memory_limit(s), err)
                        : attention_run(s->rows, &samples, err);
    if (status == 0) {
        json_t *answer =
            json_pack("{s:o, s:o}", "result", schema_to_json(attention_schema(), s->rows),
                      "samples", samples_to_json(&samples));
        if (json_dumpfd(answer, fd, JSON_COMPACT | JSON_REAL_PRECISION(17)) != 0)
            status = err_set(err, "cannot write the result to descriptor %d", fd);
        json_decref(answer);
    }
    samples_release(&samples);
    return status;
}

/* Adds to r what the answer has and r lacks. */
static int take_answer(AttentionRow *r, Samples *samples, const Child *c, Err *err)
{
    const Schema *s = attention_schema();
    json_error_t where;
    AttentionRow answered;
    json_t *answer = json_loadb(c->answer, c->answer_len, 0, &where);
    if (!answer)
        return err_set(err, "the row's answer is not JSON: %s", where.text);
    attention_row_init(&answered);
    int status = schema_from_json(s, json_object_get(answer, "result"), &answered, err);
    if (status == 0)
        status = samples_from_json(json_object_get(answer, "samples"), samples, err);
    for (size_t i = 0; status == 0 && i < s->count; i++)
        if (!is_key(&s->fields[i]) && field_is_missing(&s->fields[i], r))
            field_copy(&s->fields[i], &answered, r);
    json_decref(answer);
    return status;
}

/* The row's time, or its parity, from a fresh process. A failure is the row's status; where the
 * user interrupted, interrupted() is true and the status empty. -1: no process could be made. */
static int ask_process(const AttentionStudy *s, AttentionRow *r, bool parity, Samples *samples,
                       Err *err)
{
    Child c;
    Err why;
    char **argv = row_command(r, parity, attention_memory_limit(s));
    int status = child_run(&c, own_program(), argv, s->config.grid.max_row_time, err);
    argv_free(argv);
    if (status != 0)
        return -1;
    if (c.end == CHILD_EXITED && c.code == 0) {
        if (take_answer(r, samples, &c, &why) != 0) {
            text_set(r->base.status, STATUS_FAILED);
            text_set(r->base.status_reason, why.msg);
            samples->count = 0;
        }
    } else if (c.end != CHILD_INTERRUPTED) {
        text_set(r->base.status, STATUS_FAILED);
        child_reason(&c, r->base.status_reason, sizeof r->base.status_reason);
    }
    child_release(&c);
    return 0;
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

/* ---- output ---- */

static void show_table(const AttentionRow *const *rows, size_t count, TableFormat format, FILE *out)
{
    Table t = table_new(out, format, "row|status");
    table_columns(&t,
                  "forward ms|backward ms|both ms|GFLOP/s|of peak|saved|peak memory|predicted|"
                  "parity|reason",
                  TABLE_IF_KNOWN);
    for (size_t i = 0; i < count; i++) {
        const RowResult *b = &rows[i]->base;
        table_text(&t, b->row_id);
        table_text(&t, b->status);
        table_value(&t, "%.3f", b->forward_ms);
        table_value(&t, "%.3f", b->backward_ms);
        table_value(&t, "%.3f", b->median_ms);
        table_value(&t, "%.1f", b->gflops_per_s);
        table_value(&t, "%.0f %%", b->peak_fraction * 100);
        table_bytes(&t, (double)rows[i]->saved_bytes);
        table_bytes(&t, b->peak_rss_bytes == INT_MISSING ? NAN : (double)b->peak_rss_bytes);
        table_bytes(&t, (double)b->predicted_peak_bytes);
        table_value(&t, "%.1e", rows[i]->parity_error);
        table_text(&t, b->status_reason[0] ? b->status_reason : NULL);
        table_row_end(&t);
    }
    table_end(&t);
}

size_t attention_study_show(const AttentionStudy *s, const char *format, FILE *out)
{
    const AttentionRow **rows = xcalloc(s->count + 1, sizeof *rows);
    size_t count = 0, bad = 0;
    for (size_t i = 0; i < s->count; i++) {
        const char *status = s->rows[i].base.status;
        if (!s->in_file[i])
            continue;
        rows[count++] = &s->rows[i];
        bad += strcmp(status, STATUS_FAILED) == 0 || strcmp(status, STATUS_IMPLAUSIBLE) == 0;
    }
    if (!show_records(out, table_format(format), attention_schema(), (const void *const *)rows,
                      count))
        show_table(rows, count, table_format(format), out);
    free(rows);
    return bad;
}
