/* Rows of several processes: what their figures are, against slow references written out here; in
 * which order they run; and that a kill loses at most the process that ran. Processes are made up
 * by an executor of this file; real ones are in tests/cli/processes.sh. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "autograd/kernels/kernels.h"
#include "bench/machine/machine.h"
#include "bench/result/read.h"
#include "bench/row/result.h"
#include "bench/row/stamp.h"
#include "bench/stats/distributions.h"
#include "bench/stats/stats.h"
#include "bench/sweep/journal.h"
#include "bench/sweep/sweep.h"
#include "bench/sweep/turns.h"
#include "bench/util/interrupt.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_row.h"

/* ---- the order ---- */

static const int64_t none_done[8];

Test(processes, one_process_each_runs_in_the_order_of_the_rows)
{
    const int64_t processes[] = {1, 0, 1, 1};
    size_t count;
    Turn *turns = turns_of(processes, none_done, 4, INT_MISSING, &count);
    cr_assert(eq(sz, count, 3));
    cr_expect(turns[0].row == 0 && turns[1].row == 2 && turns[2].row == 3);
    free(turns);
}

/* Every process once, in rounds; those of a row with fewer at even distances. */
Test(processes, are_spread_over_all_rounds)
{
    const int64_t processes[] = {6, 3, 6, 1};
    size_t count;
    Turn *turns = turns_of(processes, none_done, 4, 7, &count);
    int64_t next[4] = {1, 1, 1, 1};
    cr_assert(eq(sz, count, 16));
    for (size_t i = 0; i < count; i++)
        cr_expect(eq(i64, turns[i].process, next[turns[i].row]++));
    for (size_t i = 0; i < 4; i++)
        cr_expect(eq(i64, next[i], processes[i] + 1));
    for (size_t i = 0, ones = 0; i < count; i++) {
        ones += turns[i].row == 0;
        if (turns[i].row == 1) /* in the rounds 2, 4 and 6 */
            cr_expect(labs((long)ones - 2 * turns[i].process) <= 1);
    }
    free(turns);
}

Test(processes, another_order_each_round_and_the_seeds_own)
{
    const int64_t processes[] = {3, 3, 3, 3, 3, 3, 3, 3};
    size_t count;
    Turn *a = turns_of(processes, none_done, 8, 7, &count);
    Turn *b = turns_of(processes, none_done, 8, 7, &count);
    Turn *c = turns_of(processes, none_done, 8, 8, &count);
    cr_expect(memcmp(a, b, count * sizeof *a) == 0);
    cr_expect(memcmp(a, c, count * sizeof *a) != 0);
    size_t moved = 0;
    for (size_t i = 0; i < 8; i++)
        moved += a[i].row != a[8 + i].row;
    cr_expect(moved > 0);
    free(a);
    free(b);
    free(c);
}

Test(processes, those_that_ran_are_not_due)
{
    const int64_t processes[] = {3, 3}, done[] = {2, 0};
    size_t count;
    Turn *turns = turns_of(processes, done, 2, INT_MISSING, &count);
    cr_assert(eq(sz, count, 4));
    cr_expect(turns[0].row == 1 && turns[1].row == 1 && turns[2].row == 0 && turns[3].row == 1);
    cr_expect(eq(i64, turns[2].process, 3));
    free(turns);
}

/* ---- the figures ---- */

enum { PROCESSES = 3, TRIALS = 6, WARMUPS = 1 };

/* ms; the middle process is slower, its third trial slower still. */
static const double trial_ms[PROCESSES][TRIALS] = {{10, 10.2, 10.1, 10.3, 10, 10.2},
                                                   {12, 12.1, 18, 12.2, 12, 12.1},
                                                   {10.4, 10.5, 10.4, 10.6, 10.5, 10.4}};

static void add_process(Samples *all, RowResult *r, int p)
{
    RowResult one;
    Samples runs;
    row_result_init(&one);
    samples_init(&runs);
    one.config = r->config;
    text_set(one.status, STATUS_OK);
    one.model_flops = 1e6;
    one.peak_rss_bytes = 1000 + 10 * (p == 1);
    one.threads_seen = p == 1 ? 1 : 2;
    for (int i = 0; i < WARMUPS + TRIALS; i++) {
        Sample s = sample_empty();
        s.trial = i + 1;
        s.is_warmup = i < WARMUPS;
        s.process = 1; /* as each one says of itself */
        s.wall_ns = (int64_t)llround(1e6 * (i < WARMUPS ? 30 + p : trial_ms[p][i - WARMUPS]));
        samples_add(&runs, s);
    }
    result_add_process(r, all, &one, &runs, p + 1);
    samples_release(&runs);
}

static RowResult row_of_three(Samples *all)
{
    RowResult r;
    row_result_init(&r);
    samples_init(all);
    r.config = tiny_row();
    r.config.num_warmups = WARMUPS;
    r.config.num_trials = TRIALS;
    r.config.num_processes = PROCESSES;
    for (int p = 0; p < PROCESSES; p++)
        add_process(all, &r, p);
    result_fill(&r, all, 1);
    return r;
}

static void near(double got, double wanted, const char *what)
{
    cr_expect(epsilon_eq(dbl, got, wanted, 1e-9 * fabs(wanted)), "%s: %.12g, not %.12g", what, got,
              wanted);
}

/* The two-level model (Kalibera & Jones 2013), written out. */
Test(processes, are_the_units_of_the_rows_figures)
{
    Samples all;
    RowResult r = row_of_three(&all);
    double means[PROCESSES], grand = 0, within = 0, of_means = 0, pooled = 0;
    for (int p = 0; p < PROCESSES; p++) {
        double squares = 0;
        means[p] = 0;
        for (int i = 0; i < TRIALS; i++)
            means[p] += trial_ms[p][i] / TRIALS;
        for (int i = 0; i < TRIALS; i++)
            squares += pow(trial_ms[p][i] - means[p], 2);
        within += squares / (TRIALS - 1) / PROCESSES;
        grand += means[p] / PROCESSES;
    }
    for (int p = 0; p < PROCESSES; p++) {
        of_means += pow(means[p] - grand, 2) / (PROCESSES - 1);
        for (int i = 0; i < TRIALS; i++)
            pooled += pow(trial_ms[p][i] - grand, 2) / (PROCESSES * TRIALS - 1);
    }
    double t = student_quantile(0.975, PROCESSES - 1);
    near(r.mean_time_ms, grand, "mean");
    near(r.std_time_ms, sqrt(pooled), "std");
    near(r.within_cv, sqrt(within) / grand, "within_cv");
    near(r.between_cv, sqrt(of_means - within / TRIALS) / grand, "between_cv");
    near(r.mean_lo_ms, grand - t * sqrt(of_means / PROCESSES), "mean_lo");
    /* Medians 10.15, 12.1 and 10.45: their median, and Student's interval of their logarithms. */
    near(r.median_ms, 10.45, "median");
    double logs[] = {log(10.15), log(12.1), log(10.45)};
    double mean = (logs[0] + logs[1] + logs[2]) / 3, spread = 0;
    for (int p = 0; p < PROCESSES; p++)
        spread += pow(logs[p] - mean, 2) / (PROCESSES - 1);
    near(r.median_hi_ms, exp(mean + t * sqrt(spread / PROCESSES)), "median_hi");
    near(r.median_lo_ms, exp(mean - t * sqrt(spread / PROCESSES)), "median_lo");
    near(r.max_ms, 18, "max");
    cr_expect(isnan(r.p95_hi_ms));
    samples_release(&all);
}

Test(processes, keep_their_own_starts_and_outliers)
{
    Samples all;
    RowResult r = row_of_three(&all);
    cr_expect(eq(str, r.steady_class, "warmup"));
    cr_expect(eq(i64, r.warmups_needed, 1));
    near(r.first_trial_ms, 31, "the median of the first runs");
    cr_expect(eq(i64, r.outliers, 1), "the slower process is no outlier");
    cr_expect(eq(str, r.noise, "trial 11: +5.9 ms, no cause seen by the kernel"));
    cr_expect(eq(i64, r.peak_rss_bytes, 1010));
    cr_expect(eq(i64, r.threads_seen, 1));
    cr_assert(eq(sz, all.count, PROCESSES * (WARMUPS + TRIALS)));
    for (size_t i = 0; i < all.count; i++) {
        cr_expect(eq(i64, all.at[i].trial, (int64_t)i + 1));
        cr_expect(eq(i64, all.at[i].process, (int64_t)i / (WARMUPS + TRIALS) + 1));
    }
    samples_release(&all);
}

Test(processes, from_six_on_the_medians_interval_is_of_ranks)
{
    double x[7 * 2];
    for (int i = 0; i < 7; i++)
        x[2 * i] = x[2 * i + 1] = 10 + i * i;
    Summary s = summary_of_processes(x, 7, 2);
    cr_expect(s.median == 19 && s.median_ci.lo == 10 && s.median_ci.hi == 46);
    cr_expect(s.within_cv == 0);
    Summary one = summary_of(x, 14), same = summary_of_processes(x, 1, 14);
    cr_expect(one.median == same.median && one.mean_ci.lo == same.mean_ci.lo);
    cr_expect(isnan(same.between_cv) && isnan(same.within_cv));
}

Test(processes, below_six_the_medians_interval_is_of_factors)
{
    /* ln 1, ln 4, ln 16: mean ln 4, standard deviation ln 4; t(2) = 4.302653, so the interval of
     * the median is 4 times or over 4^(4.302653 / sqrt 3); that of plain times went below zero. */
    double x[3 * 2] = {1, 1, 4, 4, 16, 16};
    Summary s = summary_of_processes(x, 3, 2);
    double factor = pow(4, 4.302652729911275 / sqrt(3));
    cr_expect(s.median == 4);
    cr_expect(fabs(s.median_ci.lo * factor / 4 - 1) < 1e-9);
    cr_expect(fabs(s.median_ci.hi / factor / 4 - 1) < 1e-9);
}

Test(processes, one_that_fails_fails_the_row)
{
    Samples all, none;
    RowResult r = row_of_three(&all), one;
    row_result_init(&one);
    samples_init(&none);
    one.config = r.config;
    text_set(one.status, STATUS_FAILED);
    text_set(one.status_reason, "killed by SIGSEGV");
    result_add_process(&r, &all, &one, &none, 2);
    cr_expect(eq(str, r.status, STATUS_FAILED));
    cr_expect(eq(str, r.status_reason, "process 2 of 3: killed by SIGSEGV"));
    cr_expect(isnan(r.mean_time_ms) && all.count == 0);
    samples_release(&all);
}

/* ---- the sweep ---- */

static const char config_text[] = "[[model]]\nsize = \"tiny\"\nd_model = 8\nnum_layers = 1\n"
                                  "num_heads = 2\n"
                                  "[defaults]\nvocab_size = 11\nthreads = 1\nnum_trials = 3\n"
                                  "num_processes = 4\n"
                                  "[sweep]\nmodel_size = \"tiny\"\ncontext_length = [4, 8]\n"
                                  "num_warmups = [0, 1]\nforward_only = [false, true]\n";
enum { NUM_ROWS = 8, EACH = 4 };

static const char *config_path, *result_path, *journal;
static int calls, fail_at, interrupt_at, kill_at;

static void make_folder(void)
{
    temp_dir_make();
    config_path = temp_write("c.toml", config_text);
    result_path = temp_path("r.csv");
    journal = temp_path("r.processes.jsonl");
}

static void remove_folder(void)
{
    temp_dir_expect_only("c.toml r.csv r.samples.csv");
    temp_dir_remove();
}

TestSuite(process_sweep, .init = make_folder, .fini = remove_folder);

/* A time that tells one call from another, in whatever process of the test it was. */
static int made_up_process(RowResult *r, Samples *s, const RowLimits *limits, Err *err)
{
    (void)limits;
    (void)err;
    calls++;
    if (calls == kill_at)
        raise(SIGKILL);
    if (calls == interrupt_at) {
        raise(SIGINT);
        return 0;
    }
    text_set(r->status, calls == fail_at ? STATUS_FAILED : STATUS_OK);
    text_set(r->status_reason, calls == fail_at ? "killed by SIGSEGV" : "");
    row_stamp(r);
    text_set(r->isa, kernels()->isa);
    text_set(r->blas, gemm_blas_description());
    for (int64_t i = 0; calls != fail_at && i < r->config.num_warmups + r->config.num_trials; i++) {
        Sample sample = sample_empty();
        sample.trial = i + 1;
        sample.is_warmup = i < r->config.num_warmups;
        sample.process = 1;
        sample.wall_ns = 1000000000LL * getpid() + 1000 * calls + i;
        samples_add(s, sample);
    }
    r->mean_time_ms = 1;
    return 0;
}

static int run_with(ResultOpen how, Err *err)
{
    Sweep s;
    SweepRun run = {.path = result_path, .how = how, .execute = made_up_process};
    run.log = fopen("/dev/null", "w");
    calls = 0;
    int status = sweep_init(&s, config_path, &(TextList){0}, err);
    if (status == 0) {
        status = sweep_run(&s, &run, err);
        sweep_release(&s);
    }
    fclose(run.log);
    return status;
}

static void run(ResultOpen how)
{
    Err err;
    cr_assert(run_with(how, &err) == 0, "%s", err.msg);
}

/* A new sweep in a process of its own, which is interrupted at that call. */
static void run_interrupted(int at)
{
    pid_t child = fork();
    if (child == 0) {
        interrupt_install();
        interrupt_at = at;
        run(RESULT_NEW);
        _exit(0);
    }
    waitpid(child, NULL, 0);
}

/* Every row with all of its processes, each of which ran once. Returns how many ran in `pid`. */
static size_t expect_complete(pid_t pid)
{
    StoredResult s;
    Err err;
    size_t here = 0;
    cr_assert(stored_read(&s, result_path, STORED_CONTINUE, &err) == 0, "%s", err.msg);
    cr_assert(eq(sz, s.count, NUM_ROWS));
    for (size_t i = 0; i < s.count; i++) {
        const Samples *runs = &s.rows[i].samples;
        size_t each = runs->count / EACH;
        cr_expect(eq(str, s.rows[i].row.status, STATUS_OK));
        cr_expect(eq(i64, s.rows[i].row.config.num_processes, EACH));
        for (size_t k = 0; k < runs->count; k++) {
            cr_expect(eq(i64, runs->at[k].process, (int64_t)(k / each) + 1));
            cr_expect(k % each == 0 || runs->at[k].wall_ns == runs->at[k - 1].wall_ns + 1);
        }
        for (size_t k = 0; k < EACH; k++)
            here += runs->at[k * each].wall_ns / 1000000000 == pid;
    }
    stored_release(&s);
    cr_expect(access(journal, F_OK) != 0, "the journal is still there");
    return here;
}

Test(process_sweep, runs_them_all_and_leaves_no_journal)
{
    run(RESULT_NEW);
    cr_expect(eq(int, calls, NUM_ROWS *EACH));
    cr_expect(eq(sz, expect_complete(getpid()), NUM_ROWS * EACH));
}

Test(process_sweep, interrupted_it_goes_on_where_it_was)
{
    run_interrupted(21);
    cr_expect(access(journal, F_OK) == 0);
    run(RESULT_RESUME);
    cr_expect(eq(int, calls, NUM_ROWS *EACH - 20));
    expect_complete(getpid());
}

/* Killed in every third process, before the first row is complete and after, and a torn line. */
Test(process_sweep, a_kill_loses_at_most_the_process_that_ran)
{
    for (int i = 0; i < 12; i++) {
        pid_t child = fork();
        if (child == 0) {
            kill_at = 3;
            run(i == 0 ? RESULT_NEW : RESULT_RESUME);
            _exit(0);
        }
        waitpid(child, NULL, 0);
        FILE *f = fopen(journal, "a");
        fputs("{\"result\": {", f);
        fclose(f);
    }
    run(RESULT_RESUME);
    cr_expect(eq(int, calls, NUM_ROWS *EACH - 2 * 12));
    cr_expect(eq(sz, expect_complete(getpid()), (size_t)calls));
}

static int take_tokens(void *context, const RowResult *r, const Samples *s, double seconds,
                       Err *err)
{
    (void)r, (void)seconds, (void)err;
    cr_assert(eq(sz, s->num_tokens, 2));
    cr_expect(eq(i64, s->tokens[1].ns, 70));
    cr_expect(eq(i64, s->tokens[1].depth, 11));
    *(int *)context += 1;
    return 0;
}

Test(processes, a_journal_keeps_tokens, .init = temp_dir_make, .fini = temp_dir_remove)
{
    Err err;
    Journal j;
    Samples s;
    RowResult r;
    int taken = 0;
    row_result_init(&r);
    r.config = tiny_row();
    r.config.num_warmups = 0;
    r.config.num_trials = 1;
    cr_assert(row_config_complete(&r.config, &err) == 0, "%s", err.msg);
    row_id(&r.config, r.row_id);
    text_set(r.status, STATUS_OK);
    samples_init(&s);
    Sample run = sample_empty();
    run.trial = run.wall_ns = 1;
    run.is_warmup = false;
    samples_add(&s, run);
    samples_add_token(&s, (TokenTime){.trial = 1, .token = 0, .depth = 10, .ns = 50});
    samples_add_token(&s, (TokenTime){.trial = 1, .token = 1, .depth = 11, .ns = 70});
    journal_init(&j, temp_path("t.csv"));
    cr_assert(journal_add(&j, &r, &s, 0.5, &err) == 0, "%s", err.msg);
    cr_assert(journal_read(&j, take_tokens, &taken, &err) == 0, "%s", err.msg);
    cr_expect(eq(int, taken, 1));
    journal_close(&j);
    samples_release(&s);
}

Test(process_sweep, a_failed_process_ends_its_row_alone)
{
    StoredResult s;
    Err err;
    fail_at = 10; /* in the second round */
    run(RESULT_NEW);
    cr_expect(eq(int, calls, NUM_ROWS *EACH - 2));
    cr_assert(stored_read(&s, result_path, STORED_CONTINUE, &err) == 0, "%s", err.msg);
    size_t failed = 0;
    for (size_t i = 0; i < s.count; i++)
        if (strcmp(s.rows[i].row.status, STATUS_FAILED) == 0) {
            failed++;
            cr_expect(eq(str, s.rows[i].row.status_reason, "process 2 of 4: killed by SIGSEGV"));
            cr_expect(eq(sz, s.rows[i].samples.count, 0));
        }
    stored_release(&s);
    cr_expect(eq(sz, failed, 1));
    fail_at = 0;
    run(RESULT_RESUME);
    cr_expect(eq(int, calls, EACH));
    expect_complete(getpid());
}

static void expect_refused(ResultOpen how, const char *words)
{
    Err err = {""};
    cr_expect(run_with(how, &err) == -1);
    cr_expect(strstr(err.msg, words) != NULL, "'%s' does not say '%s'", err.msg, words);
    cr_expect(eq(int, calls, 0));
}

Test(process_sweep, a_journal_that_is_none_is_refused)
{
    run_interrupted(3);
    FILE *f = fopen(journal, "a");
    fputs("{\"result\": 3}\n", f);
    fclose(f);
    expect_refused(RESULT_RESUME, "r.processes.jsonl:3: ");
    unlink(result_path);
    unlink(temp_path("r.samples.csv"));
    expect_refused(RESULT_NEW, "the processes of a result that is not there");
    run(RESULT_OVERWRITE);
    expect_complete(getpid());
}
