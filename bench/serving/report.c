/* report: the columns, the JSON and the Markdown of a sentiment comparison; see serving.h. */
#include "bench/serving/serving.h"

#include <math.h>
#include <stdlib.h>

#include "bench/serving/score.h"

enum { SCHEMA = 1 };

const char *serving_entry_name(const ServingEntry *c)
{
    return c->entry.implementation->name;
}

/* Of the texts of a set, or of one category of it. */
static Score score_in(const Serving *s, const ServingEntry *c, ServingSet set, const char *category)
{
    if (!c->labels)
        return (Score){.share = NAN};
    return score_of(&s->sets[set], c->labels + serving_first(s, set), category);
}

/* Texts that both label alike, as a share of all; NaN where one has no labels. */
static double agreement(const Serving *s, const ServingEntry *a, const ServingEntry *b)
{
    if (!a->labels || !b->labels)
        return NAN;
    return (double)agreements(a->labels, b->labels, s->num_texts) / (double)s->num_texts;
}

/* ---- one implementation as a record ---- */

typedef struct ServingRecord {
    EntryRecord entry;
    FieldINT requests;
    Summary latency;
    FieldREAL text_p99_ratio, requests_per_s, tokenizer_share;
    FieldREAL start_ms, load_ms, first_request_ms;
    Score sets[NUM_SETS];
    FieldREAL agreement_with_tare;
} ServingRecord;

#define OWN(kind, name, member) FIELD(ServingRecord, kind, name, member, .digits = REPORT_DIGITS)
#define OWN_SET(name, set)                                                                         \
    OWN(INT, name "_texts", sets[set].texts), OWN(REAL, name "_right", sets[set].right),           \
        OWN(REAL, name "_accuracy", sets[set].share),                                              \
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

static void fill_record(const void *serving, size_t i, void *record)
{
    const Serving *s = serving;
    const ServingEntry *c = &s->entries[i];
    ServingRecord *out = record;
    EntryRecord *e = &out->entry;
    entry_record_fill(e, &s->session, &c->entry, true);
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
    out->agreement_with_tare = agreement(s, c, &s->entries[0]);
    for (ServingSet set = 0; set < NUM_SETS; set++) {
        Score score = score_in(s, c, set, NULL);
        if (score.texts > 0)
            out->sets[set] = score;
    }
}

/* ---- JSON ---- */

/* {"test": {"plain": {...}}} */
static json_t *categories_json(const Serving *s, const ServingEntry *c)
{
    json_t *sets = json_object();
    for (ServingSet set = 0; set < NUM_SETS && c->labels; set++) {
        size_t count;
        json_t *scores = json_object();
        OWNED const char **names = categories_of(&s->sets[set], &count);
        for (size_t i = 0; i < count; i++) {
            Score score = score_in(s, c, set, names[i]);
            json_object_set_new(scores, names[i],
                                json_pack("{s:I, s:I, s:f, s:f, s:f}", "right",
                                          (json_int_t)score.right, "texts", (json_int_t)score.texts,
                                          "accuracy", score.share, "accuracy_lo", score.lo,
                                          "accuracy_hi", score.hi));
        }
        if (s->sets[set].count > 0)
            json_object_set(sets, serving_set_names[set], scores);
        json_decref(scores);
    }
    return sets;
}

static json_t *record_details(const void *serving, size_t i)
{
    const Serving *s = serving;
    const ServingEntry *c = &s->entries[i];
    const Parity *p = c->entry.has_parity ? &c->entry.parity : NULL;
    return json_pack("{s:o, s:o, s:o*, s:o*, s:o*}", "samples_ms",
                     numbers_json(c->ms, c->latency.n), "categories", categories_json(s, c),
                     "parity_max_rel", p ? json_real(p->max_rel) : NULL, "parity_reason",
                     p ? json_string(p->reason) : NULL, "failure",
                     json_string(c->entry.failure.msg));
}

/* The label that each gives to a text; NULL where they agree. */
static json_t *disputed_labels(const Serving *s, size_t text)
{
    json_t *labels = json_object();
    const int32_t *first = NULL;
    bool disputed = false;
    for (size_t k = 0; k < s->count; k++) {
        const int32_t *own = s->entries[k].labels;
        if (!own)
            continue;
        first = first ? first : own;
        disputed |= own[text] != first[text];
        json_object_set_new(labels, serving_entry_name(&s->entries[k]),
                            json_string(s->labels.at[own[text]]));
    }
    if (disputed)
        return labels;
    json_decref(labels);
    return NULL;
}

static json_t *disagreements_json(const Serving *s)
{
    json_t *all = json_array();
    for (ServingSet set = 0; set < NUM_SETS; set++)
        for (size_t i = 0; i < s->sets[set].count; i++) {
            const LabelledText *t = &s->sets[set].at[i];
            json_t *labels = disputed_labels(s, serving_first(s, set) + i);
            if (labels)
                json_array_append_new(all, json_pack("{s:s, s:s, s:s, s:o}", "set",
                                                     serving_set_names[set], "text", t->text,
                                                     "expected_label", s->labels.at[t->label],
                                                     "labels", labels));
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

/* ---- Markdown ---- */

static void write_head(const Serving *s, time_t started, FILE *f)
{
    const ServingConfig *c = s->config;
    const ModelConfig *m = &s->model.config;
    session_print(&s->session, "Serving Benchmark", c->name, started, f);
    fprintf(f, "**Model:** %s (dim=%zu, layers=%zu, vocab=%zu), sha256 %.16s\n", s->model.dir,
            m->d_model, m->num_layers, m->vocab_size, s->model.sha256);
    fprintf(f, "**Requests:** %zu samples x %lld rounds, after %lld warmups\n",
            s->sets[SET_BENCHMARK].count, (long long)c->rounds, (long long)c->warmups);
}

static void add_speedup(Table *t, const RatioTest *r, EntryState state)
{
    if (state != ENTRY_OK)
        table_cells(t, "**%s**", entry_state_names[state]);
    else if (isnan(r->ratio))
        table_text(t, NULL);
    else if (isnan(r->interval.lo))
        table_cells(t, "%.2fx %s", 1 / r->ratio, "(too few rounds)");
    else
        table_cells(t, "%.2fx [%.2f, %.2f]", 1 / r->ratio, 1 / r->interval.hi, 1 / r->interval.lo);
}

static void write_latency(const Serving *s, FILE *f)
{
    fprintf(f, "\n## Key Findings\n\n");
    Table t = table_new(f, TABLE_MARKDOWN,
                        "Implementation|Mean Latency|Median (ms)[]|P95 Latency|P99 Latency|"
                        "Throughput|CV|Validation Accuracy|Tokenizer Share|peak_fraction|"
                        "tare Is Faster By");
    for (const ServingEntry *c = s->entries; c < s->entries + s->count; c++) {
        const Summary *l = &c->latency;
        table_cells(&t,
                    "**%s**|%.4g ms|%.4g [%.4g, %.4g]|%.4g ms|%.4g ms|%.4g req/s|%.2f|%.1f%%|"
                    "%.2g%%|%.2f",
                    serving_entry_name(c), l->mean, l->median, c->entry.interval.lo,
                    c->entry.interval.hi, l->p95, l->p99, 1e3 / l->mean, l->cv,
                    100 * score_in(s, c, SET_VALIDATION, NULL).share, 100 * c->tokenizer_share,
                    entry_peak_fraction(&c->entry, session_peaks(&s->session)));
        add_speedup(&t, &c->entry.ratio, session_state(&s->session, &c->entry));
        table_row_end(&t);
    }
    table_end(&t);
}

static void write_findings(const Serving *s, FILE *f)
{
    json_auto_t *findings = serving_findings(s);
    json_t *sentence;
    size_t i;
    fputc('\n', f);
    json_array_foreach (findings, i, sentence)
        fprintf(f, "- %s\n", json_string_value(sentence));
}

static void write_cold(const Serving *s, FILE *f)
{
    fprintf(f,
            "\n## Cold Start\n\nMedians over fresh processes (%lld of each); files lie in the page "
            "cache. Process\n"
            "start is up to the first answer, imports included.\n\n",
            (long long)s->config->cold_starts);
    Table t = table_new(f, TABLE_MARKDOWN,
                        "Implementation|Process Start|Model Load|First Request|First / Median");
    for (const ServingEntry *c = s->entries; c < s->entries + s->count; c++) {
        table_cells(&t, "**%s**", serving_entry_name(c));
        if (c->labels)
            table_cells(&t, "%.4g ms|%.4g ms|%.4g ms|%.1f", c->start_ms, c->load_ms, c->first_ms,
                        session_state(&s->session, &c->entry) == ENTRY_OK
                            ? c->first_ms / c->latency.median
                            : NAN);
        table_row_end(&t);
    }
    table_end(&t);
}

/* One column for each implementation behind those of `first`. */
static Table table_by_implementation(const Serving *s, const char *first, FILE *f)
{
    Table t = table_new(f, TABLE_MARKDOWN, first);
    for (size_t i = 0; i < s->count; i++)
        table_columns(&t, serving_entry_name(&s->entries[i]), TABLE_ALWAYS);
    return t;
}

/* The scores of all implementations in a set, or in one category of it. */
static void add_scores(Table *t, const Serving *s, ServingSet set, const char *category)
{
    for (size_t k = 0; k < s->count; k++) {
        Score c = score_in(s, &s->entries[k], set, category);
        if (c.texts == 0)
            table_text(t, NULL);
        else
            table_cells(t, "%.1f %% (%.0f of %" PRId64 ") [%.1f, %.1f]", 100 * c.share, c.right,
                        c.texts, 100 * c.lo, 100 * c.hi);
    }
    table_row_end(t);
}

static void write_categories(const Serving *s, ServingSet set, FILE *f)
{
    size_t count;
    OWNED const char **names = categories_of(&s->sets[set], &count);
    Table t = table_by_implementation(s, "Category|Texts", f);
    table_heading(&t, "\n### Per category: %s\n", serving_set_names[set]);
    for (size_t i = 0; i < count; i++) {
        table_cells(&t, "%s|%" PRId64, names[i],
                    int_unless_zero((size_t)score_in(s, &s->entries[0], set, names[i]).texts));
        add_scores(&t, s, set, names[i]);
    }
    table_end(&t);
}

static void write_accuracy(const Serving *s, FILE *f)
{
    fprintf(f, "\n## Accuracy\n\nRight labels, with Wilson's 95 %% interval.\n\n");
    Table t = table_by_implementation(s, "Set", f);
    for (ServingSet set = 0; set < NUM_SETS; set++) {
        if (s->sets[set].count == 0)
            continue;
        table_text(&t, serving_set_names[set]);
        add_scores(&t, s, set, NULL);
    }
    table_end(&t);
    for (ServingSet set = 0; set < NUM_SETS; set++)
        write_categories(s, set, f);
}

static void write_agreement(const Serving *s, FILE *f)
{
    fprintf(f, "\n## Agreement\n\nOf all %zu texts.\n\n", s->num_texts);
    Table t = table_by_implementation(s, "Same label for", f);
    for (size_t i = 0; i < s->count; i++) {
        table_cells(&t, "**%s**", serving_entry_name(&s->entries[i]));
        for (size_t k = 0; k < s->count; k++)
            table_cells(&t, "%.2f%%", 100 * agreement(s, &s->entries[i], &s->entries[k]));
        table_row_end(&t);
    }
    table_end(&t);
}

static void write_parity(const Serving *s, FILE *f)
{
    parity_rule_print("Parity", "token counts and logits of all texts", f);
    Table t = table_new(f, TABLE_MARKDOWN, "Implementation|Max Diff|Of the Largest|Verdict");
    for (size_t i = 1; i < s->count; i++) {
        const Entry *e = &s->entries[i].entry;
        table_cells(&t, "**%s**|%.1e|%.1e", serving_entry_name(&s->entries[i]),
                    e->has_parity ? e->parity.max_abs : NAN,
                    e->has_parity ? e->parity.max_rel : NAN);
        add_parity_verdict(&t, e, "");
        table_row_end(&t);
    }
    table_end(&t);
}

static void write_markdown(const void *serving, time_t started, FILE *f)
{
    const Serving *s = serving;
    write_head(s, started, f);
    write_latency(s, f);
    write_findings(s, f);
    write_cold(s, f);
    write_accuracy(s, f);
    write_agreement(s, f);
    write_parity(s, f);
}

const Report serving_report = {&schema, fill_record, record_details, make_document, write_markdown};
