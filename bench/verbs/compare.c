/* compare: `tare compare`: this implementation beside its peers, in turns, parity first. A config
 * has cells, each of which is on disk before the next one starts, or it measures a sentiment
 * classifier. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/machine/warn.h"
#include "bench/commands.h"
#include "bench/compare/cell.h"
#include "bench/util/config.h"
#include "bench/util/interrupt.h"
#include "bench/serving/serving.h"

typedef struct CompareCommand {
    ConfigCommand config;
    const char *folder;
    char rounds[40]; /* a setting */
    bool profile;
} CompareCommand;

/* ---- before the first cell ---- */

/* Finds or makes what cells use, and checks that the models can do what is asked. */
static int find_inputs(Comparison *c, Err *err)
{
    for (size_t i = 0; i < c->config->num_cells; i++) {
        const CompareCell *cell = &c->config->cells[i];
        ModelFiles *files = &c->models[cell->model];
        if (!files->dir &&
            model_files_find(files, &c->config->models[cell->model], &c->session.project, err) != 0)
            return -1;
        if (model_files_check(files, cell, err) != 0)
            return -1;
        if (cell->texts && access(cell->texts, R_OK) != 0)
            return err_set(err, "cannot read '%s': %s", cell->texts, strerror(errno));
    }
    return 0;
}

/* ---- progress ---- */

static void say_record(const Comparison *c, const CellEntry *r)
{
    Err why;
    fprintf(stderr, " %s ", r->entry.implementation->name);
    switch (session_state(&c->session, &r->entry)) {
    case ENTRY_FAILED:
        fprintf(stderr, "failed: %s", r->entry.failure.msg);
        break;
    case ENTRY_DIFFERS:
        fprintf(stderr, "%.4g ms, parity FAILED: %s", r->entry.median_ms, r->entry.parity.reason);
        break;
    case ENTRY_IMPLAUSIBLE:
        plausible(session_peaks(&c->session), &r->entry.claim, &why);
        fprintf(stderr, "%.4g ms, implausible: %s", r->entry.median_ms, why.msg);
        break;
    case ENTRY_OK:
        fprintf(stderr, "%.4g ms", r->entry.median_ms);
        break;
    }
}

/* One line a finished cell. */
static void say_cell(const Comparison *c, size_t first, size_t number)
{
    char name[COMPARE_CELL_NAME];
    compare_cell_name(c->config, c->records[first].cell, name);
    fprintf(stderr, "tare: [%zu/%zu] %s:", number, c->config->num_cells, name);
    for (size_t i = first; i < c->num_records; i++) {
        if (i > first)
            fputc(',', stderr);
        say_record(c, &c->records[i]);
    }
    fputc('\n', stderr);
}

/* A format without an instruction for it is not timed: a line says so. */
static bool is_left_out(const Comparison *c, size_t i)
{
    const CompareCell *cell = &c->config->cells[i];
    Precision p = cell->component->precision;
    char name[COMPARE_CELL_NAME];
    if (precision_support(p) != SUPPORT_EMULATED)
        return false;
    compare_cell_name(c->config, cell, name);
    fprintf(stderr, "tare: [%zu/%zu] %s is left out: %s is emulated on this CPU, it lacks %s\n",
            i + 1, c->config->num_cells, name, precision_name(p), precision_missing(p));
    return true;
}

/* ---- the run ---- */

static int measure_all(Comparison *c, const char *folder, bool *passed, Err *err)
{
    ReportPlace place = {.folder = folder, .started = time(NULL)};
    for (size_t i = 0; i < c->config->num_cells; i++) {
        size_t first = c->num_records;
        if (is_left_out(c, i))
            continue;
        if (comparison_measure(c, &c->config->cells[i], err) != 0)
            return -1;
        say_cell(c, first, i + 1);
        if (report_write(&compare_report, c, c->num_records, &place, err) != 0)
            return -1;
    }
    if (session_peaks(&c->session)) { /* the machine may have become faster meanwhile */
        session_measure_peaks(&c->session);
        if (report_write(&compare_report, c, c->num_records, &place, err) != 0)
            return -1;
    }
    for (size_t i = 0; i < c->num_records; i++)
        *passed &= session_state(&c->session, &c->records[i].entry) == ENTRY_OK;
    compare_report.markdown(c, place.started, stdout);
    return 0;
}

static int compare(const CompareConfig *config, const CompareCommand *o, Err *err)
{
    Comparison c = {.config = config,
                    .models = xcalloc(config->num_models, sizeof *c.models),
                    .profiled = o->profile};
    bool passed = true;
    session_init(&c.session);
    int status = find_inputs(&c, err);
    if (status == 0 && (report_folder_make(o->folder, err) != 0 || comparison_start(&c, err) != 0))
        status = -1;
    if (status == 0)
        status = measure_all(&c, o->folder, &passed, err);
    comparison_release(&c);
    for (size_t i = 0; i < config->num_models; i++)
        model_files_release(&c.models[i]);
    free(c.models);
    if (interrupted())
        return EXIT_INTERRUPTED;
    return status == 0 && !(passed && !c.session.misbehaved) ? EXIT_NOT_OK : status;
}

/* ---- a sentiment classifier ---- */

static int exit_code(const Serving *s)
{
    bool passed = !s->session.misbehaved;
    for (size_t i = 0; i < s->count; i++)
        passed &= session_state(&s->session, &s->entries[i].entry) == ENTRY_OK;
    return passed ? EXIT_OK : EXIT_NOT_OK;
}

static int measure_serving(Serving *s, const char *folder, Err *err)
{
    ReportPlace place = {.folder = folder, .started = time(NULL)};
    if (serving_measure(s, err) != 0 ||
        report_write(&serving_report, s, s->count, &place, err) != 0)
        return -1;
    serving_report.markdown(s, place.started, stdout);
    return 0;
}

static int compare_serving(const ServingConfig *config, const char *folder, Err *err)
{
    Serving s;
    int status = serving_open(&s, config, err);
    if (status == 0 && (report_folder_make(folder, err) != 0 || serving_start(&s, err) != 0))
        status = -1;
    if (status == 0)
        status = measure_serving(&s, folder, err);
    int code = status == 0 ? exit_code(&s) : -1;
    serving_release(&s);
    return interrupted() ? EXIT_INTERRUPTED : code;
}

/* ---- the command ---- */

static int set_rounds(void *target, const void *context, const char *value, Err *err)
{
    CompareCommand *c = target;
    int64_t rounds;
    (void)context;
    if (parse_int(value, &rounds) != 0)
        return err_set(err, "'%s' is not an integer", value);
    snprintf(c->rounds, sizeof c->rounds, "rounds=%lld", (long long)rounds);
    text_list_add(&c->config.settings, c->rounds);
    return 0;
}

static int run_cells(const CompareCommand *o, const ConfigDocument *d, Err *err)
{
    CompareConfig config;
    if (config_read(d, &config, &o->config.settings, err) != 0)
        return -1;
    machine_warn(config.threads);
    int code = compare_config_filter(&config, o->config.filter, err);
    if (code == 0)
        code = compare(&config, o, err);
    config_release(d->file, &config);
    return code;
}

static int run_serving(const CompareCommand *o, const ConfigDocument *d, Err *err)
{
    ServingConfig config;
    if (o->config.filter)
        return err_set(err, "--filter chooses cells, and '%s' has none", d->path);
    if (o->profile)
        return err_set(err, "--profile is of cells, and '%s' has none", d->path);
    if (config_read(d, &config, &o->config.settings, err) != 0)
        return -1;
    machine_warn(config.threads);
    int code = compare_serving(&config, o->folder, err);
    config_release(d->file, &config);
    return code;
}

static int run_config(void *command, Err *err)
{
    const CompareCommand *o = command;
    ConfigDocument d;
    interrupt_install();
    if (config_open(&d, &serving_config_file, o->config.path, err) != 0)
        return -1;
    int code = d.file == &serving_config_file ? run_serving(o, &d, err) : run_cells(o, &d, err);
    config_close(&d);
    return code;
}

int cmd_compare(int argc, char **argv, Err *err)
{
    CompareCommand asked = {.folder = "results"}, *c = &asked;
    const Option options[] = {
        option_text("--out", "DIR", &c->folder, NULL,
                    "where benchmark_DATE_TIME.json, .csv and .md go (default: results)"),
        option_call("--rounds", "N", set_rounds, c,
                    "rounds of every cell, or of requests: --set rounds=N"),
        option_flag("--profile", &c->profile,
                    "print time, FLOPs, bytes and share of the peak of each op of tare too, of "
                    "more calls behind each cell"),
    };
    const Command command = {
        .verb = "compare",
        .summary = "Measures this implementation beside its peers, in turns, parity first.",
        OPTIONS(options),
        .notes =
            "CONFIG.toml lists cells, or has task = \"sentiment\" and measures a trained "
            "classifier.\n"
            "Peers are Python programs: $TARE_PYTHON, else .venv/bin/python of the project or,\n"
            "where tare is installed, of the current folder. To install them:\n"
            "  python3 -m venv .venv && .venv/bin/pip install -r bench/peers/requirements.txt\n"
            "llama.cpp and OpenVINO GenAI come apart; who is left out says how to install it.\n"
            "Exit code 1: an output differs from tare's, an implementation failed, or a time\n"
            "is impossible on this machine.\n",
    };
    return config_command_run(&c->config, &command, &serving_config_file,
                              "only cells with such a name, like big/model/b8s128", run_config,
                              argc, argv, err);
}
