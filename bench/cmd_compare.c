/* cmd_compare: `tare compare`: this implementation beside its peers, in turns, parity first. Every cell
 * is on disk before the next one starts. */
#include <errno.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commands.h"
#include "compare_cell.h"
#include "compare_report.h"
#include "interrupt.h"
#include "options.h"

/* Whether anything did not pass; exit codes. */
enum { EXIT_PASSED = 0, EXIT_NOT_PASSED = 1, EXIT_WRONG = 2, EXIT_INTERRUPTED = 130 };

/* ---- before the first cell ---- */

static int make_folder(const char *folder, Err *err)
{
    struct stat s;
    if (mkdir(folder, 0777) == 0 || (stat(folder, &s) == 0 && S_ISDIR(s.st_mode)))
        return 0;
    return err_set(err, "--out '%s': %s", folder,
                   errno == EEXIST ? "not a folder" : strerror(errno));
}

static int make_temporary_folder(Comparison *c, Err *err)
{
    const char *tmp = getenv("TMPDIR");
    int n = snprintf(c->folder, sizeof c->folder, "%s/tare-compare-XXXXXX", tmp ? tmp : "/tmp");
    if (n >= 0 && (size_t)n < sizeof c->folder && mkdtemp(c->folder))
        return 0;
    c->folder[0] = '\0';
    return err_set(err, "cannot make a temporary folder in '%s'", tmp ? tmp : "/tmp");
}

/* Finds or makes the models that cells use, and checks that they can do what is asked. */
static int find_models(Comparison *c, Err *err)
{
    for (size_t i = 0; i < c->config->num_cells; i++) {
        const CompareCell *cell = &c->config->cells[i];
        ModelFiles *files = &c->models[cell->model];
        if (!files->dir &&
            model_files_find(files, &c->config->models[cell->model], &c->project, err) != 0)
            return -1;
        if (model_files_check(files, cell, err) != 0)
            return -1;
    }
    return 0;
}

/* ---- progress ---- */

/* One line a finished cell. Returns whether everything in it passed. */
static bool say_cell(const Comparison *c, size_t first, size_t number)
{
    char name[COMPARE_CELL_NAME];
    bool passed = true;
    compare_cell_name(c->config, c->records[first].cell, name);
    fprintf(stderr, "tare: [%zu/%zu] %s:", number, c->config->num_cells, name);
    for (size_t i = first; i < c->num_records; i++) {
        const Record *r = &c->records[i];
        bool unproven = r->has_parity && !r->parity.ok;
        fprintf(stderr, "%s %s ", i > first ? "," : "", r->alternative->name);
        if (r->failure.msg[0])
            fprintf(stderr, "failed: %s", r->failure.msg);
        else
            fprintf(stderr, "%.4g ms%s%s", r->median_ms, unproven ? ", parity FAILED: " : "",
                    unproven ? r->parity.reason : "");
        passed &= !r->failure.msg[0] && !unproven;
    }
    fputc('\n', stderr);
    return passed;
}

/* ---- the run ---- */

static int measure_all(Comparison *c, const char *folder, bool *passed, Err *err)
{
    time_t started = time(NULL);
    for (size_t i = 0; i < c->config->num_cells; i++) {
        size_t first = c->num_records;
        if (comparison_measure(c, &c->config->cells[i], err) != 0)
            return -1;
        *passed &= say_cell(c, first, i + 1);
        if (compare_report_write(c, folder, started, err) != 0)
            return -1;
    }
    compare_report_markdown(c, started, stdout);
    return 0;
}

static int compare(const CompareConfig *config, const char *folder, Err *err)
{
    Comparison c = {.config = config, .models = xcalloc(config->num_models, sizeof *c.models)};
    bool misbehaved = false, passed = true;
    project_find(&c.project);
    int status = find_models(&c, err);
    if (status == 0 && (make_folder(folder, err) != 0 || make_temporary_folder(&c, err) != 0 ||
                        comparison_start(&c, &misbehaved, err) != 0))
        status = -1;
    if (status == 0)
        status = measure_all(&c, folder, &passed, err);
    comparison_release(&c);
    for (size_t i = 0; i < config->num_models; i++)
        model_files_release(&c.models[i]);
    free(c.models);
    project_release(&c.project);
    if (c.folder[0])
        rmdir(c.folder);
    if (interrupted())
        return EXIT_INTERRUPTED;
    if (status != 0)
        return EXIT_WRONG;
    return passed && !misbehaved ? EXIT_PASSED : EXIT_NOT_PASSED;
}

int cmd_compare(int argc, char **argv, Err *err)
{
    TextList settings = {NULL, 0};
    const char *path = NULL, *folder = "results", *filter = NULL;
    int64_t rounds = 0;
    const Option options[] = {
        {.name = "--out",
         .kind = OPTION_TEXT,
         .value_name = "DIR",
         .target = &folder,
         .help = "where benchmark_DATE_TIME.json, .csv and .md go (default: results)"},
        {.name = "--set",
         .kind = OPTION_LIST,
         .value_name = "KEY=VALUE",
         .target = &settings,
         .help = "replaces rounds, threads, seed, peers, max_wait of the config; repeatable"},
        {.name = "--rounds",
         .kind = OPTION_INT,
         .value_name = "N",
         .target = &rounds,
         .min = 1,
         .max = 100000,
         .help = "rounds of every cell"},
        {.name = "--filter",
         .kind = OPTION_TEXT,
         .value_name = "REGEX",
         .target = &filter,
         .help = "only cells with such a name, like big/model/b8s128"},
    };
    const Command command = {
        .verb = "compare",
        .arguments = "CONFIG.toml",
        .summary = "Measures this implementation beside its peers, in turns, parity first.",
        .options = options,
        .num_options = COUNT_OF(options),
        .min_arguments = 1,
        .max_arguments = 1,
        .notes = "Peers are Python programs: $TARE_PYTHON, else .venv/bin/python of the project.\n"
                 "To install them: " PEERS_INSTALL "\n"
                 "Exit code 1: an output differs from tare's, or an implementation failed.\n",
    };
    size_t count;
    OptionsOutcome outcome = options_parse(&command, argc, argv, &path, &count, err);
    CompareConfig config;
    int code = EXIT_WRONG;
    char rounds_setting[40];
    if (rounds > 0) {
        snprintf(rounds_setting, sizeof rounds_setting, "rounds=%lld", (long long)rounds);
        settings.at = xrealloc(settings.at, (settings.count + 1) * sizeof *settings.at);
        settings.at[settings.count++] = rounds_setting;
    }
    if (outcome == OPTIONS_HELP) {
        code = EXIT_PASSED;
    } else if (outcome == OPTIONS_RUN &&
               compare_config_load(&config, path, &settings, filter, err) == 0) {
        if (config.threads == 0)
            config.threads = omp_get_max_threads();
        interrupt_install();
        code = compare(&config, folder, err);
        compare_config_release(&config);
    }
    text_list_release(&settings);
    return code;
}
