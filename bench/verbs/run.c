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
#include "bench/result/show.h"
#include "bench/row/config.h"
#include "bench/row/counters.h"
#include "bench/row/run.h"
#include "bench/row/warning.h"
#include "bench/sweep/spawn.h"
#include "bench/util/units.h"

typedef struct RunCommand {
    RowConfig config;
    const char *format;  /* NULL: not given */
    int64_t max_memory;  /* bytes; INT_MISSING = not known */
    double max_row_time; /* seconds */
    bool profile, peaks, no_probe;
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
        option_text("--trace", "FILE.json", &run->trace, NULL,
                    "write when each step of one more run began and ended, for Perfetto"),
        option_flag("--no-probe", &run->no_probe,
                    "no look at the machine between trials (probe_* columns)"),
        option_flag("--peaks", &run->peaks,
                    "measure the machine's peaks on --threads threads instead, print JSON"),
        option_int("--result-fd", "N", &run->result_fd, 0, 1 << 20,
                   "run in this process and write the result as JSON to this open descriptor"),
    };
    Option *options = xcalloc(num_row_fields, sizeof *options);
    const Command command = {.verb = "run",
                             .summary = "run one row: warm up, time the trials, print the result",
                             .options = options,
                             .num_options = row_options(&run->config, options),
                             .more = own,
                             .num_more = COUNT_OF(own)};
    int outcome = options_parse(&command, argc, argv, err);
    free(options);
    return outcome;
}

static int write_answer(json_t *document, int64_t fd, Err *err)
{
    const size_t flags = JSON_COMPACT | JSON_REAL_PRECISION(17);
    int status = json_dumpfd(document, (int)fd, flags);
    json_decref(document);
    return status == 0 ? 0 : err_set(err, "cannot write the result to descriptor %d", (int)fd);
}

static int run_peaks(const RunCommand *run, Err *err)
{
    Peaks p;
    peaks_measure(run->config.threads, &p);
    int64_t fd = run->result_fd >= 0 ? run->result_fd : STDOUT_FILENO;
    return write_answer(schema_to_json(&peaks_schema, &p), fd, err);
}

/* 0 = no limit. */
static size_t memory_of(const RunCommand *run)
{
    return run->max_memory == INT_MISSING ? 0 : (size_t)run->max_memory;
}

/* The row in this process; its answer goes to the parent. */
static int run_here(const RunCommand *run, RowResult *r, Samples *samples, Err *err)
{
    Profile profile;
    profile_init(&profile);
    profile.traced = run->trace != NULL;
    RowExtras extras = {.memory_limit = memory_of(run),
                        .no_probe = run->no_probe,
                        .profile = run->profile ? &profile : NULL};
    int status = row_run(r, samples, &extras, err);
    if (status == 0)
        status = write_answer(row_document(r, samples, extras.profile), run->result_fd, err);
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
    return new_file_open(&files->memory, run->memory, err) == 0 &&
                   new_file_open(&files->tensors, run->tensors, err) == 0 &&
                   new_file_open(&files->trace, run->trace, err) == 0
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

static bool is_fine(const RowResult *r)
{
    return strcmp(r->status, STATUS_FAILED) != 0 && strcmp(r->status, STATUS_IMPLAUSIBLE) != 0;
}

static void print_row(const RunCommand *run, RowResult *r, const Samples *samples,
                      const Profile *profile)
{
    char id[ROW_ID_SIZE];
    row_id(&run->config, id);
    text_set(r->row_id, id);
    show_rows(stdout, table_format(run->format ? run->format : "table"), &(const RowResult *){r},
              1);
    if (run->profile && profile->runs.count) {
        putchar('\n');
        profile_print(profile, r, samples, stdout);
    }
    FieldTEXT warning;
    if (row_warning(r, warning))
        fprintf(stderr, "warning: %s\n", warning);
}

static int run_and_print(const RunCommand *run, RowResult *r, Samples *samples, Err *err)
{
    Profile profile;
    RunFiles files;
    profile_init(&profile);
    profile.traced = run->trace != NULL;
    interrupt_install();
    int status = open_files(&files, run, err);
    if (status == 0)
        status = run_apart(run, &files, r, samples, &profile, err);
    drop_files(&files);
    int code = interrupted() ? EXIT_INTERRUPTED : status;
    if (code == EXIT_OK) {
        print_row(run, r, samples, &profile);
        code = is_fine(r) ? EXIT_OK : EXIT_NOT_OK;
    }
    profile_release(&profile);
    return code;
}

static bool own_dimensions(const RowConfig *c)
{
    return c->d_model != INT_MISSING || c->num_layers != INT_MISSING || c->num_heads != INT_MISSING;
}

/* Without a name: the small model, or dimensions of one's own. */
static void name_model(RowConfig *c)
{
    if (!c->model_size[0])
        text_set(c->model_size, own_dimensions(c) ? "custom" : "small");
}

static int run_row(RunCommand *run, Err *err)
{
    name_model(&run->config);
    if (row_config_complete(&run->config, err) != 0 || row_config_check(&run->config, err) != 0)
        return -1;
    RowResult *r = xmalloc(sizeof *r);
    Samples samples;
    row_result_init(r);
    samples_init(&samples);
    r->config = run->config;
    int code = run->result_fd >= 0 ? run_here(run, r, &samples, err)
                                   : run_and_print(run, r, &samples, err);
    samples_release(&samples);
    free(r);
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
    if ((run.profile || run.trace) && row_processes(&run.config) > 1)
        return err_set(err, "%s is of one process; leave out --processes",
                       run.profile ? "--profile" : "--trace");
    return run.peaks ? run_peaks(&run, err) : run_row(&run, err);
}
