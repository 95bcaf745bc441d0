/* diff: `tare diff`: did times change, between two result files or, with --run, two programs that
 * take turns? The verdict is the exit code. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/commands.h"
#include "bench/result/diff.h"
#include "bench/sweep/diff_run.h"
#include "bench/util/interrupt.h"
#include "bench/util/options.h"
#include "bench/util/table.h"

enum { DEFAULT_PROCESSES = 5 };

typedef struct DiffCommand {
    const char *arguments[3]; /* OLD NEW, with --run also CONFIG */
    bool run, force, paired;
    const char *format, *filter;
    TextList allowed, settings;
    double threshold_pct;          /* NaN: not given */
    double max_seconds;            /* INFINITY: no limit */
    int64_t processes, order_seed; /* INT_MISSING: not given */
} DiffCommand;

static const char notes[] =
    "Times are the timed trials in OLD.samples.csv and NEW.samples.csv. Rows are joined on "
    "row_id;\n"
    "only rows that are ok in both are compared. A row is a regression when the 95 % interval of\n"
    "new / old lies above 1 + threshold, an improvement when it lies below 1 - threshold, "
    "equivalent\n"
    "when it lies within, inconclusive otherwise. Where threads waited for a CPU (cpu_wait), a "
    "change\n"
    "that the wait may explain is inconclusive too. Over all rows together at most 5 % of the "
    "changes\n"
    "reported are expected to be chance (q, Benjamini-Hochberg). The file is a regression when a "
    "row\n"
    "is, or when the interval of the geometric mean ratio (6 rows or more) says so.\n\n"
    "Processes of one build differ by more than the trials of one process tell. Rows of 5 "
    "processes "
    "a\n"
    "side or more (num_processes) are compared by the medians of processes; rows of one process by "
    "the\n"
    "noise floor that a sweep of a minute or more measures (noise_cv), else by --threshold, which "
    "says\n"
    "how much processes may differ by themselves; without any of them the verdict is "
    "inconclusive.\n\n"
    "tare diff --run OLD NEW CONFIG.toml needs no threshold. It runs the config's rows by two "
    "programs\n"
    "(builds of tare, or scripts that start one) in turns, and compares the medians of processes "
    "round\n"
    "by round: Student's t on the logarithms of new / old, from 5 rounds. Use the newer build for "
    "it:\n"
    "it knows the columns of both.\n\n"
    "exit: 0 no regression, 1 a program failed a row, 2 what cannot be compared, 3 a regression,\n"
    "      130 interrupted, after the verdict on the rounds that were finished\n";

static int check_command(const DiffCommand *c, Err *err)
{
    bool of_run = c->filter || c->settings.count || isfinite(c->max_seconds) ||
                  c->processes != INT_MISSING || c->order_seed != INT_MISSING;
    if (c->run != (c->arguments[2] != NULL))
        return err_set(err, "diff takes %s; see tare diff --help",
                       c->run ? "OLD NEW CONFIG.toml after --run" : "OLD.csv NEW.csv");
    if (c->run && (c->force || c->paired || c->allowed.count))
        return err_set(err, "--paired, --allow and --force are for result files, not for --run");
    if (!c->run && of_run)
        return err_set(err, "--processes, --max-time, --shuffle, --set and --filter need --run");
    for (size_t i = 0; i < c->allowed.count; i++)
        if (choice_check("--allow", DIFF_CONTEXT_COLUMNS, c->allowed.at[i], err) != 0)
            return -1;
    return 0;
}

/* Fills *d by running; release it also after -1. */
static int run_programs(Diff *d, const DiffCommand *c, Err *err)
{
    Sweep s;
    DiffRun run = {.programs = {c->arguments[0], c->arguments[1]},
                   .processes =
                       c->processes == INT_MISSING ? DEFAULT_PROCESSES : (size_t)c->processes,
                   .max_seconds = c->max_seconds,
                   .order_seed = c->order_seed == INT_MISSING ? 1 : (uint64_t)c->order_seed,
                   .log = stderr};
    if (sweep_init(&s, c->arguments[2], &c->settings, err) != 0)
        return -1;
    interrupt_install();
    int status = sweep_select(&s, c->filter, 1, 1, err);
    if (status == 0)
        status = diff_run(d, &s, &run, err);
    sweep_release(&s);
    return status;
}

static int load(Diff *d, const DiffCommand *c, Err *err)
{
    DiffGuard guard = {c->force, c->allowed.at, c->allowed.count};
    return c->run ? run_programs(d, c, err)
                  : diff_load(d, c->arguments[0], c->arguments[1], &guard, err);
}

/* Judges, prints, and picks the exit code. */
static int judge_and_print(Diff *d, const DiffCommand *c, Err *err)
{
    bool given = !isnan(c->threshold_pct);
    DiffRule rule = {.unit = c->run      ? DIFF_PROCESSES
                             : c->paired ? DIFF_PAIRED_TRIALS
                                         : DIFF_TRIALS,
                     .threshold = given ? c->threshold_pct / 100 : NOISE_THRESHOLD,
                     .threshold_given = given};
    if (diff_judge(d, &rule, err) != 0)
        return -1;
    if (d->differences[0])
        print_clean(stderr, "compared although machine or build differ (%s)", d->differences);
    diff_print(d, c->format, stdout);
    if (strcmp(c->format, "csv") == 0)
        diff_print_summary(d, stderr);
    if (interrupted())
        return EXIT_INTERRUPTED;
    if (d->verdict == VERDICT_REGRESSION)
        return EXIT_REGRESSION;
    return d->failed ? EXIT_NOT_OK : EXIT_OK;
}

static int read_command(DiffCommand *c, int argc, char **argv, Err *err)
{
    const Option options[] = {
        option_real("--threshold", "PCT", &c->threshold_pct, 0, 100,
                    "changes up to this many per cent count as none; with --run 2 by default"),
        option_flag("--paired", &c->paired,
                    "trial i of both files ran in the same round: compare trial by trial"),
        option_list("--allow", "COLUMN", &c->allowed, DIFF_CONTEXT_COLUMNS,
                    "let this column differ; may be repeated"),
        option_flag("--force", &c->force,
                    "compare different machines or builds all the same, and say what differs"),
        option_flag("--run", &c->run,
                    "OLD and NEW are programs: run the rows of CONFIG.toml by both in turns"),
        option_int("--processes", "N", &c->processes, 1, 10000,
                   "with --run: processes a side for each row; 5 by default, the fewest that tell"),
        option_call("--max-time", "TIME", option_set_duration, &c->max_seconds,
                    "with --run: start no process later than this: 90s, 45m, 2h"),
        option_int("--shuffle", "SEED", &c->order_seed, 0, INT64_MAX,
                   "with --run: which program is first in which round; 1 by default"),
        option_list("--set", "KEY=VALUE", &c->settings, NULL,
                    "with --run: a key in the config's place, as in tare sweep; repeatable"),
        option_text("--filter", "REGEX", &c->filter, NULL,
                    "with --run: only rows whose name matches"),
        option_text("--format", "FORMAT", &c->format, TABLE_FORMATS,
                    "what to print; csv prints the rows alone"),
    };
    const Command command = {
        .verb = "diff",
        .arguments = {"OLD.csv NEW.csv | --run OLD NEW CONFIG.toml", 2, 3, c->arguments},
        .summary = "compare two result files, or two programs in turns: "
                   "improvement, regression, equivalent or inconclusive",
        OPTIONS(options),
        .notes = notes};
    int outcome = options_parse(&command, argc, argv, err);
    return outcome == OPTIONS_RUN && check_command(c, err) != 0 ? OPTIONS_WRONG : outcome;
}

int cmd_diff(int argc, char **argv, Err *err)
{
    DiffCommand c = {.format = "table",
                     .threshold_pct = NAN,
                     .max_seconds = INFINITY,
                     .processes = INT_MISSING,
                     .order_seed = INT_MISSING};
    Diff d = {0};
    int code = read_command(&c, argc, argv, err);
    if (code == OPTIONS_RUN)
        code = load(&d, &c, err) == 0 ? judge_and_print(&d, &c, err) : -1;
    diff_release(&d);
    text_list_release(&c.allowed);
    text_list_release(&c.settings);
    return code;
}
