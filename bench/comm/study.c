/* study: see study.h. */
#include "bench/comm/study.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#include "bench/comm/row.h"
#include "bench/comm/run.h"
#include "bench/ranks/loader.h"
#include "bench/sweep/estimate.h"
#include "bench/sweep/spawn.h"
#include "bench/util/owned.h"
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

const ConfigFile *comm_config_file(void)
{
    static GridFile file;
    return grid_file(&file, "`tare comm`", comm_schema(), FIELD_CONFIG, parse_value);
}

/* ---- the fresh process ---- */

static int answer_as_rank(const GridStudy *s, CommRow *r, int fd, Err *err)
{
    OWNED_BY(samples_release) Samples samples;
    int rank = 0;
    samples_init(&samples);
    int status = comm_row_run(r, &samples, &rank, err);
    return status == 0 && rank == 0 ? grid_row_answer(s, r, &samples, fd, err) : status;
}

int comm_study_answer(GridStudy *s, bool is_rank, int fd, Err *err)
{
    if (s->count != 1)
        return err_set(err, "--result-fd is for a config of one row");
    CommRow *r = s->rows;
    if (is_rank)
        return answer_as_rank(s, r, fd, err);
    char **argv = grid_row_command(s, r, STDOUT_FILENO);
    argv_add(&argv, "--is-rank");
    return row_spawn_ranks(&r->base.config, argv, fd, err);
}

/* ---- the study ---- */

/* Whether the row can run here; else its status says why not. */
static bool admit(const GridStudy *s, RowResult *r)
{
    Err err;
    char **words;
    if (launcher_words(r->config.launcher, r->config.ranks, &words, &err) != 0) {
        text_set(r->status, STATUS_UNSUPPORTED);
        text_set(r->status_reason, err.msg);
        return false;
    }
    argv_free(words);
    return row_fits(r, grid_study_memory(s), INFINITY);
}

static int run_row(void *study, size_t i, Samples *samples, Err *err)
{
    const GridStudy *s = study;
    CommRow *r = grid_study_row(s, i);
    return admit(s, &r->base)
               ? grid_row_ask(s, r, grid_row_command(s, r, CHILD_RESULT_FD), samples, err)
               : 0;
}

static int run_study(GridStudy *s, const char *out, bool overwrite, FILE *log, Err *err)
{
    return grid_study_run(s, &(GridRun){.ctx = s, .row = run_row}, out, overwrite, log, err);
}

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
        table_row(&t, "%s|%s|%.3f|%.3f|%.3f|%.3g|%.3g|%.0f|%.3f|%.3f|%.0f %%|%s", b->row_id,
                  b->status, b->median_ms, b->median_lo_ms, b->median_hi_ms, r->algbw_gb_per_s,
                  r->busbw_gb_per_s, r->wrong == INT_MISSING ? NAN : (double)r->wrong,
                  r->compute_ms, r->both_ms, r->overlap_fraction * 100, told(b->status_reason));
    }
    table_end(&t);
}

static const char *const named_keys[] = {"operation", "ranks", "bytes", "algorithm"};

const GridVerb comm_verb = {.name = "comm",
                            .file = comm_config_file,
                            .built_in = course,
                            .named = named_keys,
                            .num_named = COUNT_OF(named_keys),
                            .plan = comm_row_plan,
                            .run = run_study,
                            .show = show_table};
