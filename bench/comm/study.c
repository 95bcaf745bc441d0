/* study: see study.h. */
#include "bench/comm/study.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/comm/run.h"
#include "bench/machine/machine.h"
#include "bench/ranks/launch.h"
#include "bench/ranks/loader.h"
#include "bench/result/file.h"
#include "bench/result/show.h"
#include "bench/row/stamp.h"
#include "bench/sweep/estimate.h"
#include "bench/sweep/progress.h"
#include "bench/util/filter.h"
#include "bench/util/interrupt.h"
#include "bench/util/process.h"

/* ---- the config ---- */

/* That of configs/cs336/all_reduce.toml. */
static const char course[] = "name = \"comm\"\n"
                             "[sweep]\n"
                             "ranks = [2, 4, 6]\n"
                             "bytes = [1000000, 10000000, 100000000, 1000000000]\n"
                             "algorithm = [\"mpi\", \"ring\"]\n";

static int parse_value(const Field *f, void *record, const char *text, Err *err)
{
    const CommRow *r = record;
    if (strcmp(f->name, "launcher") == 0 && !*text)
        return 0;
    if (field_parse(f, record, text, err) != 0)
        return -1;
    if (strcmp(f->name, "bytes") == 0 && r->bytes % (int64_t)sizeof(float) != 0)
        return err_set(err, "bytes is %s, which is no multiple of 4", text);
    return 0;
}

static int set_axis(const ConfigAt *at, Err *err)
{
    return grid_set(at, comm_schema(), parse_value, err);
}

static int finish(void *out, Err *err)
{
    (void)err;
    grid_finish(out, comm_schema());
    return 0;
}

static void release(void *out)
{
    grid_release(out, comm_schema());
}

const ConfigFile *comm_config_file(void)
{
    enum { MOST_KEYS = 24 };
    static ConfigKey keys[MOST_KEYS];
    static ConfigSection sections[] = {
        CONFIG_SECTION(NULL, grid_top_keys),
        CONFIG_SECTION("defaults", keys),
        CONFIG_SECTION("sweep", keys),
        CONFIG_SECTION("limits", grid_limit_keys),
    };
    static const ConfigFile file =
        CONFIG_FILE(sections, Grid, .title = "`tare comm`", .check = finish, .release = release);
    const Schema *s = comm_schema();
    size_t count = 0;
    for (size_t i = 0; i < s->count; i++) {
        CHECK(count < MOST_KEYS, "more than %d keys", MOST_KEYS);
        if (s->fields[i].group == FIELD_CONFIG)
            keys[count++] = grid_key(&s->fields[i], set_axis);
    }
    sections[1].num_keys = sections[2].num_keys = count;
    return &file;
}

static int load(Grid *g, const char *path, const TextList *settings, Err *err)
{
    const ConfigFile *file = comm_config_file();
    if (!path)
        return config_load_text(file, g, course, strlen(course), "the built-in grid", settings,
                                err);
    return strcmp(path, "/dev/null") == 0 ? config_load_text(file, g, "", 0, path, settings, err)
                                          : config_load(file, g, path, settings, err);
}

/* ---- before anything runs ---- */

static int expand(CommStudy *s, Err *err)
{
    static const char *const named[] = {"operation", "ranks", "bytes", "algorithm"};
    GridRows p;
    int status = grid_rows_init(&p, &s->config, comm_schema(), named, COUNT_OF(named), err);
    s->count = status == 0 ? p.count : 0;
    s->rows = xcalloc(s->count + 1, sizeof *s->rows);
    for (size_t i = 0; i < s->count; i++) {
        CommRow *r = &s->rows[i];
        comm_row_init(r);
        for (size_t d = 0; d < p.depth; d++)
            CHECK(parse_value(p.order[d], r, grid_value(&p, i, d), err) == 0, "%s", err->msg);
        comm_row_plan(r);
        grid_row_suffix(&p, i, r->base.row_id);
    }
    grid_rows_release(&p);
    return status;
}

static int select_rows(CommStudy *s, const char *regex, Err *err)
{
    NameFilter filter;
    if (name_filter_open(&filter, regex, err) != 0)
        return -1;
    for (size_t i = 0; i < s->count; i++)
        s->selected[i] = name_filter_keeps(&filter, s->rows[i].base.row_id);
    return name_filter_close(&filter, "rows", err);
}

int comm_study_init(CommStudy *s, const char *config_path, const TextList *settings,
                    const char *filter, Err *err)
{
    *s = (CommStudy){0};
    if (load(&s->config, config_path, settings, err) != 0)
        return -1;
    int status = expand(s, err);
    s->selected = xcalloc(s->count + 1, sizeof *s->selected);
    s->in_file = xcalloc(s->count + 1, sizeof *s->in_file);
    if (status == 0)
        status = select_rows(s, filter, err);
    if (status != 0)
        comm_study_release(s);
    return status;
}

void comm_study_release(CommStudy *s)
{
    config_release(comm_config_file(), &s->config);
    free(s->rows);
    free(s->selected);
    free(s->in_file);
    *s = (CommStudy){0};
}

/* ---- the fresh process ---- */

/* `tare comm /dev/null --set operation=all_reduce ...`: a config without lists has one row. */
static char **row_command(const CommRow *r, bool is_rank, int fd)
{
    const Schema *s = comm_schema();
    char **argv = xcalloc(2 * s->count + 8, sizeof *argv);
    size_t n = 0;
    argv[n++] = xstrdup("tare");
    argv[n++] = xstrdup("comm");
    argv[n++] = xstrdup("/dev/null");
    for (size_t i = 0; i < s->count; i++) {
        FieldTEXT cell;
        field_cell(&s->fields[i], r, cell);
        if (s->fields[i].group != FIELD_CONFIG || !*cell)
            continue;
        argv[n++] = xstrdup("--set");
        argv[n++] = xasprintf("%s=%s", s->fields[i].name, cell);
    }
    argv[n++] = xstrdup("--result-fd");
    argv[n++] = xasprintf("%d", fd);
    if (is_rank)
        argv[n++] = xstrdup("--is-rank");
    return argv;
}

static int answer_as_rank(CommRow *r, int fd, Err *err)
{
    Samples samples;
    int rank = 0;
    samples_init(&samples);
    int status = comm_row_run(r, &samples, &rank, err);
    if (status == 0 && rank == 0) {
        json_t *answer = json_pack("{s:o, s:o}", "result", schema_to_json(comm_schema(), r),
                                   "samples", samples_to_json(&samples));
        if (json_dumpfd(answer, fd, JSON_COMPACT | JSON_REAL_PRECISION(17)) != 0)
            status = err_set(err, "cannot write the result to descriptor %d", fd);
        json_decref(answer);
    }
    samples_release(&samples);
    return status;
}

int comm_study_answer(CommStudy *s, bool is_rank, int fd, Err *err)
{
    char *answer = NULL;
    if (s->count != 1)
        return err_set(err, "--result-fd is for a config of one row");
    CommRow *r = s->rows;
    if (is_rank)
        return answer_as_rank(r, fd, err);
    char **argv = row_command(r, true, STDOUT_FILENO);
    int status =
        ranks_launch(argv + 1, r->base.config.ranks, r->base.config.launcher, &answer, err);
    if (status == 0 && dprintf(fd, "%s", answer) < 0)
        status = err_set(err, "cannot write the result to descriptor %d", fd);
    free(answer);
    argv_free(argv);
    return status;
}

/* Adds to r what the answer has and r lacks. */
static int take_answer(CommRow *r, Samples *samples, const Child *c, Err *err)
{
    const Schema *s = comm_schema();
    json_error_t where;
    CommRow answered;
    json_t *answer = json_loadb(c->answer, c->answer_len, 0, &where);
    if (!answer)
        return err_set(err, "the row's answer is not JSON: %s", where.text);
    comm_row_init(&answered);
    int status = schema_from_json(s, json_object_get(answer, "result"), &answered, err);
    if (status == 0)
        status = samples_from_json(json_object_get(answer, "samples"), samples, err);
    for (size_t i = 0; status == 0 && i < s->count; i++)
        if (s->fields[i].group == FIELD_RESULT && field_is_missing(&s->fields[i], r))
            field_copy(&s->fields[i], &answered, r);
    json_decref(answer);
    return status;
}

static void fail(CommRow *r, const char *reason)
{
    text_set(r->base.status, STATUS_FAILED);
    text_set(r->base.status_reason, reason);
}

/* A failure is the row's status; where the user interrupted, the status stays empty. -1: no process
 * could be made. */
static int execute(const CommStudy *s, CommRow *r, Samples *samples, Err *err)
{
    Child c;
    Err why;
    FieldTEXT reason;
    char **argv = row_command(r, false, CHILD_RESULT_FD);
    int status = child_run(&c, own_program(), argv, s->config.max_row_time, err);
    argv_free(argv);
    if (status != 0)
        return -1;
    if (c.end == CHILD_EXITED && c.code == 0) {
        if (take_answer(r, samples, &c, &why) != 0)
            fail(r, why.msg);
    } else if (c.end != CHILD_INTERRUPTED) {
        child_reason(&c, reason, sizeof reason);
        fail(r, reason);
    }
    child_release(&c);
    return 0;
}

/* ---- the study ---- */

/* Whether the row can run here; else its status says why not. */
static bool admit(const CommStudy *s, CommRow *r)
{
    Err err;
    char **words;
    int64_t limit = s->config.max_memory ? s->config.max_memory : memory_auto_limit();
    if (launcher_words(r->base.config.launcher, r->base.config.ranks, &words, &err) != 0) {
        text_set(r->base.status, STATUS_UNSUPPORTED);
        text_set(r->base.status_reason, err.msg);
        return false;
    }
    argv_free(words);
    return row_fits(&r->base, limit, INFINITY);
}

static int run_row(CommStudy *s, CommRow *r, bool *in_file, ResultFile *file, Progress *progress,
                   Err *err)
{
    const TimeLeft unknown = {NAN, NAN, NAN};
    Samples samples;
    int status = 0;
    samples_init(&samples);
    progress_row_begins(progress, r->base.row_id, unknown);
    if (admit(s, r))
        status = execute(s, r, &samples, err);
    if (status == 0 && r->base.status[0]) {
        row_stamp(&r->base);
        status = result_file_add(file, r, r->base.row_id, &samples, err);
        *in_file = status == 0;
        progress_row_ended(progress, r->base.row_id, &r->base, unknown);
    }
    samples_release(&samples);
    return status;
}

int comm_study_run(CommStudy *s, const char *out, bool overwrite, FILE *log, Err *err)
{
    ResultFile file;
    Progress progress = {.out = log};
    size_t total = 0;
    int status = 0;
    if (result_file_create(&file, comm_schema(), out, overwrite, err) != 0)
        return -1;
    for (size_t i = 0; i < s->count; i++)
        total += s->selected[i];
    progress_start(&progress, log, total);
    for (size_t i = 0; i < s->count && status == 0 && !interrupted(); i++)
        if (s->selected[i])
            status = run_row(s, &s->rows[i], &s->in_file[i], &file, &progress, err);
    progress_end(&progress);
    result_file_close(&file);
    return status;
}

static void show_table(const CommRow *const *rows, size_t count, TableFormat format, FILE *out)
{
    Table t = table_new(out, format, "row|status");
    table_columns(&t,
                  "median ms|low ms|high ms|algbw GB/s|busbw GB/s|wrong|compute ms|both ms|hidden|"
                  "reason",
                  TABLE_IF_KNOWN);
    for (size_t i = 0; i < count; i++) {
        const RowResult *b = &rows[i]->base;
        table_text(&t, b->row_id);
        table_text(&t, b->status);
        table_value(&t, "%.3f", b->median_ms);
        table_value(&t, "%.3f", b->median_lo_ms);
        table_value(&t, "%.3f", b->median_hi_ms);
        table_value(&t, "%.3g", rows[i]->algbw_gb_per_s);
        table_value(&t, "%.3g", rows[i]->busbw_gb_per_s);
        table_value(&t, "%.0f", rows[i]->wrong == INT_MISSING ? NAN : (double)rows[i]->wrong);
        table_value(&t, "%.3f", rows[i]->compute_ms);
        table_value(&t, "%.3f", rows[i]->both_ms);
        table_value(&t, "%.0f %%", rows[i]->overlap_fraction * 100);
        table_text(&t, b->status_reason[0] ? b->status_reason : NULL);
        table_row_end(&t);
    }
    table_end(&t);
}

size_t comm_study_show(const CommStudy *s, const char *format, FILE *out)
{
    const CommRow **rows = xcalloc(s->count + 1, sizeof *rows);
    size_t count = 0, bad = 0;
    for (size_t i = 0; i < s->count; i++) {
        if (!s->in_file[i])
            continue;
        rows[count++] = &s->rows[i];
        bad += strcmp(s->rows[i].base.status, STATUS_FAILED) == 0;
    }
    if (!show_records(out, table_format(format), comm_schema(), (const void *const *)rows, count))
        show_table(rows, count, table_format(format), out);
    free(rows);
    return bad;
}
