/* sweep: `tare sweep`: from a config file to a result file, its samples and a table. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/commands.h"
#include "bench/util/config.h"
#include "bench/util/interrupt.h"
#include "bench/result/show.h"
#include "bench/sweep/sweep.h"
#include "bench/sweep/advice.h"

typedef struct SweepCommand {
    ConfigCommand config;
    const char *out, *format;
    bool resume, overwrite, dry_run, no_probe;
    int64_t shard, shards;
    int64_t order_seed; /* INT_MISSING = in file order */
    double delay;
    const char *noise;
    CommRate link; /* ns_per_byte 0: not given */
} SweepCommand;

#define NOISE_CHOICES "auto|on|off"

static int set_shard(void *target, const void *context, const char *value, Err *err)
{
    SweepCommand *c = target;
    char shard[32];
    const char *slash = strchr(value, '/');
    (void)context;
    if (slash && (size_t)(slash - value) < sizeof shard) {
        snprintf(shard, sizeof shard, "%.*s", (int)(slash - value), value);
        if (parse_int(shard, &c->shard) == 0 && parse_int(slash + 1, &c->shards) == 0 &&
            c->shard >= 1 && c->shard <= c->shards)
            return 0;
    }
    return err_set(err, "'%s' is not I/N with 1 <= I <= N", value);
}

static int set_link(void *target, const void *context, const char *value, Err *err)
{
    CommRate *link = target;
    double us, gb_per_s;
    char end;
    (void)context;
    if (sscanf(value, "%lf,%lf%c", &us, &gb_per_s, &end) != 2 || !(us >= 0) || !(gb_per_s > 0))
        return err_set(err, "'%s' is not MICROSECONDS,GB_PER_S, such as 50,1.25", value);
    *link = (CommRate){us * 1e3, 1 / gb_per_s, 1};
    return 0;
}

static const char notes[] = "exit: 0 every row ran or was skipped, 1 a row failed or is "
                            "implausible, 2 bad command or config,\n"
                            "      or a result that cannot be written (then after the lines of "
                            "rows that ran), 130 interrupted\n";

static int print_columns(void *target, const void *context, const char *value, Err *err)
{
    (void)target, (void)context, (void)value, (void)err;
    show_columns(stdout);
    return 0;
}

/* Whether pandas.read_csv makes something else of a cell than its text, quoted or not. */
static bool reads_otherwise(const char *cell)
{
    static const char *const words[] = {"#N/A", "#N/A N/A", "#NA",     "-1.#IND", "-1.#QNAN",
                                        "<NA>", "1.#IND",   "1.#QNAN", "N/A",     "NA",
                                        "NULL", "None",     "n/a",     "null",    "True",
                                        "TRUE", "true",     "False",   "FALSE",   "false"};
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (strcmp(cell, words[i]) == 0)
            return true;
    char *end;
    (void)strtod(cell, &end);
    return *cell && !*end;
}

static void warn_of_names(const Sweep *s)
{
    const char *before = "";
    for (size_t i = 0; i < s->count; i++) {
        const char *size = s->items[i].result.config.model_size;
        if (strcmp(size, before) != 0 && reads_otherwise(size))
            print_clean(
                stderr,
                "tare: warning: pandas reads the model size '%s' as a number, a truth value "
                "or a missing one; give read_csv dtype=str and keep_default_na=False, or "
                "use another name",
                size);
        before = size;
    }
}

static void print_warmup_advice(const RowResult *const *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *size = rows[i]->config.model_size;
        bool seen = false;
        for (size_t k = 0; k < i; k++)
            seen |= strcmp(rows[k]->config.model_size, size) == 0;
        if (seen)
            continue;
        FieldTEXT sentence;
        WarmupAdvice advice = warmup_advice_of(rows, count, size);
        warmup_advice_sentence(&advice, size, sentence);
        fprintf(stderr, "%s\n", sentence);
    }
}

static int report(const Sweep *s, const SweepCommand *c, const char *path)
{
    const RowResult **rows = xcalloc(s->count, sizeof *rows);
    size_t count = sweep_results(s, rows), bad = 0;
    show_rows(stdout, table_format(c->format), rows, count);
    for (size_t i = 0; i < count; i++)
        bad += status_is_bad(rows[i]->status);
    if (path) {
        print_warmup_advice(rows, count);
        fprintf(stderr, "%zu rows in %s\n", count, path);
    }
    if (interrupted())
        fprintf(stderr, "interrupted; --resume goes on\n");
    free(rows);
    return interrupted() ? EXIT_INTERRUPTED : bad ? EXIT_NOT_OK : EXIT_OK;
}

static SweepNoise noise_of(const char *word)
{
    return strcmp(word, "on") == 0    ? SWEEP_NOISE_ON
           : strcmp(word, "off") == 0 ? SWEEP_NOISE_OFF
                                      : SWEEP_NOISE_AUTO;
}

static int run_sweep(Sweep *s, const SweepCommand *c, Err *err)
{
    char *path = result_file_path(c->out, s->config.grid.name, err);
    if (!path)
        return -1;
    Guard guard;
    guard_init(&guard);
    interrupt_install();
    SweepRun run = {.path = path,
                    .how = c->resume      ? RESULT_RESUME
                           : c->overwrite ? RESULT_OVERWRITE
                                          : RESULT_NEW,
                    .shuffle = c->order_seed != INT_MISSING,
                    .order_seed = c->order_seed,
                    .execute = row_spawn,
                    .delay = c->delay,
                    .no_probe = c->no_probe,
                    .noise = noise_of(c->noise),
                    .guard = &guard,
                    .log = stderr};
    int code = sweep_run(s, &run, err) == 0 ? report(s, c, path) : -1;
    guard_release(&guard);
    free(path);
    return code;
}

static int plan_or_run(void *command, Err *err)
{
    const SweepCommand *c = command;
    Sweep s;
    if (c->resume && c->overwrite)
        return err_set(err, "--resume and --overwrite exclude each other");
    if (c->link.ns_per_byte > 0 && !c->dry_run)
        return err_set(err, "--link is for --dry-run: rows that run measure their link");
    if (sweep_init(&s, c->config.path, &c->config.settings, err) != 0)
        return -1;
    warn_of_names(&s);
    int code = sweep_select(&s, c->config.filter, c->shard, c->shards, err);
    if (code == 0 && c->dry_run) {
        sweep_plan(&s);
        sweep_forecast(&s, c->link.ns_per_byte > 0 ? &c->link : NULL, stderr);
        code = report(&s, c, NULL);
    } else if (code == 0) {
        code = run_sweep(&s, c, err);
    }
    sweep_release(&s);
    return code;
}

int cmd_sweep(int argc, char **argv, Err *err)
{
    SweepCommand asked = {.format = "table",
                          .noise = "auto",
                          .shard = 1,
                          .shards = 1,
                          .order_seed = INT_MISSING},
                 *c = &asked;
    const Option options[] = {
        option_text("--out", "FILE.csv", &c->out, NULL,
                    "the result file; results/NAME.csv by default"),
        option_call("--shard", "I/N", set_shard, c,
                    "only the I-th of N parts, from 1; join them with tare merge"),
        option_flag("--resume", &c->resume, "go on with an existing result; failed rows run again"),
        option_flag("--overwrite", &c->overwrite, "replace an existing result"),
        option_int("--shuffle", "SEED", &c->order_seed, 0, INT64_MAX,
                   "run in a random order; the file keeps its own"),
        option_real("--delay", "SECONDS", &c->delay, 0, 86400,
                    "let the machine cool down so long between two rows"),
        option_text(
            "--noise", "WHEN", &c->noise, NOISE_CHOICES,
            "measure what processes differ by (noise_cv, for tare diff) with a small row at "
            "the beginning, middle and end; auto, the default: in sweeps of a minute or "
            "more"),
        option_flag("--no-probe", &c->no_probe,
                    "no look at the machine between trials (probe_* columns)"),
        option_flag("--dry-run", &c->dry_run,
                    "print the rows with their predictions, run none, write nothing"),
        option_call("--link", "US,GB_PER_S", set_link, &c->link,
                    "with --dry-run, of rows of several ranks: the time of a small all-reduce and "
                    "what a rank sends a second; measured by a small row where not given"),
        option_text("--format", "FORMAT", &c->format, TABLE_FORMATS, "of standard output"),
        option_print("--columns", print_columns, NULL,
                     "print what each column of a result means, as Markdown"),
    };
    const Command command = {.verb = "sweep",
                             .summary = "Run every row of a config file, each in a fresh process.",
                             OPTIONS(options),
                             .notes = notes};
    return config_command_run(&c->config, &command, sweep_config_file(),
                              "only rows whose name matches, like small/128/fwdbwd/w5", plan_or_run,
                              argc, argv, err);
}
