/* report: the machine-readable files; see report.h. */
#include "bench/precision/report.h"

#include <math.h>
#include <string.h>

#include "model/families/family.h"
#include "bench/compare/output.h"
#include "bench/result/csv.h"
#include "bench/util/number_json.h"

enum { SCHEMA = 1 };

const StudySubject *study_subject_of(const Study *s, const StudyRecord *r)
{
    size_t i = 0;
    while (strcmp(s->config->models[i].source.name, r->model) != 0)
        i++;
    return &s->subjects[i];
}

void text_start(const char *text, size_t bytes, char *out)
{
    size_t n = 0, kept = 0;
    for (; text[n] && n < bytes; n++) {
        unsigned char c = (unsigned char)text[n];
        out[n] = c < 0x20 || c == 0x7f || c == '|' || c == '`' ? ' ' : (char)c;
    }
    for (kept = n; kept > 0 && ((unsigned char)text[kept] & 0xc0) == 0x80;)
        kept--; /* not in the middle of a character */
    strcpy(out + kept, text[n] ? "..." : "");
}

/* ---- CSV ---- */

static void write_csv(const void *report, time_t started, FILE *f)
{
    const Study *s = report;
    char texts[num_study_fields][sizeof(FieldTEXT)];
    const char *cells[num_study_fields];
    (void)started;
    for (size_t k = 0; k < num_study_fields; k++)
        cells[k] = study_fields[k].name;
    csv_write_record(f, cells, num_study_fields);
    for (size_t i = 0; i < s->num_records; i++) {
        for (size_t k = 0; k < num_study_fields; k++) {
            study_field_cell(&study_fields[k], &s->records[i], texts[k], sizeof texts[k]);
            cells[k] = texts[k];
        }
        csv_write_record(f, cells, num_study_fields);
    }
}

/* ---- JSON ---- */

static json_t *numbers(const double *x, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; x && i < count; i++)
        json_array_append_new(list, number_json(x[i]));
    return list;
}

static json_t *flips_json(const Study *s, const StudyRecord *r)
{
    enum { TEXT_BYTES = 80 };
    const StudySubject *subject = study_subject_of(s, r);
    json_t *list = json_array();
    for (size_t i = 0; i < r->flip_list.count; i++) {
        const Flip *flip = &r->flip_list.at[i];
        char text[TEXT_BYTES + 4];
        text_start(subject->texts.at[flip->text].text, TEXT_BYTES, text);
        json_array_append_new(
            list, json_pack("{s:I, s:s, s:s, s:s, s:s, s:f}", "index", (json_int_t)flip->text,
                            "text", text, "label", subject->labels.at[flip->right], "fp32",
                            subject->labels.at[flip->before], "this",
                            subject->labels.at[flip->after], "fp32_margin", flip->margin));
    }
    return list;
}

static json_t *cell_entry_json(const Study *s, const StudyRecord *r)
{
    json_t *object = json_object();
    for (size_t k = 0; k < num_study_fields; k++)
        json_object_set_new(object, study_fields[k].name, study_field_json(&study_fields[k], r));
    json_object_set_new(object, "ranked", json_boolean(r->ranked));
    if (r->ms) {
        size_t rounds = (size_t)r->rounds;
        json_object_set_new(object, "calls_per_sample", json_integer(r->calls));
        json_object_set_new(object, "untimed_call_before", json_boolean(r->untimed_call));
        json_object_set_new(object, "samples_ms", numbers(r->ms, rounds));
        json_object_set_new(object, "turn_seconds", numbers(r->seconds, rounds));
        json_object_set_new(object, "turn_joules", numbers(r->joules, rounds));
    }
    if (r->total != INT_MISSING && r->correct != INT_MISSING)
        json_object_set_new(object, "flip_list", flips_json(s, r));
    return object;
}

static json_t *energy_json(const Study *s)
{
    const IdlePower *idle = &s->idle;
    return json_pack(
        "{s:s, s:s, s:o, s:o, s:o, s:b, s:o}", "source", energy_source_name(s->energy.source),
        "reason", s->energy.reason.msg, "model_watts",
        number_json(s->energy.source == ENERGY_MODEL ? s->energy.model_watts : NAN),
        "idle_before_w", number_json(idle->before), "idle_after_w", number_json(idle->after),
        "idle_drifted", (int)idle_drifted(idle), "other_cpus", number_json(s->other_cpus));
}

static json_t *models_json(const Study *s)
{
    json_t *models = json_object();
    for (size_t i = 0; i < s->config->num_models; i++) {
        const StudySubject *subject = &s->subjects[i];
        json_t *model = subject->there
                            ? json_pack("{s:s, s:s, s:I}", "dir", subject->files.dir, "sha256",
                                        subject->files.sha256, "num_params",
                                        (json_int_t)model_num_params(&subject->files.config))
                            : json_pack("{s:s}", "left_out", subject->left_out.msg);
        json_object_set_new(models, subject->asked->source.name, model);
    }
    return models;
}

static json_t *orderings_json(const Study *s)
{
    json_t *list = json_array();
    for (size_t i = 0; i < s->orderings.count; i++) {
        const Ordering *o = &s->orderings.at[i];
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "measure",
                                              o->measure, "where", o->where, "expected",
                                              o->expected, "observed", o->observed, "verdict",
                                              agreement_name(o->verdict), "note", o->note));
    }
    return list;
}

static void write_json(const void *report, time_t started, FILE *f)
{
    const Study *s = report;
    json_t *records = json_array();
    for (size_t i = 0; i < s->num_records; i++)
        json_array_append_new(records, cell_entry_json(s, &s->records[i]));
    json_t *all = json_pack(
        "{s:i, s:s, s:o, s:I, s:I, s:o, s:s, s:s, s:b, s:o, s:o, s:o, s:o}", "schema", SCHEMA,
        "name", s->config->name, "system", system_info(started), "threads",
        (json_int_t)s->config->threads, "seed", (json_int_t)s->config->seed, "other_cpus_before",
        number_json(s->other_cpus_before), "isa", kernels()->isa, "ops", precision_ops(),
        "include_emulated", (int)s->include_emulated, "energy", energy_json(s), "models",
        models_json(s), "records", records, "orderings", orderings_json(s));
    CHECK(all, "a study that is no JSON");
    json_dumpf(all, f, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    fputc('\n', f);
    json_decref(all);
}

static void write_markdown(const void *report, time_t started, FILE *f)
{
    study_report_markdown(report, started, f);
}

int study_report_write(const Study *s, const char *folder, time_t started, Err *err)
{
    return report_files_write(folder, started,
                              &(ReportWriters){write_json, write_csv, write_markdown}, s, err);
}
