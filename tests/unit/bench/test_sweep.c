/* The sweep around its rows: what is in the file is kept, run once, in order, and survives a kill
 * at any moment. The rows are made up by an executor of this file; that a real row runs is seen in
 * tests/cli. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/machine/machine.h"
#include "bench/row/stamp.h"
#include "bench/result/csv.h"
#include "bench/util/interrupt.h"
#include "bench/sweep/sweep.h"
#include "tests/support/temp_dir.h"

static const char config_text[] = "[[model]]\nsize = \"tiny\"\nd_model = 8\nnum_layers = 1\n"
                                  "num_heads = 2\n"
                                  "[defaults]\nvocab_size = 11\nthreads = 1\nnum_trials = 3\n"
                                  "[sweep]\nmodel_size = \"tiny\"\ncontext_length = [4, 8, 16]\n"
                                  "num_warmups = [0, 1]\nforward_only = [false, true]\n";
enum { NUM_ROWS = 12 };

static const char *config_path, *result_path, *samples;

static void make_folder(void)
{
    temp_dir_make();
    config_path = temp_write("c.toml", config_text);
    result_path = temp_path("r.csv");
    samples = temp_path("r.samples.csv");
}

static void remove_folder(void)
{
    temp_dir_expect_only("c.toml r.csv r.samples.csv");
    temp_dir_remove();
}

TestSuite(sweep, .init = make_folder, .fini = remove_folder);

/* Which row, counted from 1, the executor does something special with. */
static int calls, fail_at, interrupt_at, slow_us;

static void add_samples(const RowResult *r, Samples *s)
{
    for (int64_t i = 0; i < r->config.num_warmups + r->config.num_trials; i++) {
        Sample sample = sample_empty();
        sample.trial = i + 1;
        sample.is_warmup = i < r->config.num_warmups;
        sample.wall_ns = 1000000 + i;
        samples_add(s, sample);
    }
}

static int made_up_row(RowResult *r, Samples *s, const RowLimits *limits, Err *err)
{
    (void)limits;
    (void)err;
    calls++;
    if (slow_us)
        usleep((useconds_t)slow_us);
    if (calls == interrupt_at) {
        raise(SIGINT);
        return 0;
    }
    text_set(r->status, calls == fail_at ? STATUS_FAILED : STATUS_OK);
    text_set(r->status_reason, calls == fail_at ? "killed by SIGSEGV" : "");
    if (calls != fail_at)
        add_samples(r, s);
    r->mean_time_ms = 1000.0 * (double)getpid() + calls; /* tells one run from another */
    return 0;
}

static int run_with(ResultOpen how, const char *filter, const char *setting, SweepRun run, Err *err)
{
    Sweep s;
    const char *settings[] = {setting};
    TextList list = {settings, setting ? 1 : 0};
    run.path = result_path;
    run.how = how;
    run.execute = made_up_row;
    run.log = fopen("/dev/null", "w");
    calls = 0;
    int status = sweep_init(&s, config_path, &list, err);
    if (status == 0) {
        status = sweep_select(&s, filter, 1, 1, err);
        if (status == 0)
            status = sweep_run(&s, &run, err);
        sweep_release(&s);
    }
    fclose(run.log);
    return status;
}

static void run(ResultOpen how, const char *filter)
{
    Err err;
    cr_assert(run_with(how, filter, NULL, (SweepRun){0}, &err) == 0, "%s", err.msg);
}

static void expect_refused(ResultOpen how, const char *setting, const char *words)
{
    Err err = {""};
    cr_expect(run_with(how, NULL, setting, (SweepRun){0}, &err) == -1);
    cr_expect(strstr(err.msg, words) != NULL, "'%s' does not say '%s'", err.msg, words);
    cr_expect(eq(int, calls, 0));
}

static CsvTable load(const char *path)
{
    CsvTable t;
    Err err;
    size_t len;
    char *text = file_read(path, 1 << 24, &len, &err);
    cr_assert(text && csv_load_text(&t, text, len, path, &err) == 0, "%s", err.msg);
    free(text);
    return t;
}

/* Every row once, in the order of the config, with exactly its samples. */
static void expect_complete(size_t rows)
{
    CsvTable t = load(result_path), all = load(samples);
    cr_assert(eq(sz, t.rows, rows));
    size_t sample = 0;
    int64_t last = 0;
    for (size_t i = 0; i < t.rows; i++) {
        RowResult r;
        Err err;
        cr_assert(csv_read_record(&t, i, &row_schema, &r, &err) == 0, "%s", err.msg);
        cr_expect(r.row_number > last);
        last = r.row_number;
        int64_t count =
            strcmp(r.status, STATUS_OK) == 0 ? r.config.num_warmups + r.config.num_trials : 0;
        for (int64_t k = 0; k < count; k++, sample++) {
            cr_assert(sample < all.rows);
            cr_expect(eq(str, (char *)csv_cell(&all, sample, 0), r.row_id));
            cr_expect(atoi(csv_cell(&all, sample, 1)) == k + 1);
        }
    }
    cr_expect(eq(sz, sample, all.rows));
    csv_release(&t);
    csv_release(&all);
}

static void append_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "a");
    fputs(text, f);
    fclose(f);
}

Test(sweep, all_rows_in_order)
{
    run(RESULT_NEW, NULL);
    cr_expect(eq(int, calls, NUM_ROWS));
    expect_complete(NUM_ROWS);
}

Test(sweep, existing_result_is_refused_resumed_or_replaced)
{
    run(RESULT_NEW, "fwd/");
    cr_expect(eq(int, calls, NUM_ROWS / 2));
    expect_refused(RESULT_NEW, NULL, "--resume");
    run(RESULT_RESUME, NULL);
    cr_expect(eq(int, calls, NUM_ROWS / 2));
    expect_complete(NUM_ROWS);
    run(RESULT_RESUME, NULL);
    cr_expect(eq(int, calls, 0));
    run(RESULT_OVERWRITE, NULL);
    cr_expect(eq(int, calls, NUM_ROWS));
    expect_complete(NUM_ROWS);
}

Test(sweep, resume_without_a_file_starts_fresh)
{
    run(RESULT_RESUME, NULL);
    expect_complete(NUM_ROWS);
}

Test(sweep, failed_row_runs_again_in_its_place)
{
    fail_at = 5;
    run(RESULT_NEW, NULL);
    expect_complete(NUM_ROWS);
    fail_at = 0;
    run(RESULT_RESUME, NULL);
    cr_expect(eq(int, calls, 1));
    expect_complete(NUM_ROWS);
}

Test(sweep, interruption_keeps_what_is_finished)
{
    interrupt_install();
    interrupt_at = 8;
    run(RESULT_NEW, NULL);
    cr_expect(interrupted());
    cr_expect(eq(int, calls, 8));
    expect_complete(7);
}

Test(sweep, random_execution_order_keeps_the_order_of_the_file)
{
    Err err;
    cr_assert(
        run_with(RESULT_NEW, NULL, NULL, (SweepRun){.shuffle = true, .order_seed = 3}, &err) == 0);
    expect_complete(NUM_ROWS);
    CsvTable t = load(result_path);
    size_t order = csv_column(&t, "run_order"), seed = csv_column(&t, "order_seed"), in_place = 0;
    for (size_t i = 0; i < t.rows; i++) {
        in_place += atoi(csv_cell(&t, i, order)) == (int)i + 1;
        cr_expect(eq(str, (char *)csv_cell(&t, i, seed), "3"));
    }
    cr_expect(lt(sz, in_place, NUM_ROWS / 2));
    csv_release(&t);
}

Test(sweep, torn_line_and_orphan_samples_are_dropped)
{
    run(RESULT_NEW, "tiny/4/");
    append_text(result_path, "tiny,8,8,1");
    append_text(samples, "r0123456789abcdef,1,True,5,,,,,,,,,,,,,,,\nr01234");
    run(RESULT_RESUME, NULL);
    cr_expect(eq(int, calls, NUM_ROWS - 4));
    expect_complete(NUM_ROWS);
}

Test(sweep, file_without_a_whole_header_starts_fresh)
{
    append_text(result_path, "model_size,d_mo");
    run(RESULT_RESUME, NULL);
    expect_complete(NUM_ROWS);
}

Test(sweep, changed_config_is_refused_with_the_difference)
{
    run(RESULT_NEW, NULL);
    expect_refused(RESULT_RESUME, "num_trials=4",
                   "row tiny/4/fwdbwd/w0 was run with num_trials 3, the config now has 4");
    expect_refused(RESULT_RESUME, "context_length=4", "row tiny/8/fwdbwd/w0 is not in the config");
    expect_complete(NUM_ROWS);
}

/* The config's first row of that name is in the file and is not what the stranger became. */
Test(sweep, the_difference_named_is_that_of_a_row_not_in_the_file)
{
    Err err;
    cr_assert(run_with(RESULT_NEW, "/4/fwd/w0", "seed=[1, 2]", (SweepRun){0}, &err) == 0);
    expect_refused(RESULT_RESUME, "seed=[1, 3]",
                   "row tiny/4/fwd/w0 was run with seed 2, the config now has 3");
    expect_refused(RESULT_RESUME, NULL, "row tiny/4/fwd/w0 is not in the config any more");
}

static RowResult row_of_file(size_t index)
{
    RowResult r;
    Err err;
    CsvTable t = load(result_path);
    cr_assert(csv_read_record(&t, index, &row_schema, &r, &err) == 0, "%s", err.msg);
    csv_release(&t);
    return r;
}

Test(sweep, run_order_goes_on_after_a_resume)
{
    bool seen[NUM_ROWS + 1] = {false};
    run(RESULT_NEW, "fwd/");
    run(RESULT_RESUME, NULL);
    for (size_t i = 0; i < NUM_ROWS; i++) {
        int64_t order = row_of_file(i).run_order;
        cr_assert(1 <= order && order <= NUM_ROWS && !seen[order]);
        seen[order] = true;
    }
}

/* The rows of the file say that they took hours; those of this process take no time. */
Test(sweep, prediction_learns_from_the_rows_of_the_file)
{
    run(RESULT_NEW, "/4/fwd/w0");
    cr_expect(row_of_file(0).predicted_time_s < 1);
    run(RESULT_RESUME, "/[48]/fwd/w0");
    cr_expect(row_of_file(1).predicted_time_s > 1000, "%g s", row_of_file(1).predicted_time_s);
}

/* Puts `from` in the result file into `to`. */
static void change_file(const char *from, const char *to)
{
    Err err;
    size_t len;
    char *text = file_read(result_path, 1 << 20, &len, &err), *at = strstr(text, from);
    cr_assert(at != NULL, "no '%s' in the file", from);
    FILE *f = fopen(result_path, "w");
    fprintf(f, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    fclose(f);
    free(text);
}

static void resume_logged(char *log, size_t size)
{
    Sweep s;
    Err err;
    cr_assert(sweep_init(&s, config_path, &(TextList){0}, &err) == 0, "%s", err.msg);
    SweepRun resume = {
        .path = result_path, .how = RESULT_RESUME, .execute = made_up_row, .log = tmpfile()};
    cr_assert(sweep_run(&s, &resume, &err) == 0, "%s", err.msg);
    rewind(resume.log);
    log[fread(log, 1, size - 1, resume.log)] = '\0';
    fclose(resume.log);
    sweep_release(&s);
}

Test(sweep, resuming_on_another_machine_is_said)
{
    char log[4096];
    RowResult here;
    FieldTEXT other;
    row_result_init(&here);
    row_stamp(&here);
    run(RESULT_NEW, NULL);
    resume_logged(log, sizeof log);
    cr_expect(eq(str, log, ""));
    snprintf(other, sizeof other, ",%.400s,", here.git_commit);
    change_file(other, ",another,");
    resume_logged(log, sizeof log);
    cr_expect(strstr(log, "of another machine or build (git_commit: 'another' and '") != NULL, "%s",
              log);
}

Test(sweep, another_schema_is_refused)
{
    run(RESULT_NEW, NULL);
    change_file(",3,,gpt2,", ",2,,gpt2,"); /* schema, threads_seen, arch */
    expect_refused(RESULT_RESUME, NULL, "r.csv:2: its schema is not 3");
}

Test(sweep, rows_added_to_the_config_are_run)
{
    run(RESULT_NEW, NULL);
    Err err;
    cr_assert(run_with(RESULT_RESUME, NULL, "context_length=[2, 4, 8, 16]", (SweepRun){0}, &err) ==
                  0,
              "%s", err.msg);
    cr_expect(eq(int, calls, 4));
    expect_complete(NUM_ROWS + 4);
}

Test(sweep, files_that_are_not_this_result_are_refused)
{
    run(RESULT_NEW, NULL);
    append_text(result_path, "stray\n");
    expect_refused(RESULT_RESUME, NULL, "r.csv:14: 1 fields where the header has");
    run(RESULT_OVERWRITE, NULL);
    cr_assert(truncate(samples, 0) == 0);
    expect_refused(RESULT_RESUME, NULL, "has no samples of row");
    unlink(result_path);
    append_text(result_path, "a,b\n1,2\n");
    expect_refused(RESULT_RESUME, NULL, "r.csv:1: its columns are not those of this version");
}

static char *text_of(const char *path, size_t *len)
{
    Err err;
    char *text = file_read(path, 1 << 20, len, &err);
    cr_assert(text != NULL, "%s", err.msg);
    return text;
}

static void put_text(const char *path, const char *text, size_t len)
{
    FILE *f = fopen(path, "w");
    cr_assert(f && fwrite(text, 1, len, f) == len && fclose(f) == 0);
}

/* A file that is no result stays as it is, also where it has no line feed. */
Test(sweep, resume_replaces_nothing_but_a_torn_header)
{
    static const struct {
        const char *text, *words;
    } others[] = {{"{\"a\": 1}", "r.csv:1: "},
                  {"\x1f\x8b\x08", "r.csv:1: its columns are not"},
                  {"model_size,d_model,context", NULL},
                  {"", NULL}};
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        put_text(result_path, others[i].text, strlen(others[i].text));
        if (others[i].words) {
            size_t len;
            expect_refused(RESULT_RESUME, NULL, others[i].words);
            char *text = text_of(result_path, &len);
            cr_expect(strcmp(text, others[i].text) == 0, "replaced by '%.40s'", text);
            free(text);
            cr_expect(access(samples, F_OK) != 0, "samples were left beside it");
        } else {
            run(RESULT_RESUME, NULL);
            expect_complete(NUM_ROWS);
        }
    }
}

/* Rewrites a file as a spreadsheet saves it. */
static void save_with(const char *path, const char *line_end)
{
    size_t len;
    char *text = text_of(path, &len);
    FILE *f = fopen(path, "w");
    fputs("\xef\xbb\xbf", f);
    for (size_t i = 0; i < len; i++)
        if (text[i] == '\n')
            fputs(line_end, f);
        else
            fputc(text[i], f);
    fclose(f);
    free(text);
}

Test(sweep, results_saved_with_other_line_ends_are_continued)
{
    static const char *const line_ends[] = {"\r", "\r\n"};
    for (size_t i = 0; i < COUNT_OF(line_ends); i++) {
        run(RESULT_OVERWRITE, "fwd/");
        save_with(result_path, line_ends[i]);
        save_with(samples, line_ends[i]);
        run(RESULT_RESUME, NULL);
        cr_expect(eq(int, calls, NUM_ROWS / 2));
        expect_complete(NUM_ROWS);
    }
}

/* NAME and NAME.csv would share NAME.samples.csv. */
Test(sweep, two_results_never_share_their_samples)
{
    const char *plain = temp_path("r");
    Err err = {""};
    ResultFile f;
    RowResult *rows;
    size_t count;
    run(RESULT_NEW, NULL);
    for (ResultOpen how = RESULT_NEW; how <= RESULT_RESUME; how++) {
        cr_expect(result_file_open(&f, plain, how, &rows, &count, &err) == -1);
        cr_expect(strstr(err.msg, "the samples file of") != NULL, "%s", err.msg);
        cr_expect(access(plain, F_OK) != 0);
    }
    expect_complete(NUM_ROWS);
    unlink(result_path);
    expect_refused(RESULT_NEW, NULL, "the samples of a result that is not there");
    unlink(temp_path("r.samples.csv"));
    const char *tokens = temp_write("r.tokens.csv", "another's");
    expect_refused(RESULT_NEW, NULL, "the tokens of a result that is not there");
    cr_expect(access(tokens, F_OK) == 0);
    run(RESULT_OVERWRITE, NULL);
    expect_complete(NUM_ROWS);
}

/* A link counts as what it leads to, whether that is there or not. */
Test(sweep, a_dangling_link_stays_a_link)
{
    const char *target = temp_path("target.csv"), *beside = temp_path("target.samples.csv");
    struct stat st;
    cr_assert(symlink("target.csv", result_path) == 0);
    run(RESULT_NEW, "fwd/");
    run(RESULT_RESUME, NULL); /* which replaces the file */
    cr_expect(lstat(result_path, &st) == 0 && S_ISLNK(st.st_mode));
    cr_expect(access(beside, F_OK) == 0 && access(samples, F_OK) != 0);
    expect_refused(RESULT_NEW, NULL, "exists");
    cr_expect(unlink(target) == 0 && unlink(beside) == 0);
}

Test(sweep, rows_beyond_the_limits_are_skipped_with_a_reason)
{
    Err err;
    cr_assert(run_with(RESULT_NEW, NULL, "max_memory=1 MiB", (SweepRun){0}, &err) == 0);
    cr_expect(eq(int, calls, 0));
    expect_complete(NUM_ROWS);
    CsvTable t = load(result_path);
    cr_expect(eq(str, (char *)csv_cell(&t, 0, csv_column(&t, "status")), STATUS_SKIPPED_MEMORY));
    cr_expect(strstr(csv_cell(&t, 0, csv_column(&t, "status_reason")), "1 MiB allowed") != NULL);
    cr_expect(eq(str, (char *)csv_cell(&t, 0, csv_column(&t, "mean_time_ms")), ""));
    csv_release(&t);
    cr_assert(run_with(RESULT_OVERWRITE, NULL, "max_row_time=1ms", (SweepRun){0}, &err) == 0);
    t = load(result_path);
    cr_expect(eq(str, (char *)csv_cell(&t, 0, csv_column(&t, "status")), STATUS_SKIPPED_TIME));
    csv_release(&t);
}

Test(sweep, result_that_cannot_be_written_is_refused)
{
    ResultFile f;
    RowResult *rows;
    size_t count;
    Err err;
    cr_expect(result_file_open(&f, "/dev/full", RESULT_NEW, &rows, &count, &err) == -1);
    cr_expect(strstr(err.msg, "not a regular file") != NULL);
    cr_expect(result_file_open(&f, "/nonexistent/r.csv", RESULT_NEW, &rows, &count, &err) == -1);
    cr_expect(strstr(err.msg, "there is no folder '/nonexistent'") != NULL);
}

Test(sweep, one_sweep_at_a_time)
{
    ResultFile f;
    RowResult *rows;
    size_t count;
    Err err;
    cr_assert(result_file_open(&f, result_path, RESULT_NEW, &rows, &count, &err) == 0);
    expect_refused(RESULT_RESUME, NULL, "is being written by another sweep");
    result_file_close(&f);
    run(RESULT_RESUME, NULL);
    expect_complete(NUM_ROWS);
}

/* What the file holds after a kill must still be there, and the same, at the end. */
static void note_finished(double mean[NUM_ROWS])
{
    ResultFile f;
    RowResult *rows;
    size_t count;
    Err err;
    cr_assert(result_file_open(&f, result_path, RESULT_RESUME, &rows, &count, &err) == 0, "%s",
              err.msg);
    for (size_t i = 0; i < count; i++) {
        double *noted = &mean[rows[i].row_number - 1];
        cr_expect(isnan(*noted) || *noted == rows[i].mean_time_ms, "row %zu was run again", i);
        *noted = rows[i].mean_time_ms;
    }
    free(rows);
    result_file_close(&f);
}

/* The child runs rows of about 2 ms each and is killed after a different time in every round. */
Test(sweep, kill_at_any_moment_loses_at_most_the_running_row)
{
    enum { ROUNDS = 20 };
    double mean[NUM_ROWS];
    for (size_t i = 0; i < NUM_ROWS; i++)
        mean[i] = NAN;
    for (int round = 0; round < ROUNDS; round++) {
        pid_t child = fork();
        cr_assert(child >= 0);
        if (child == 0) {
            Err err;
            slow_us = 2000;
            _exit(run_with(RESULT_RESUME, NULL, NULL, (SweepRun){0}, &err) != 0);
        }
        usleep((useconds_t)(1000 + 700 * round));
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        note_finished(mean);
    }
    run(RESULT_RESUME, NULL);
    note_finished(mean);
    expect_complete(NUM_ROWS);
}

/* ---- selection and prediction ---- */

static Sweep sweep_of(const char *setting)
{
    Sweep s;
    Err err;
    const char *settings[] = {setting};
    TextList list = {settings, setting ? 1 : 0};
    cr_assert(sweep_init(&s, config_path, &list, &err) == 0, "%s", err.msg);
    return s;
}

Test(sweep, shards_part_the_rows_and_stay_when_rows_are_added)
{
    Sweep few = sweep_of(NULL), more = sweep_of("context_length=[2, 4, 6, 8, 16]");
    Err err;
    size_t in_shards = 0;
    for (int shard = 1; shard <= 3; shard++) {
        cr_assert(sweep_select(&few, "", shard, 3, &err) == 0);
        cr_assert(sweep_select(&more, "", shard, 3, &err) == 0);
        for (size_t i = 0; i < few.count; i++) {
            in_shards += few.items[i].selected;
            for (size_t k = 0; k < more.count; k++)
                if (strcmp(few.items[i].result.row_id, more.items[k].result.row_id) == 0)
                    cr_expect(few.items[i].selected == more.items[k].selected);
        }
    }
    cr_expect(eq(sz, in_shards, NUM_ROWS));
    sweep_release(&few);
    sweep_release(&more);
}

/* OMP_NUM_THREADS stands for a machine with other processors; the threads of a config count. */
Test(sweep, unlike_machines_agree_on_the_shards)
{
    static const char no_threads[] = "[sweep]\nmodel_size = \"small\"\nseed = [1, 2, 3, 4, 5, 6]\n";
    Sweep few, more;
    Err err;
    FILE *f = fopen(config_path, "w");
    fputs(no_threads, f);
    fclose(f);
    setenv("OMP_NUM_THREADS", "2", 1);
    few = sweep_of(NULL);
    setenv("OMP_NUM_THREADS", "3", 1);
    more = sweep_of(NULL);
    for (int shard = 1; shard <= 5; shard++) {
        cr_assert(sweep_select(&few, "", shard, 5, &err) == 0);
        cr_assert(sweep_select(&more, "", shard, 5, &err) == 0);
        for (size_t i = 0; i < few.count; i++) {
            cr_expect(strcmp(few.items[i].result.row_id, more.items[i].result.row_id) != 0);
            cr_expect(few.items[i].selected == more.items[i].selected, "row %zu", i);
        }
    }
    sweep_release(&few);
    sweep_release(&more);
}

Test(sweep, filter_is_an_extended_expression_on_names)
{
    Sweep s = sweep_of(NULL);
    Err err;
    const RowResult *rows[NUM_ROWS];
    cr_assert(sweep_select(&s, "^tiny/(4|8)/fwd/w1$", 1, 1, &err) == 0);
    sweep_plan(&s);
    cr_expect(eq(sz, sweep_results(&s, rows), 2));
    cr_expect(eq(str, (char *)rows[0]->status, STATUS_PLANNED));
    cr_expect(rows[0]->predicted_time_s > 0 && rows[0]->predicted_peak_bytes > 0);
    cr_expect(sweep_select(&s, "(", 1, 1, &err) == -1);
    cr_expect(sweep_select(&s, "nothing", 1, 1, &err) == -1);
    sweep_release(&s);
}

Test(sweep, prediction_learns_from_finished_rows)
{
    Sweep s = sweep_of(NULL);
    TimeModel t;
    RowResult *r = &s.items[0].result;
    time_model_init(&t, NAN, 1);
    row_estimate(r, 0, &t);
    double assumed = time_model_predict(&t, r), guess = time_model_spread(&t);
    for (size_t i = 0; i < 4; i++)
        time_model_learn(&t, r, 3 * assumed);
    cr_expect(epsilon_eq(dbl, time_model_predict(&t, r), 3 * assumed, 1e-9 * assumed));
    cr_expect(time_model_spread(&t) < guess);
    sweep_release(&s);
}
