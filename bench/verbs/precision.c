/* precision: `tare precision`: one model in several number formats, each only where it is real.
 * Every piece of work is on disk before the next one starts. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/machine/warn.h"
#include "bench/commands.h"
#include "bench/util/config.h"
#include "bench/util/interrupt.h"
#include "bench/precision/study.h"

/* ---- the command ---- */

/* "watts=15": the only model there is. */
static int read_energy_model(void *target, const void *context, const char *value, Err *err)
{
    const char *key = "watts=";
    double *watts = target;
    (void)context;
    if (strncmp(value, key, strlen(key)) == 0 && parse_real(value + strlen(key), watts) == 0 &&
        *watts > 0)
        return 0;
    return err_set(err, "'%s' is not watts=N with a positive number", value);
}

typedef struct PrecisionCommand {
    ConfigCommand config;
    const char *folder;
    StudyOptions options;
} PrecisionCommand;

/* ---- progress ---- */

/* One line for the records from `first` on. Returns whether none failed. */
static bool say_work(const Study *s, size_t first)
{
    bool passed = true;
    const StudyRecord *r = &s->records[first];
    fprintf(stderr, "tare: %s %s", r->model, r->work);
    if (r->batch_size != INT_MISSING)
        fprintf(stderr, " b%lld s%lld", (long long)r->batch_size, (long long)r->seq_len);
    for (; r < s->records + s->num_records; r++) {
        fprintf(stderr, "%s %s ", r == &s->records[first] ? ":" : ",", r->format);
        if (!study_record_ok(r))
            fprintf(stderr, "%s (%s)", r->status, r->status_reason);
        else if (!isnan(r->median_ms))
            fprintf(stderr, "%.4g ms", r->median_ms);
        else if (!isnan(r->accuracy))
            fprintf(stderr, "%.1f %%", 100 * r->accuracy);
        else
            fprintf(stderr, "%.5g", r->perplexity);
        passed &= !status_is_bad(r->status);
    }
    fputc('\n', stderr);
    return passed;
}

/* ---- the run ---- */

typedef struct Run {
    Study *study;
    ReportPlace place;
    bool passed;
} Run;

/* What was appended from `first` on becomes a line and goes into the files. */
static int finish_work(Run *r, size_t first, Err *err)
{
    r->passed &= say_work(r->study, first);
    study_judge(r->study);
    return report_write(&study_report, r->study, r->study->num_records, &r->place, err);
}

static int run_times(Run *r, const StudySubject *subject, Err *err)
{
    const StudyModel *m = subject->asked;
    for (size_t i = 0; i < m->num_times; i++) {
        size_t first = r->study->num_records;
        if (study_time(r->study, subject, m->times[i].batch, m->times[i].seq_len, err) != 0 ||
            finish_work(r, first, err) != 0)
            return -1;
    }
    return 0;
}

static int run_subject(Run *r, const StudySubject *subject, Err *err)
{
    if (run_times(r, subject, err) != 0)
        return -1;
    size_t first = r->study->num_records;
    if (subject->asked->test &&
        (study_accuracy(r->study, subject, err) != 0 || finish_work(r, first, err) != 0))
        return -1;
    first = r->study->num_records;
    if (subject->asked->text &&
        (study_perplexity(r->study, subject, err) != 0 || finish_work(r, first, err) != 0))
        return -1;
    return 0;
}

/* Also when it is interrupted, what was measured gets its energies and its report. */
static int run_all(Run *r, Err *err)
{
    Study *s = r->study;
    int status = 0;
    study_begin(s);
    for (size_t i = 0; i < s->config->num_models && status == 0; i++)
        if (s->subjects[i].there)
            status = run_subject(r, &s->subjects[i], err);
    if (status == 0 || (interrupted() && s->num_records > 0)) {
        study_end(s);
        study_judge(s);
        if (report_write(&study_report, s, s->num_records, &r->place, err) != 0)
            status = -1;
    }
    if (status == 0)
        study_report.markdown(s, r->place.started, stdout);
    return status;
}

static int study(const StudyConfig *config, const PrecisionCommand *c, Err *err)
{
    Study s;
    Run run = {.study = &s, .place = {.folder = c->folder, .started = time(NULL)}, .passed = true};
    int status = study_open(&s, config, &c->options, err);
    if (status == 0)
        status = report_folder_make(c->folder, err);
    if (status == 0)
        status = run_all(&run, err);
    study_release(&s);
    if (interrupted())
        return EXIT_INTERRUPTED;
    return status == 0 && !run.passed ? EXIT_NOT_OK : status;
}

static int run_config(void *command, Err *err)
{
    const PrecisionCommand *c = command;
    StudyConfig config;
    if (config_load(&study_config_file, &config, c->config.path, &c->config.settings, err) != 0)
        return -1;
    machine_warn(config.threads);
    interrupt_install();
    int code = study_config_filter(&config, c->config.filter, err);
    if (code == 0)
        code = study(&config, c, err);
    config_release(&study_config_file, &config);
    return code;
}

int cmd_precision(int argc, char **argv, Err *err)
{
    PrecisionCommand asked = {.folder = "results"}, *c = &asked;
    const Option options[] = {
        option_text("--out", "DIR", &c->folder, NULL,
                    "where benchmark_DATE_TIME.json, .csv and .md go (default: results)"),
        option_flag("--include-emulated", &c->options.include_emulated,
                    "also formats that this CPU has no instruction for; they are never ranked"),
        option_call("--energy-model", "watts=N", read_energy_model, &c->options.model_watts,
                    "estimate energy as N watts times the time, labelled as a model"),
    };
    const Command command = {
        .verb = "precision",
        .summary = "Measures models in number formats from fp32 to q4_0, in turns.",
        OPTIONS(options),
        .notes =
            "Models and data that are missing are left out, with the command that makes them.\n"
            "Exit code 1: a format failed, or a time is impossible on this machine.\n",
    };
    return config_command_run(&c->config, &command, &study_config_file,
                              "only work with such a name, like sentiment/time/b8s32 or "
                              "sentiment/accuracy",
                              run_config, argc, argv, err);
}
