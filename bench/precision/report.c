/* report: the JSON beside the columns; see report.h. */
#include "bench/precision/report.h"

#include <math.h>
#include <string.h>

#include "model/families/family.h"
#include "bench/compare/output.h"

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

/* ---- JSON ---- */

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

static void fill_record(const void *study, size_t i, void *record)
{
    *(StudyRecord *)record = ((const Study *)study)->records[i];
}

static void add_details(const void *study, size_t i, json_t *object)
{
    const Study *s = study;
    const StudyRecord *r = &s->records[i];
    json_object_set_new(object, "ranked", json_boolean(r->ranked));
    if (r->ms) {
        size_t rounds = (size_t)r->rounds;
        json_object_set_new(object, "calls_per_sample", json_integer(r->calls));
        json_object_set_new(object, "untimed_call_before", json_boolean(r->untimed_call));
        json_object_set_new(object, "samples_ms", numbers_json(r->ms, rounds));
        json_object_set_new(object, "turn_seconds", numbers_json(r->seconds, rounds));
        json_object_set_new(object, "turn_joules", numbers_json(r->joules, rounds));
    }
    if (r->total != INT_MISSING && r->correct != INT_MISSING)
        json_object_set_new(object, "flip_list", flips_json(s, r));
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

static json_t *make_document(const void *study, time_t started, json_t *records)
{
    const Study *s = study;
    return json_pack("{s:i, s:s, s:o, s:I, s:I, s:o, s:s, s:s, s:b, s:o, s:o, s:o, s:o}", "schema",
                     SCHEMA, "name", s->config->name, "system", system_info(started), "threads",
                     (json_int_t)s->config->threads, "seed", (json_int_t)s->config->seed,
                     "other_cpus_before", number_json(s->other_cpus_before), "isa", kernels()->isa,
                     "ops", precision_ops(), "include_emulated", (int)s->include_emulated, "energy",
                     energy_json(s), "models", models_json(s), "records", records, "orderings",
                     orderings_json(s));
}

int study_report_write(const Study *s, const char *folder, time_t started, Err *err)
{
    const Report report = {.of = s,
                           .schema = &study_schema,
                           .count = s->num_records,
                           .record = fill_record,
                           .details = add_details,
                           .document = make_document,
                           .markdown = study_report_markdown};
    return report_write(&report, folder, started, err);
}
