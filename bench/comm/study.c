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
#include "bench/row/stamp.h"
#include "bench/sweep/estimate.h"
#include "bench/sweep/grid_row.h"
#include "bench/sweep/progress.h"
#include "bench/util/interrupt.h"
#include "bench/util/process.h"

/* ---- the config ---- */

/* The grid of configs/cs336/all_reduce.toml. */
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
    static GridFile keys;
    static const ConfigFile file = CONFIG_FILE(keys.sections, Grid, .title = "`tare comm`",
                                               .check = finish, .release = release);
    grid_file_fill(&keys, comm_schema(), FIELD_CONFIG, set_axis);
    return &file;
}

static int load(Grid *g, const char *path, const TextList *settings, Err *err)
{
    const ConfigFile *file = comm_config_file();
    return path ? grid_load(file, g, path, settings, err)
                : config_load_text(file, g, course, strlen(course), "the built-in grid", settings,
                                   err);
}

/* ---- what sweep/grid_row.h needs to know ---- */

static void show_table(const void *const *records, size_t count, TableFormat format, FILE *out)
{
    Table t = table_new(out, format, "row|status");
    table_columns(&t,
                  "median ms|low ms|high ms|algbw GB/s|busbw GB/s|wrong|compute ms|both ms|hidden|"
                  "reason",
                  TABLE_IF_KNOWN);
    for (size_t i = 0; i < count; i++) {
        const CommRow *r = records[i];
        const RowResult *b = &r->base;
        table_text(&t, b->row_id);
        table_text(&t, b->status);
        table_value(&t, "%.3f", b->median_ms);
        table_value(&t, "%.3f", b->median_lo_ms);
        table_value(&t, "%.3f", b->median_hi_ms);
        table_value(&t, "%.3g", r->algbw_gb_per_s);
        table_value(&t, "%.3g", r->busbw_gb_per_s);
        table_value(&t, "%.0f", r->wrong == INT_MISSING ? NAN : (double)r->wrong);
        table_value(&t, "%.3f", r->compute_ms);
        table_value(&t, "%.3f", r->both_ms);
        table_value(&t, "%.0f %%", r->overlap_fraction * 100);
        table_text(&t, b->status_reason[0] ? b->status_reason : NULL);
        table_row_end(&t);
    }
    table_end(&t);
}

static void init_row(void *record)
{
    comm_row_init(record);
}

static const GridVerb verb = {"comm", comm_schema, init_row, show_table};

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
        status = grid_rows_select(&verb, s->rows, s->count, filter, s->selected, err);
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

static int answer_as_rank(CommRow *r, int fd, Err *err)
{
    Samples samples;
    int rank = 0;
    samples_init(&samples);
    int status = comm_row_run(r, &samples, &rank, err);
    if (status == 0 && rank == 0)
        status = grid_row_answer(&verb, r, &samples, fd, err);
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
    static const char *const is_one[] = {"--is-rank", NULL};
    char **argv = grid_row_command(&verb, r, STDOUT_FILENO, is_one);
    int status =
        ranks_launch(argv + 1, r->base.config.ranks, r->base.config.launcher, NULL, &answer, err);
    if (status == 0 && dprintf(fd, "%s", answer) < 0)
        status = err_set(err, "cannot write the result to descriptor %d", fd);
    free(answer);
    argv_free(argv);
    return status;
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
        status = grid_row_ask(&verb, r, grid_row_command(&verb, r, CHILD_RESULT_FD, NULL),
                              s->config.max_row_time, &samples, err);
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

size_t comm_study_show(const CommStudy *s, const char *format, FILE *out)
{
    return grid_rows_show(&verb, s->rows, s->count, s->in_file, format, out);
}
