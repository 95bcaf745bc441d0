/* Diff: judging rows that are already joined, then the command on files: exit codes, the guard
 * against other machines, wrong input. */
#include <criterion/criterion.h>
#include <criterion/redirect.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/commands.h"
#include "bench/result/diff.h"
#include "bench/result/fingerprint.h"
#include "tests/support/temp_dir.h"

static const double wobble[] = {0.004,  -0.009, 0.002,  0.011, -0.004,
                                -0.007, 0.009,  -0.006, 0.001, 0.003};

/* n trials around `level`, 0.7 % noise without chance; `turn` chooses which. */
static double *trials(size_t n, double level, size_t turn)
{
    double *x = xmalloc(n * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = level * (1 + wobble[(3 * i + turn) % COUNT_OF(wobble)] + 1e-5 * (double)i);
    return x;
}

static void add_row(Diff *d, size_t n, double old_level, double new_level)
{
    d->rows = xrealloc(d->rows, (d->count + 1) * sizeof *d->rows);
    DiffRow *r = &d->rows[d->count];
    *r = (DiffRow){.old_ms = trials(n, old_level, 0),
                   .new_ms = trials(n, new_level, d->count + 1),
                   .old_count = n,
                   .new_count = n};
    text_set(r->name, "small/128/fwd/w1");
    d->count++;
}

static const DiffRule two_percent = {.threshold = 0.02, .threshold_given = true};

static void judge(Diff *d)
{
    Err err = {""};
    cr_assert_eq(diff_judge(d, &two_percent, &err), 0, "%s", err.msg);
}

Test(diff, four_verdicts)
{
    Diff d = {0};
    add_row(&d, 10, 100, 105);
    add_row(&d, 10, 100, 95);
    add_row(&d, 10, 100, 100.2);
    add_row(&d, 10, 100, 102.2);
    judge(&d);
    cr_expect_eq(d.rows[0].verdict, VERDICT_REGRESSION);
    cr_expect_eq(d.rows[1].verdict, VERDICT_IMPROVEMENT);
    cr_expect_eq(d.rows[2].verdict, VERDICT_EQUIVALENT);
    cr_expect_eq(d.rows[3].verdict, VERDICT_INCONCLUSIVE);
    cr_expect_float_eq(d.rows[0].test.ratio, 1.05, 0.005);
    cr_expect_float_eq(d.rows[0].welch.ratio, 1.05, 0.005);
    cr_expect(d.rows[0].q >= d.rows[0].test.p && d.rows[0].q < 0.001);
    cr_expect_eq(d.verdict, VERDICT_REGRESSION);
    cr_expect(isnan(d.interval.lo), "four rows are too few for an interval of their mean");
    diff_release(&d);
}

/* Ten trials of one process say nothing of the next process: neither a change nor its absence. */
Test(diff, one_process_a_side_is_inconclusive)
{
    Diff d = {0};
    Err err = {""};
    char text[4096];
    for (int i = 0; i < 6; i++)
        add_row(&d, 10, 100, i == 0 ? 150 : 100);
    cr_assert_eq(diff_judge(&d, &(DiffRule){.threshold = 0.02}, &err), 0);
    for (size_t i = 0; i < d.count; i++)
        cr_expect_eq(d.rows[i].verdict, VERDICT_INCONCLUSIVE);
    cr_expect_eq(d.verdict, VERDICT_INCONCLUSIVE);
    cr_expect_lt(d.rows[0].q, 0.001, "the figures of the trials are shown all the same");
    FILE *out = fmemopen(text, sizeof text, "w");
    diff_print_summary(&d, out);
    fclose(out);
    cr_expect(strstr(text, "one process a side tells nothing of the spread between processes"),
              "%s", text);
    judge(&d);
    cr_expect_eq(d.rows[0].verdict, VERDICT_REGRESSION);
    cr_expect_eq(d.rows[1].verdict, VERDICT_EQUIVALENT);
    diff_release(&d);
}

Test(diff, too_few_trials_are_inconclusive)
{
    Diff d = {0};
    add_row(&d, 3, 100, 200);
    judge(&d);
    cr_expect_eq(d.rows[0].verdict, VERDICT_INCONCLUSIVE);
    cr_expect(isnan(d.rows[0].test.p) && isnan(d.rows[0].q) && isnan(d.rows[0].detectable));
    cr_expect_float_eq(d.rows[0].test.ratio, 2, 0.03);
    cr_expect_eq(d.verdict, VERDICT_INCONCLUSIVE);
    diff_release(&d);
}

/* Six rows, none of which can tell alone, all a little slower: together they can. */
Test(diff, the_file_sees_what_no_row_sees)
{
    Diff d = {0};
    for (int i = 0; i < 6; i++)
        add_row(&d, 3, 100, 105);
    judge(&d);
    cr_expect_eq(d.rows[0].verdict, VERDICT_INCONCLUSIVE);
    cr_expect_float_eq(d.ratio, 1.05, 0.01);
    cr_expect_gt(d.interval.lo, 1.02);
    cr_expect_eq(d.verdict, VERDICT_REGRESSION);
    diff_release(&d);
}

/* A machine on which threads waited for a CPU changes times by itself: up to what was waited, a
 * change says nothing about the program. */
Test(diff, changes_no_larger_than_the_waiting_are_not_believed)
{
    Diff d = {0};
    add_row(&d, 10, 100, 105);
    add_row(&d, 10, 100, 105);
    add_row(&d, 10, 100, 130);
    d.rows[1].wait = d.rows[2].wait = 0.10;
    judge(&d);
    cr_expect_eq(d.rows[0].verdict, VERDICT_REGRESSION);
    cr_expect_eq(d.rows[1].verdict, VERDICT_INCONCLUSIVE);
    cr_expect_eq(d.rows[1].least_change, 0.10);
    cr_expect_eq(d.rows[2].verdict, VERDICT_REGRESSION, "more than the wait explains");
    diff_release(&d);
}

/* One row of 40 that looks changed at p = 0.008 is what chance gives. */
Test(diff, many_rows_need_stronger_evidence)
{
    Diff alone = {0}, many = {0};
    add_row(&alone, 5, 100, 110);
    add_row(&many, 5, 100, 110);
    for (int i = 1; i < 40; i++) {
        add_row(&many, 5, 100, 100);
        memcpy(many.rows[i].new_ms, many.rows[i].old_ms, 5 * sizeof(double));
    }
    judge(&alone);
    judge(&many);
    cr_expect_eq(alone.rows[0].verdict, VERDICT_REGRESSION);
    cr_expect_eq(many.rows[0].verdict, VERDICT_INCONCLUSIVE);
    cr_expect_eq(many.rows[0].test.p, alone.rows[0].test.p);
    cr_expect_gt(many.rows[0].q, 0.05);
    diff_release(&alone);
    diff_release(&many);
}

Test(diff, pairing_needs_equally_many_trials)
{
    Diff d = {0};
    Err err = {""};
    DiffRule paired = two_percent;
    paired.unit = DIFF_PAIRED_TRIALS;
    add_row(&d, 10, 100, 105);
    cr_expect_eq(diff_judge(&d, &paired, &err), 0);
    cr_expect_eq(d.rows[0].verdict, VERDICT_REGRESSION);
    d.rows[0].new_count = 9;
    cr_expect_eq(diff_judge(&d, &paired, &err), -1);
    cr_expect_str_eq(err.msg,
                     "--paired: row small/128/fwd/w1 has 10 trials in the old file and 9 in "
                     "the new");
    diff_release(&d);
}

/* A row of processes a side: round k is drift[k] times slower for both, new `factor` times and a
 * little. */
static void add_processes(Diff *d, size_t n, double factor)
{
    static const double drift[] = {1, 1.3, 0.8, 1.1, 0.9, 1.6};
    add_row(d, n, 100, 100 * factor);
    DiffRow *r = &d->rows[d->count - 1];
    for (size_t i = 0; i < n; i++) {
        r->old_ms[i] *= drift[i % COUNT_OF(drift)];
        r->new_ms[i] *= drift[i % COUNT_OF(drift)];
    }
}

static void judge_processes(Diff *d, double threshold)
{
    Err err = {""};
    DiffRule rule = {.unit = DIFF_PROCESSES, .threshold = threshold};
    cr_assert_eq(diff_judge(d, &rule, &err), 0, "%s", err.msg);
}

/* Five processes a side in turns settle what ten trials of one do not, whatever the machine did
 * meanwhile. */
Test(diff, processes_that_took_turns_give_verdicts)
{
    Diff d = {0};
    add_processes(&d, 5, 1.10);
    add_processes(&d, 5, 0.90);
    add_processes(&d, 5, 1);
    add_processes(&d, 5, 1.02);
    judge_processes(&d, 0.02);
    cr_expect_eq(d.rows[0].verdict, VERDICT_REGRESSION);
    cr_expect_eq(d.rows[1].verdict, VERDICT_IMPROVEMENT);
    cr_expect_eq(d.rows[2].verdict, VERDICT_EQUIVALENT);
    cr_expect_eq(d.rows[3].verdict, VERDICT_INCONCLUSIVE);
    cr_expect_lt(d.rows[0].cv, 0.02, "the drift is in no ratio of a round");
    cr_expect_eq(d.verdict, VERDICT_REGRESSION);
    diff_release(&d);
}

/* Processes of 15 % spread: no verdict, but how many would give one, and in what time. */
Test(diff, too_few_processes_name_how_many_would_do)
{
    static const double spread[] = {1.2, 0.8, 1.1, 1.0, 0.9};
    Diff d = {0};
    char text[4096];
    add_processes(&d, 5, 1);
    for (size_t i = 0; i < 5; i++)
        d.rows[0].new_ms[i] *= spread[i];
    d.process_seconds = 0.5;
    judge_processes(&d, 0);
    cr_expect_eq(d.verdict, VERDICT_INCONCLUSIVE);
    double needed = trials_to_detect(d.rows[0].cv, 0.05);
    cr_expect(needed > 60 && needed < 100, "%g", needed);
    char wanted[64];
    snprintf(wanted, sizeof wanted, "a change of 5 %% needs --processes %.0f, about 1 min", needed);
    FILE *out = fmemopen(text, sizeof text, "w");
    diff_print(&d, "table", out);
    fclose(out);
    cr_expect(strstr(text, wanted), "%s", text);
    d.rows[0].old_count = d.rows[0].new_count = 4;
    judge_processes(&d, 0);
    out = fmemopen(text, sizeof text, "w");
    diff_print(&d, "table", out);
    fclose(out);
    cr_expect(strstr(text, "4 and 4 processes are too few to test"), "%s", text);
    diff_release(&d);
}

/* In six rows one round was slow for the new program in all of them: that is one look, not six. */
Test(diff, rows_of_a_round_are_one_look)
{
    Diff d = {0};
    for (int i = 0; i < 6; i++) {
        add_processes(&d, 5, 1);
        d.rows[i].new_ms[2] *= 1.5;
    }
    judge_processes(&d, 0.02);
    cr_expect(d.interval.lo < 1 && d.interval.hi > 1.2, "%g to %g", d.interval.lo, d.interval.hi);
    cr_expect_eq(d.verdict, VERDICT_INCONCLUSIVE);
    diff_release(&d);
}

/* What diff_print writes for one inconclusive row, into `text`. */
static void printed(const char *format, char *text, size_t size)
{
    Diff d = {0};
    add_row(&d, 3, 100, 105);
    judge(&d);
    FILE *out = fmemopen(text, size, "w");
    diff_print(&d, format, out);
    fclose(out);
    diff_release(&d);
}

Test(diff, formats)
{
    char text[4096];
    printed("table", text, sizeof text);
    cr_expect(strstr(text, "3 and 3 trials are too few to test"), "%s", text);
    cr_expect(strstr(text, "verdict: inconclusive"), "%s", text);
    printed("md", text, sizeof text);
    cr_expect(strstr(text, "| small/128/fwd/w1 |"), "%s", text);
    printed("csv", text, sizeof text);
    cr_expect(strncmp(text, "row,row_id,old_trials,", 22) == 0, "%s", text);
    cr_expect_not(strstr(text, "verdict:"), "csv has the rows alone");
    printed("json", text, sizeof text);
    json_t *root = json_loads(text, 0, NULL);
    cr_assert(root, "%s", text);
    cr_expect_str_eq(json_string_value(json_object_get(root, "verdict")), "inconclusive");
    json_t *row = json_array_get(json_object_get(root, "rows"), 0);
    cr_expect(json_is_null(json_object_get(row, "p")));
    cr_expect_eq(json_integer_value(json_object_get(row, "old_trials")), 3);
    json_decref(root);
}

/* ---- the command, on files ---- */

typedef struct Made {
    const char *cpu_model, *git_commit;
    double level;   /* ms */
    int failed_row; /* -1: none */
} Made;

enum { MADE_ROWS = 3, MADE_TRIALS = 10 };

/* temp_dir/NAME.csv and its samples file. The times carry exponents, as other tools write them. */
static const char *make_result(const char *name, Made m)
{
    char file[64];
    snprintf(file, sizeof file, "%s.csv", name);
    const char *path = temp_path(file);
    snprintf(file, sizeof file, "%s.samples.csv", name);
    FILE *f = fopen(path, "w"), *s = fopen(temp_path(file), "w");
    cr_assert(f && s);
    fputs("model_size,context_length,forward_only,num_warmups,status,row_id,cpu_model,git_commit\n",
          f);
    fputs("row_id,trial,is_warmup,wall_ns\n", s);
    for (int row = 0; row < MADE_ROWS; row++) {
        fprintf(f, "small,%d,True,1,%s,r%d,%s,%s\n", 128 << row,
                row == m.failed_row ? "failed" : "ok", row, m.cpu_model, m.git_commit);
        fprintf(s, "r%d,1,True,9e9\n", row);
        for (int i = 0; i < MADE_TRIALS && row != m.failed_row; i++)
            fprintf(s, "r%d,%d,False,%.8e\n", row, i + 2,
                    m.level * 1e6 * (1 + wobble[(3 * i + row) % MADE_TRIALS] + 1e-5 * i));
    }
    fclose(f);
    fclose(s);
    return path;
}

static const Made plain = {"a CPU", "abc", 100, -1};

/* The exit code of `tare diff OLD NEW [option] [value]`. */
static int run_diff(Made old, Made new, const char *option, const char *value, Err *err)
{
    temp_dir_make();
    const char *old_path = make_result("old", old), *new_path = make_result("new", new);
    char *argv[] = {"diff",         (char *)old_path, (char *)new_path,
                    (char *)option, (char *)value,    NULL};
    int argc = 3 + (option != NULL) + (value != NULL);
    cr_redirect_stdout();
    cr_redirect_stderr();
    err->msg[0] = '\0';
    int code = cmd_diff(argc, argv, err);
    code = code < 0 ? EXIT_BAD_INPUT : code; /* as main does */
    temp_dir_remove();
    return code;
}

Test(diff, exit_codes)
{
    Err err;
    Made slower = plain, faster = plain, same = plain;
    slower.level = 106;
    faster.level = 94;
    same.level = 100.1;
    cr_expect_eq(run_diff(plain, same, NULL, NULL, &err), 0, "%s", err.msg);
    cr_expect_eq(run_diff(plain, faster, NULL, NULL, &err), 0, "%s", err.msg);
    cr_expect_eq(run_diff(plain, slower, NULL, NULL, &err), 0, "%s", err.msg);
    cr_expect_eq(run_diff(plain, slower, "--threshold=2", NULL, &err), 3, "%s", err.msg);
    cr_expect_eq(run_diff(plain, faster, "--threshold=2", NULL, &err), 0, "%s", err.msg);
    cr_expect_eq(run_diff(plain, slower, "--threshold", "10", &err), 0, "%s", err.msg);
    cr_expect_eq(run_diff(plain, slower, "--paired", NULL, &err), 0, "%s", err.msg);
    cr_expect_eq(run_diff(plain, slower, "--paired", "--threshold=2", &err), 3, "%s", err.msg);
    cr_expect_eq(run_diff(plain, slower, "--threshold", "-1", &err), 2);
    cr_expect_str_eq(err.msg, "--threshold is -1, outside 0 to 100");
}

Test(diff, other_machines_and_builds_are_refused)
{
    Err err;
    Made other = plain;
    other.cpu_model = "another CPU";
    cr_expect_eq(run_diff(plain, other, NULL, NULL, &err), 2);
    cr_expect(strstr(err.msg, "(cpu_model: 'a CPU' and 'another CPU')"), "%s", err.msg);
    cr_expect_eq(run_diff(plain, other, "--force", NULL, &err), 0, "%s", err.msg);
    cr_expect_eq(run_diff(plain, other, "--allow", "cpu_model", &err), 0, "%s", err.msg);
    cr_expect_eq(run_diff(plain, other, "--allow", "git_commit", &err), 2);
    cr_expect_eq(run_diff(plain, other, "--allow", "cpu_modle", &err), 2);
    cr_expect(strstr(err.msg, "did you mean 'cpu_model'?"), "%s", err.msg);
    other.cpu_model = plain.cpu_model;
    other.git_commit = "def";
    cr_expect_eq(run_diff(plain, other, NULL, NULL, &err), 2);
    cr_expect(strstr(err.msg, "git_commit: 'abc' and 'def'"), "%s", err.msg);
}

/* Two of five sweeps of one build, one after another on a busy host: medians are up to a third
 * apart. Tests of their trials find all rows changed; the spread between processes is not known. */
Test(diff, one_build_twice_is_no_change)
{
    static const char *const paths[] = {"tests/golden/one_build_1.csv",
                                        "tests/golden/one_build_2.csv"};
    for (int turn = 0; turn < 2; turn++) {
        Diff d;
        Err err = {""};
        const char *old = paths[turn], *new = paths[1 - turn];
        cr_assert_eq(diff_load(&d, old, new, &(DiffGuard){0}, &err), 0, "%s", err.msg);
        cr_assert_eq(d.count, 4u);
        judge(&d);
        cr_expect(turn == 1 || d.verdict == VERDICT_REGRESSION, "taken at its trials' word");
        cr_assert_eq(diff_judge(&d, &(DiffRule){.threshold = 0.02}, &err), 0);
        for (size_t i = 0; i < d.count; i++)
            cr_expect_eq(d.rows[i].verdict, VERDICT_INCONCLUSIVE);
        cr_expect_eq(d.verdict, VERDICT_INCONCLUSIVE);
        diff_release(&d);
    }
}

static RowResult stamped(const char *build, const char *governor, double quota)
{
    RowResult r;
    row_result_init(&r);
    text_set(r.cpu_model, "a CPU");
    text_set(r.build, build);
    text_set(r.governor, governor);
    r.cpu_quota = quota;
    return r;
}

Test(diff, fingerprint_knows_none_from_unknown)
{
    FieldTEXT text = "";
    RowResult plain_row = stamped("Release", "", NAN), older = stamped("", "", NAN);
    RowResult other = stamped("Debug", "powersave", 1.5);
    fingerprint_add(text, FINGERPRINT_COLUMNS, &plain_row, &older);
    fingerprint_add(text, FINGERPRINT_COLUMNS, &older, &other);
    cr_expect_str_eq(text, "", "an older file has no such column");
    fingerprint_add(text, FINGERPRINT_COLUMNS, &plain_row, &other);
    fingerprint_add(text, FINGERPRINT_COLUMNS, &plain_row, &other);
    cr_expect_str_eq(text, "cpu_quota: '' and '1.5'; governor: '' and 'powersave'; "
                           "build: 'Release' and 'Debug'");
}

Test(diff, bars_do_not_end_a_markdown_cell)
{
    char text[4096];
    Diff d = {0};
    add_row(&d, 3, 100, 105);
    text_set(d.rows[0].name, "a|b/128/fwd/w1");
    judge(&d);
    FILE *out = fmemopen(text, sizeof text, "w");
    diff_print(&d, "md", out);
    fclose(out);
    cr_expect(strstr(text, "| a\\|b/128/fwd/w1 |"), "%s", text);
    diff_release(&d);
}

Test(diff, only_ok_rows_are_compared)
{
    temp_dir_make();
    Err err = {""};
    Diff d;
    Made broken = plain;
    broken.failed_row = 1;
    const char *old = make_result("old", plain), *new = make_result("new", broken);
    cr_assert_eq(diff_load(&d, old, new, &(DiffGuard){0}, &err), 0, "%s", err.msg);
    cr_expect_eq(d.count, 2u);
    cr_expect_str_eq(d.rows[1].name, "small/512/fwd/w1");
    cr_expect_eq(d.rows[1].new_count, (size_t)MADE_TRIALS, "the warmup is not a trial");
    cr_assert_eq(d.num_skipped, 1u);
    cr_expect_str_eq(d.skipped[0].name, "small/256/fwd/w1");
    cr_expect_str_eq(d.skipped[0].reason, "failed in the new file");
    diff_release(&d);
    temp_dir_remove();
}

/* Loads two files of which the new one is replaced by `rows` and `samples`; -1 and the message. */
static void expect_load_error(const char *rows, const char *samples, const char *message)
{
    temp_dir_make();
    Err err = {""};
    Diff d;
    const char *old = make_result("old", plain), *new = make_result("new", plain);
    const char *beside = temp_path("new.samples.csv");
    const char *const texts[] = {rows, samples}, *const paths[] = {new, beside};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        FILE *f = texts[i] ? fopen(paths[i], "w") : NULL;
        if (f) {
            fputs(texts[i], f);
            fclose(f);
        }
    }
    cr_expect_eq(diff_load(&d, old, new, &(DiffGuard){.force = true}, &err), -1);
    cr_expect(strstr(err.msg, message), "'%s' lacks '%s'", err.msg, message);
    diff_release(&d);
    temp_dir_remove();
}

Test(diff, wrong_files)
{
    const char *one = "row_id,status\nr0,ok\n";
    expect_load_error("status\nok\n", NULL, "new.csv:1: there is no column row_id");
    expect_load_error("row_id\nr0\n", NULL, "new.csv:1: there is no column status");
    expect_load_error("row_id,status\nr0,ok\nr0,ok\n", NULL,
                      "new.csv:3: row_id 'r0' appears twice");
    expect_load_error("row_id,status\n,ok\n", NULL, "new.csv:2: row_id is empty");
    const char *of_r9 = "row_id,is_warmup,wall_ns\nr9,False,1\n";
    expect_load_error("row_id,status\nr9,ok\n", of_r9, "no row is in both");
    expect_load_error("row_id,status,cpu_model,git_commit,schema\nr9,ok,a CPU,abc,1\n", of_r9,
                      "no row is in both");
    expect_load_error("row_id,status\nr9,ok\n", NULL, "has no samples of row r9");
    expect_load_error("row_id,status\nr0,fine\n", NULL, "new.csv:2: status 'fine' is none");
    expect_load_error("row_id,status\nr0,\n", NULL, "new.csv:2: status '' is none");
    expect_load_error("row_id,status,mean_time_ms\nr0,ok,-3\n", NULL,
                      "new.csv:2: mean_time_ms is -3, not a positive time");
    expect_load_error("row_id,status\nr0,failed\n", NULL, "no row is ok in both");
    expect_load_error(one, "row_id,is_warmup\n", "samples.csv:1: there is no column wall_ns");
    expect_load_error(one, "row_id,is_warmup,wall_ns\nr0,False,0\n",
                      "samples.csv:2: wall_ns is '0', not a positive time");
    expect_load_error(one, "row_id,is_warmup,wall_ns\nr0,False,fast\n",
                      "samples.csv:2: wall_ns is 'fast', not an integer");
    expect_load_error(one, "row_id,is_warmup,wall_ns\nr0,True,1e8\n",
                      "no timed trial of row_id 'r0'");
    expect_load_error(one, "", "the file is empty");
    expect_load_error(one, "row_id,trial,is_warmup,wall_ns\nr0,1,False,5\nr0,1,False,5\n",
                      "samples.csv:3: trial 1 of row r0 where trial 2 is due");
    expect_load_error(one, "row_id,trial,is_warmup,wall_ns\nr0,1,True,5\nr0,3,False,5\n",
                      "samples.csv:3: trial 3 of row r0 where trial 2 is due");
    expect_load_error(one, "row_id,is_warmup,wall_ns\nr0,True,-1\n",
                      "samples.csv:2: wall_ns is '-1', not a positive time");
    expect_load_error("row_id,status,num_warmups,num_trials\nr0,ok,1,2\n",
                      "row_id,is_warmup,wall_ns\nr0,True,5\nr0,False,5\n",
                      "has 1 warmups and 1 trials of row r0, but");
}
