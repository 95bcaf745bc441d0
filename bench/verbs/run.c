/* run: `tare run`: one row.
 *
 * For a user: refuse what does not fit, run the row in a fresh process, compare it with the
 * machine's peaks, print it. With --result-fd it is that fresh process: it runs the row, or
 * measures the peaks, and answers in JSON. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/commands.h"
#include "bench/machine/machine.h"
#include "bench/row/stamp.h"
#include "bench/row/support.h"
#include "bench/row/timeline.h"
#include "bench/util/new_file.h"
#include "bench/sweep/estimate.h"
#include "bench/row/result.h"
#include "bench/util/interrupt.h"
#include "bench/util/options.h"
#include "bench/util/process.h"
#include "bench/result/show.h"
#include "bench/row/config.h"
#include "bench/row/ranked.h"
#include "bench/row/counters.h"
#include "bench/row/run.h"
#include "bench/row/warning.h"
#include "bench/sweep/spawn.h"
#include "bench/util/units.h"

typedef struct RunCommand {
    RowConfig config;
    bool tasks[NUM_TASKS]; /* which --task names; none: loss */
    const char *format;    /* NULL: not given */
    int64_t max_memory;    /* bytes; INT_MISSING = not known */
    double max_row_time;   /* seconds */
    bool profile, peaks, read_bandwidth, no_probe, overwrite, is_rank;
    const char *memory, *tensors, *trace; /* files to write; NULL: not given */
    int64_t result_fd;                    /* -1: none */
} RunCommand;

static int set_max_memory(void *target, const void *context, const char *value, Err *err)
{
    (void)context;
    int64_t *bytes = target;
    if (strcmp(value, "auto") == 0)
        *bytes = memory_auto_limit();
    else if (parse_bytes(value, bytes) != 0)
        return err_set(err, "'%s' is not a size such as 6GiB, or auto", value);
    return 0;
}

static const Field *task_field(void)
{
    return row_field("task");
}

/* One task, or several with a comma between them. */
static int set_tasks(void *target, const void *context, const char *value, Err *err)
{
    RunCommand *run = target;
    (void)context;
    OWNED char *names = xstrdup(value);
    char *rest = names;
    memset(run->tasks, 0, sizeof run->tasks);
    for (const char *name; (name = strsep(&rest, ","));) {
        if (row_config_set(&run->config, task_field(), name, err) != 0)
            return -1;
        run->tasks[row_task(&run->config)] = true;
    }
    return 0;
}

static int parse(RunCommand *run, int argc, char **argv, Err *err)
{
    const Option own[] = {
        option_text("--format", "FORMAT", &run->format, TABLE_FORMATS,
                    "what to print on standard output; a table by default"),
        option_call(
            "--max-memory", "SIZE", set_max_memory, &run->max_memory,
            "skip a row that needs more; auto (the default): what is available less 512 MiB"),
        option_call("--max-row-time", "TIME", option_set_duration, &run->max_row_time,
                    "stop a row that takes longer: 90s, 45m, 2h; no limit by default"),
        option_flag(
            "--profile", &run->profile,
            "print time, FLOPs, bytes and share of the peak per op too, of num_trials more runs"),
        option_text("--memory", "FILE.csv", &run->memory, NULL,
                    "write the planned memory, a line a step; also of a row that does not fit"),
        option_text("--tensors", "FILE.csv", &run->tensors, NULL,
                    "write the tensors behind it: size, life, what is saved for backward"),
        option_text(
            "--trace", "FILE.json", &run->trace, NULL,
            "write when each step of one more run began and ended, for Perfetto; of several "
            "ranks rank 0's, and what its communication thread did"),
        option_flag("--overwrite", &run->overwrite, "replace such files where they exist"),
        option_flag("--no-probe", &run->no_probe,
                    "no look at the machine between trials (probe_* columns)"),
        option_flag("--peaks", &run->peaks,
                    "measure the machine's peaks on --threads threads instead, print JSON"),
        option_flag("--read-bandwidth", &run->read_bandwidth,
                    "measure the read bandwidth over 1 MiB to 1 GiB instead, print JSON"),
        option_int("--result-fd", "N", &run->result_fd, 0, 1 << 20,
                   "run in this process and write the result as JSON to this open descriptor"),
        option_flag("--is-rank", &run->is_rank,
                    "with --result-fd, of several ranks: the launcher has started this process"),
    };
    Option *options = xcalloc(num_row_fields, sizeof *options);
    const Command command = {.verb = "run",
                             .summary = "run one row: warm up, time the trials, print the result",
                             .options = options,
                             .num_options = row_options(&run->config, options),
                             .more = own,
                             .num_more = COUNT_OF(own)};
    for (size_t i = 0; i < command.num_options; i++)
        if (options[i].context == task_field()) {
            options[i].target = run;
            options[i].set = set_tasks;
            options[i].value_name = "WORD[,WORD]";
        }
    int outcome = options_parse(&command, argc, argv, err);
    free(options);
    return outcome;
}

static int run_peaks(const RunCommand *run, Err *err)
{
    Peaks p;
    ReadBandwidth b;
    if (run->peaks)
        peaks_measure(run->config.threads, &p);
    else
        read_bandwidth_measure(run->config.threads, &b);
    int fd = run->result_fd >= 0 ? (int)run->result_fd : STDOUT_FILENO;
    json_t *object =
        run->peaks ? schema_to_json(&peaks_schema, &p) : schema_to_json(&read_bandwidth_schema, &b);
    return answer_write(object, fd, err);
}

/* 0 = no limit. */
static size_t memory_of(const RunCommand *run)
{
    return run->max_memory == INT_MISSING ? 0 : (size_t)run->max_memory;
}

/* Hands the answer of rank 0 on. */
static int run_ranks(const RunCommand *run, const RowResult *r, Err *err)
{
    char **argv = row_argv(&r->config, "tare");
    argv_add(&argv, "--result-fd");
    argv_add(&argv, "%d", STDOUT_FILENO);
    if (run->trace) {
        argv_add(&argv, "--profile"); /* whose answer has the trace */
        argv_add(&argv, "--trace=-");
    }
    argv_add(&argv, "--is-rank");
    argv_add(&argv, "--no-probe");
    if (memory_of(run))
        argv_add(&argv, "--max-memory=%zu", memory_of(run));
    return row_spawn_ranks(&r->config, argv, (int)run->result_fd, err);
}

/* The row in this process; its answer goes to the parent. */
static int run_here(const RunCommand *run, RowResult *r, Samples *samples, Err *err)
{
    Profile profile;
    int rank = 0;
    if (row_ranks(&r->config) > 1 && !run->is_rank)
        return run_ranks(run, r, err);
    profile_init(&profile);
    profile.traced = run->trace != NULL;
    RowExtras extras = {.memory_limit = memory_of(run),
                        .no_probe = run->no_probe,
                        .is_rank = run->is_rank,
                        .rank = &rank,
                        .profile = run->profile ? &profile : NULL};
    int status = row_run(r, samples, &extras, err);
    if (status == 0 && rank == 0)
        status = answer_write(row_document(r, samples, extras.profile), (int)run->result_fd, err);
    profile_release(&profile);
    return status;
}

/* ---- the files beside the row ---- */

typedef struct RunFiles {
    NewFile memory, tensors, trace;
} RunFiles;

static int open_files(RunFiles *files, const RunCommand *run, Err *err)
{
    *files = (RunFiles){0};
    return new_file_open(&files->memory, run->memory, run->overwrite, err) == 0 &&
                   new_file_open(&files->tensors, run->tensors, run->overwrite, err) == 0 &&
                   new_file_open(&files->trace, run->trace, run->overwrite, err) == 0
               ? 0
               : -1;
}

/* Of those that were not written. */
static void drop_files(RunFiles *files)
{
    Err ignored;
    new_file_close(&files->memory, false, &ignored);
    new_file_close(&files->tensors, false, &ignored);
    new_file_close(&files->trace, false, &ignored);
}

/* Needs no run, and so no row that fits. A row that is not supported here has no plan. */
static int write_plan(RunFiles *files, const RunCommand *run, const RowResult *r, Err *err)
{
    FieldTEXT reason;
    if (!(run->memory || run->tensors) || !row_supported(&r->config, reason))
        return 0;
    if (r->predicted_peak_bytes > (int64_t)1 << 49)
        return err_set(err, "a row of so many bytes is not planned step by step");
    Model m;
    ModelConfig config = row_config_model(&r->config);
    ModelOptions options = row_model_options(&r->config, memory_of(run));
    model_plan(&m, &config, &options);
    if (run->memory)
        timeline_write(&m, files->memory.stream);
    if (run->tensors)
        timeline_write_tensors(&m, files->tensors.stream);
    model_release(&m);
    return new_file_close(&files->memory, true, err) == 0
               ? new_file_close(&files->tensors, true, err)
               : -1;
}

static int write_trace(RunFiles *files, const Profile *profile, Err *err)
{
    if (!profile->trace)
        return 0;
    json_dumpf(profile->trace, files->trace.stream, JSON_INDENT(1) | JSON_REAL_PRECISION(17));
    return new_file_close(&files->trace, true, err);
}

/* ---- the row ---- */

/* All processes of a planned row, one after the other. */
static int run_processes(RowResult *r, Samples *samples, Profile *profile, const RowLimits *limits,
                         Err *err)
{
    const RowResult planned = *r;
    int64_t processes = row_processes(&planned.config), start = clock_ns();
    for (int64_t i = 1; i <= processes; i++) {
        RowResult one = planned;
        RowLimits left = *limits;
        left.max_seconds -= (double)(clock_ns() - start) / 1e9;
        Samples runs;
        samples_init(&runs);
        int status = row_spawn_profiled(&one, &runs, profile, &left, err);
        if (status == 0)
            result_add_process(r, samples, &one, &runs, i);
        samples_release(&runs);
        if (status != 0 || interrupted() || strcmp(r->status, STATUS_OK) != 0)
            return status;
    }
    if (processes > 1)
        result_fill(r, samples, clock_cost().resolution_ns);
    return 0;
}

/* The row in processes of its own, judged and stamped. */
static int run_apart(const RunCommand *run, RunFiles *files, RowResult *r, Samples *samples,
                     Profile *profile, Err *err)
{
    TimeModel time;
    Guard guard;
    RowLimits limits = {.memory_limit = memory_of(run),
                        .max_seconds = run->max_row_time,
                        .no_probe = run->no_probe};
    time_model_init(&time, NAN, r->config.threads);
    row_estimate(r, run->max_memory, &time);
    if (write_plan(files, run, r, err) != 0)
        return -1;
    if (!row_admit(r, run->max_memory, INFINITY)) {
        row_stamp(r);
        return 0;
    }
    guard_init(&guard);
    int status = guard_measure(&guard, r->config.threads, err);
    if (status == 0 && !interrupted())
        status =
            run_processes(r, samples, run->profile || run->trace ? profile : NULL, &limits, err);
    if (status == 0 && !interrupted())
        status = result_judge(r, &guard, err);
    if (status == 0 && !interrupted())
        status = write_trace(files, profile, err);
    guard_release(&guard);
    return status;
}

/* One row of the command: each task is one. */
typedef struct TaskRow {
    RowResult result;
    Samples samples;
    Profile profile;
} TaskRow;

static void print_rows(const RunCommand *run, TaskRow *rows, size_t count)
{
    const RowResult *results[NUM_TASKS];
    for (size_t i = 0; i < count; i++)
        results[i] = &rows[i].result;
    show_rows(stdout, table_format(run->format ? run->format : "table"), results, count);
    for (size_t i = 0; i < count; i++) {
        FieldTEXT warning;
        if (run->profile && rows[i].profile.runs.count) {
            putchar('\n');
            profile_print_row(&rows[i].profile, results[i], &rows[i].samples, stdout);
        }
        if (row_warning(results[i], warning))
            fprintf(stderr, "warning: %s\n", warning);
    }
}

/* -1, or an exit code. */
static int run_each(const RunCommand *run, RunFiles *files, TaskRow *rows, size_t count, Err *err)
{
    int code = EXIT_OK;
    for (size_t i = 0; i < count && !interrupted(); i++) {
        char id[ROW_ID_SIZE];
        RowResult *r = &rows[i].result;
        rows[i].profile.traced = run->trace != NULL;
        row_id(&r->config, id);
        if (run_apart(run, files, r, &rows[i].samples, &rows[i].profile, err) != 0)
            return interrupted() ? EXIT_INTERRUPTED : -1;
        text_set(r->row_id, id);
        code = status_is_bad(r->status) ? EXIT_NOT_OK : code;
    }
    return interrupted() ? EXIT_INTERRUPTED : code;
}

static int run_and_print(const RunCommand *run, TaskRow *rows, size_t count, Err *err)
{
    RunFiles files;
    interrupt_install();
    int code = open_files(&files, run, err);
    if (code == 0)
        code = run_each(run, &files, rows, count, err);
    drop_files(&files);
    if (code == EXIT_OK || code == EXIT_NOT_OK)
        print_rows(run, rows, count);
    return code;
}

static bool own_dimensions(const RowConfig *c)
{
    return c->d_model != INT_MISSING || c->num_layers != INT_MISSING || c->num_heads != INT_MISSING;
}

/* Without a name: the small model, or dimensions of one's own; a model_dir has a name. */
static void name_model(RowConfig *c)
{
    if (!c->model_size[0] && !c->model_dir[0])
        text_set(c->model_size, own_dimensions(c) ? "custom" : "small");
}

/* A row for each task; returns how many. -1: one cannot be. */
static int make_rows(RunCommand *run, TaskRow *rows, Err *err)
{
    int count = 0;
    name_model(&run->config);
    for (int task = 0; task < NUM_TASKS; task++) {
        RowConfig c = run->config;
        if (!run->tasks[task])
            continue;
        row_config_set_task(&c, (RowTask)task);
        if (row_config_complete(&c, err) != 0 || row_config_check(&c, err) != 0)
            return -1;
        row_result_init(&rows[count].result);
        rows[count++].result.config = c;
    }
    return count;
}

static int run_rows(RunCommand *run, Err *err)
{
    TaskRow *rows = xcalloc(NUM_TASKS, sizeof *rows);
    if (row_task(&run->config) == TASK_LOSS)
        run->tasks[TASK_LOSS] = true;
    for (size_t i = 0; i < NUM_TASKS; i++) {
        samples_init(&rows[i].samples);
        profile_init(&rows[i].profile);
    }
    int count = make_rows(run, rows, err), code = -1;
    if (count == 1 && run->result_fd >= 0)
        code = run_here(run, &rows->result, &rows->samples, err);
    else if (count > 0)
        code = run_and_print(run, rows, (size_t)count, err);
    for (size_t i = 0; i < NUM_TASKS; i++) {
        samples_release(&rows[i].samples);
        profile_release(&rows[i].profile);
    }
    free(rows);
    return code;
}

int cmd_run(int argc, char **argv, Err *err)
{
    RunCommand run = {.max_memory = memory_auto_limit(), .max_row_time = INFINITY, .result_fd = -1};
    row_config_init(&run.config);
    int outcome = parse(&run, argc, argv, err);
    if (outcome != OPTIONS_RUN)
        return outcome;
    if (run.profile && run.format)
        return err_set(err, "--profile prints a table to read, which --format %s cannot hold",
                       run.format);
    bool generates = run.tasks[TASK_PREFILL] || run.tasks[TASK_DECODE];
    if (generates && (run.trace || run.memory || run.tensors))
        return err_set(err, "--trace, --memory and --tensors are of rows of task loss");
    if ((run.profile || run.trace) && row_processes(&run.config) > 1)
        return err_set(err, "%s is of one process; leave out --processes",
                       run.profile ? "--profile" : "--trace");
    if (run.profile && run.result_fd < 0 && row_ranks(&run.config) > 1)
        return err_set(err, "--profile is of one process; leave out --ranks");
    if ((run.memory || run.tensors) && row_ranks(&run.config) > 1 &&
        row_parallel(&run.config).strategy >= SHARDED_OPTIMIZER)
        return err_set(err, "--memory and --tensors plan one process; leave out --ranks, or %s",
                       run.config.parallel);
    return run.peaks || run.read_bandwidth ? run_peaks(&run, err) : run_rows(&run, err);
}
