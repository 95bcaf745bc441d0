/* report: the columns and the JSON; see report.h. */
#include "bench/serving/report.h"

#include <math.h>
#include <stdlib.h>

#include "bench/compare/output.h"
#include "bench/serving/score.h"

enum { SCHEMA = 1 };

const char *serving_entry_name(const ServingEntry *c)
{
    return c->implementation->name;
}

/* ---- one implementation as a record ---- */

/* How often the labels of a set are right. */
typedef struct SetRecord {
    FieldINT texts;
    FieldREAL right, accuracy, lo, hi;
} SetRecord;

typedef struct ServingRecord {
    EntryRecord entry;
    FieldINT requests;
    Summary latency;
    FieldREAL text_p99_ratio, requests_per_s, tokenizer_share;
    FieldREAL start_ms, load_ms, first_request_ms;
    SetRecord sets[NUM_SETS];
    FieldREAL agreement_with_tare;
} ServingRecord;

#define OWN(kind, name, member) FIELD(ServingRecord, kind, name, member, .digits = REPORT_DIGITS)
#define OWN_SET(name, set)                                                                         \
    OWN(INT, name "_texts", sets[set].texts), OWN(REAL, name "_right", sets[set].right),           \
        OWN(REAL, name "_accuracy", sets[set].accuracy),                                           \
        OWN(REAL, name "_accuracy_lo", sets[set].lo), OWN(REAL, name "_accuracy_hi", sets[set].hi)

static const Field fields[] = {
#define ENTRY ENTRY_FIELD
#include "bench/compare/fields.def"
#undef ENTRY
    OWN(INT, "requests", requests),
    OWN(REAL, "mean_ms", latency.mean),
    OWN(REAL, "std_ms", latency.std),
    OWN(REAL, "cv", latency.cv),
    OWN(REAL, "min_ms", latency.min),
    OWN(REAL, "max_ms", latency.max),
    OWN(REAL, "p95_ms", latency.p95),
    OWN(REAL, "p99_ms", latency.p99),
    OWN(REAL, "text_p99_ratio", text_p99_ratio),
    OWN(REAL, "requests_per_s", requests_per_s),
    OWN(REAL, "tokenizer_share", tokenizer_share),
    OWN(REAL, "start_ms", start_ms),
    OWN(REAL, "load_ms", load_ms),
    OWN(REAL, "first_request_ms", first_request_ms),
    OWN_SET("benchmark", SET_BENCHMARK),
    OWN_SET("validation", SET_VALIDATION),
    OWN_SET("test", SET_TEST),
    OWN(REAL, "agreement_with_tare", agreement_with_tare),
};
static const Schema schema = {"a record", fields, COUNT_OF(fields), sizeof(ServingRecord)};

static void fill_set(const Serving *s, const ServingEntry *c, ServingSet set, SetRecord *r)
{
    Score score = score_of(&s->sets[set], c->labels + serving_first(s, set), NULL);
    if (score.total == 0)
        return;
    *r = (SetRecord){(FieldINT)score.total, (FieldREAL)score.right, score.share, score.interval.lo,
                     score.interval.hi};
}

static void fill_record(const void *serving, size_t i, void *record)
{
    const Serving *s = serving;
    const ServingEntry *c = &s->entries[i];
    const int32_t *ours = s->entries[0].labels;
    ServingRecord *out = record;
    EntryRecord *e = &out->entry;
    entry_record_fill(e, &s->session, c->implementation, &c->entry, true);
    text_set(e->component, component_find("classify")->name);
    text_set(e->model, s->config->name);
    e->batch_size = 1;
    e->median_ms = c->latency.median; /* of all requests; the interval is the rounds' */
    out->requests = int_unless_zero(c->latency.n);
    out->latency = c->latency;
    out->text_p99_ratio = c->text_p99;
    out->requests_per_s = 1e3 / c->latency.mean;
    out->tokenizer_share = c->tokenizer_share;
    if (!c->labels)
        return;
    out->start_ms = c->start_ms;
    out->load_ms = c->load_ms;
    out->first_request_ms = c->first_ms;
    for (ServingSet set = 0; set < NUM_SETS; set++)
        fill_set(s, c, set, &out->sets[set]);
    if (ours)
        out->agreement_with_tare =
            (double)agreements(c->labels, ours, s->num_texts) / (double)s->num_texts;
}

/* ---- JSON ---- */

static json_t *score_json(const Score *score)
{
    return json_pack("{s:I, s:I, s:o, s:o, s:o}", "right", (json_int_t)score->right, "texts",
                     (json_int_t)score->total, "accuracy", number_json(score->share), "accuracy_lo",
                     number_json(score->interval.lo), "accuracy_hi",
                     number_json(score->interval.hi));
}

/* {"test": {"plain": {...}}} */
static json_t *categories_json(const Serving *s, const ServingEntry *c)
{
    json_t *sets = json_object();
    for (ServingSet set = 0; set < NUM_SETS && c->labels; set++) {
        size_t count;
        json_t *scores = json_object();
        const char **names = categories_of(&s->sets[set], &count);
        for (size_t i = 0; i < count; i++) {
            Score score = score_of(&s->sets[set], c->labels + serving_first(s, set), names[i]);
            json_object_set_new(scores, names[i], score_json(&score));
        }
        free(names);
        if (s->sets[set].count > 0)
            json_object_set_new(sets, serving_set_names[set], scores);
        else
            json_decref(scores);
    }
    return sets;
}

static void add_details(const void *serving, size_t i, json_t *object)
{
    const Serving *s = serving;
    const ServingEntry *c = &s->entries[i];
    json_object_set_new(object, "samples_ms", numbers_json(c->ms, c->latency.n));
    json_object_set_new(object, "categories", categories_json(s, c));
    if (c->entry.has_parity) {
        json_object_set_new(object, "parity_max_rel", json_real(c->entry.parity.max_rel));
        json_object_set_new(object, "parity_reason", json_string(c->entry.parity.reason));
    }
    json_object_set_new(object, "failure", json_string(c->entry.failure.msg));
}

/* Whether two of them label this text differently. */
static bool is_disputed(const Serving *s, size_t text)
{
    const int32_t *first = NULL;
    for (size_t i = 0; i < s->count; i++) {
        const int32_t *labels = s->entries[i].labels;
        if (labels && first && labels[text] != first[text])
            return true;
        first = labels && !first ? labels : first;
    }
    return false;
}

/* The texts on which implementations disagree, with the label of each. */
static json_t *disagreements_json(const Serving *s)
{
    json_t *all = json_array();
    for (ServingSet set = 0; set < NUM_SETS; set++)
        for (size_t i = 0; i < s->sets[set].count; i++) {
            size_t text = serving_first(s, set) + i;
            const LabelledText *t = &s->sets[set].at[i];
            if (!is_disputed(s, text))
                continue;
            json_t *labels = json_object();
            for (size_t k = 0; k < s->count; k++)
                if (s->entries[k].labels)
                    json_object_set_new(labels, serving_entry_name(&s->entries[k]),
                                        json_string(s->labels.at[s->entries[k].labels[text]]));
            json_array_append_new(all,
                                  json_pack("{s:s, s:s, s:s, s:o}", "set", serving_set_names[set],
                                            "text", t->text, "expected_label",
                                            s->labels.at[t->label], "labels", labels));
        }
    return all;
}

/* Of every pair: the share of all texts with equal labels. */
static json_t *agreement_json(const Serving *s)
{
    json_t *all = json_array();
    for (size_t i = 0; i < s->count; i++)
        for (size_t k = i + 1; k < s->count; k++) {
            const ServingEntry *a = &s->entries[i], *b = &s->entries[k];
            if (a->labels && b->labels)
                json_array_append_new(
                    all, json_pack("{s:[s,s], s:I, s:I}", "between", serving_entry_name(a),
                                   serving_entry_name(b), "equal",
                                   (json_int_t)agreements(a->labels, b->labels, s->num_texts),
                                   "texts", (json_int_t)s->num_texts));
        }
    return all;
}

static json_t *config_json(const Serving *s)
{
    const ServingConfig *c = s->config;
    json_t *data = json_object();
    for (ServingSet set = 0; set < NUM_SETS; set++)
        if (s->sets[set].count > 0)
            json_object_set_new(data, serving_set_names[set], json_string(c->data[set]));
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:o}", "threads", (json_int_t)c->threads,
                     "seed", (json_int_t)c->seed, "rounds", (json_int_t)c->rounds, "warmups",
                     (json_int_t)c->warmups, "cold_starts", (json_int_t)c->cold_starts,
                     "max_length", (json_int_t)s->max_length, "parity_tolerance", parity_tolerance,
                     "data", data);
}

static json_t *make_document(const void *serving, time_t started, json_t *records)
{
    const Serving *s = serving;
    return system_info_and(
        started,
        json_pack("{s:i, s:s, s:s, s:o, s:o, s:o, s:{s:s, s:s}, s:o, s:o, s:o, s:o, s:o, s:o}",
                  "schema", SCHEMA, "task", "sentiment", "name", s->config->name,
                  "other_cpus_before", number_json(s->session.other_cpus), "config", config_json(s),
                  "peaks", schema_to_json(&peaks_schema, session_peaks(&s->session)), "model",
                  "dir", s->model.dir, "sha256", s->model.sha256, "implementations",
                  implementations_to_json(s->session.implementations), "left_out",
                  implementations_left_out(s->session.implementations), "records", records,
                  "agreement", agreement_json(s), "disagreements", disagreements_json(s),
                  "findings", serving_findings(s)));
}

int serving_report_write(const Serving *s, const char *folder, time_t started, Err *err)
{
    const Report report = {.of = s,
                           .schema = &schema,
                           .count = s->count,
                           .record = fill_record,
                           .details = add_details,
                           .document = make_document,
                           .markdown = serving_report_markdown};
    return report_write(&report, folder, started, err);
}
