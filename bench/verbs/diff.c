/* diff: `tare diff`: did the times of two result files change? The verdict is the exit code. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/commands.h"
#include "bench/result/diff.h"
#include "bench/util/options.h"
#include "bench/util/table.h"

static const char notes[] =
    "Times are the timed trials in OLD.samples.csv and NEW.samples.csv. Rows are joined on "
    "row_id;\n"
    "only rows that are ok in both are compared. Processes of one build differ by more than trials "
    "of\n"
    "one process tell, so without --threshold, the change that processes may make by themselves, "
    "every\n"
    "verdict is inconclusive. With it a row is a regression when the 95 % interval of\n"
    "new / old lies above 1 + threshold, an improvement when it lies below 1 - threshold, "
    "equivalent\n"
    "when it lies within, inconclusive otherwise. Where threads waited for a CPU (cpu_wait), a "
    "change\n"
    "that the wait may explain is inconclusive too. Over all rows together at most 5 % of the "
    "changes\n"
    "reported are expected to be chance (q, Benjamini-Hochberg). The file is a regression when a "
    "row\n"
    "is, or when the interval of the geometric mean ratio (6 rows or more) says so.\n\n"
    "Two runs one after the other also differ by what the machine did meanwhile: give --threshold\n"
    "the noise floor that `tare doctor` measured, or let the runs take turns and use --paired.\n\n"
    "exit: 0 no regression, 2 files that cannot be compared, 3 a regression\n";

static int check_allowed(const TextList *allowed, Err *err)
{
    for (size_t i = 0; i < allowed->count; i++)
        if (choice_check("--allow", DIFF_CONTEXT_COLUMNS, allowed->at[i], err) != 0)
            return -1;
    return 0;
}

/* Judges, prints, and picks the exit code. */
static int judge_and_print(Diff *d, const DiffRule *rule, const char *format, Err *err)
{
    if (diff_judge(d, rule, err) != 0)
        return EXIT_BAD_INPUT;
    if (d->differences[0])
        fprintf(stderr, "compared although machine or build differ (%s)\n", d->differences);
    diff_print(d, format, stdout);
    if (strcmp(format, "csv") == 0)
        diff_print_summary(d, stderr);
    return d->verdict == VERDICT_REGRESSION ? EXIT_REGRESSION : EXIT_OK;
}

int cmd_diff(int argc, char **argv, Err *err)
{
    const char *paths[2], *format = "table";
    double threshold_pct = NAN;
    bool force = false, paired = false;
    TextList allowed = {0};
    const Option options[] = {
        option_real("--threshold", "PCT", &threshold_pct, 0, 100,
                    "changes up to this many per cent count as none; needed for a verdict"),
        option_flag("--paired", &paired,
                    "trial i of both files ran in the same round: compare trial by trial"),
        option_list("--allow", "COLUMN", &allowed, DIFF_CONTEXT_COLUMNS,
                    "let this column differ; may be repeated"),
        option_flag("--force", &force,
                    "compare different machines or builds all the same, and say what differs"),
        option_text("--format", "FORMAT", &format, TABLE_FORMATS,
                    "what to print; csv prints the rows alone"),
    };
    const Command command = {.verb = "diff",
                             .arguments = "OLD.csv NEW.csv",
                             .summary = "compare two result files: improvement, regression, "
                                        "equivalent or inconclusive",
                             .options = options,
                             .num_options = COUNT_OF(options),
                             .min_arguments = 2,
                             .max_arguments = 2,
                             .notes = notes};
    size_t count = 0;
    Diff d = {0};
    OptionsOutcome outcome = options_parse(&command, argc, argv, paths, &count, err);
    int code = outcome == OPTIONS_HELP ? EXIT_OK : EXIT_BAD_INPUT;
    if (outcome == OPTIONS_RUN) {
        bool given = !isnan(threshold_pct);
        DiffRule rule = {given ? threshold_pct / 100 : NOISE_THRESHOLD, given, paired};
        DiffGuard guard = {force, allowed.at, allowed.count};
        if (check_allowed(&allowed, err) == 0 &&
            diff_load(&d, paths[0], paths[1], &guard, err) == 0)
            code = judge_and_print(&d, &rule, format, err);
    }
    diff_release(&d);
    text_list_release(&allowed);
    return code;
}
