/* report: the columns and the JSON; see report.h. */
#include "bench/compare/report.h"

#include <math.h>
#include <string.h>

#include "model/families/family.h"
#include "bench/compare/output.h"
#include "bench/compare/rounds.h"

enum { SCHEMA = 1 };

typedef struct CompareRecord {
    EntryRecord entry;
    FieldREAL bytes_per_s; /* of a tokenizer's texts */
    FieldINT peak_rss_bytes;
} CompareRecord;

static const Field fields[] = {
#define ENTRY ENTRY_FIELD
#include "bench/compare/fields.def"
#undef ENTRY
    FIELD(CompareRecord, REAL, "bytes_per_s", bytes_per_s, .digits = REPORT_DIGITS),
    FIELD(CompareRecord, INT, "peak_rss_bytes", peak_rss_bytes, .digits = 0),
};
static const Schema schema = {"a record", fields, COUNT_OF(fields), sizeof(CompareRecord)};

static void fill_record(const void *comparison, size_t i, void *record)
{
    const Comparison *c = comparison;
    const CellEntry *r = &c->records[i];
    const CompareCell *cell = r->cell;
    CompareRecord *out = record;
    EntryRecord *e = &out->entry;
    entry_record_fill(e, &c->session, r->implementation, &r->entry, cell_entry_shows_ratio(c, r));
    text_set(e->component, cell->component->name);
    text_set(e->model, c->config->models[cell->model].name);
    e->batch_size = int_unless_zero(cell->batch_size);
    e->seq_len = int_unless_zero(cell->seq_len);
    if (r->input_bytes)
        out->bytes_per_s = (double)r->input_bytes / (r->entry.median_ms / 1e3);
    out->peak_rss_bytes = int_unless_zero(r->peak_rss_bytes);
}

/* ---- JSON ---- */

static void add_details(const void *comparison, size_t i, json_t *object)
{
    const Comparison *c = comparison;
    const CellEntry *r = &c->records[i];
    json_object_set_new(object, "samples_ms", numbers_json(r->entry.ms, r->entry.rounds));
    json_object_set_new(object, "calls_per_sample", json_integer(r->calls));
    json_object_set_new(object, "untimed_call_before", json_boolean(r->warm_call));
    json_object_set_new(object, "fresh_process", json_boolean(r->cell->fresh_process));
    if (r->cell->texts)
        json_object_set_new(object, "texts", json_string(r->cell->texts));
    if (r->entry.rounds > 0 && !isnan(r->entry.interval.lo))
        json_object_set_new(object, "median_coverage", json_real(r->entry.interval.coverage));
    if (!isnan(r->entry.ratio.ratio) && !isnan(r->entry.ratio.interval.lo)) {
        json_object_set_new(object, "ratio_coverage", json_real(r->entry.ratio.interval.coverage));
        json_object_set_new(object, "ratio_p", json_real(r->entry.ratio.p));
    }
    if (r->entry.has_parity) {
        if (*r->entry.parity.worst)
            json_object_set_new(object, "parity_max_rel", json_real(r->entry.parity.max_rel));
        json_object_set_new(object, "parity_tolerance", json_real(r->entry.parity.tolerance));
        json_object_set_new(object, "parity_reason", json_string(r->entry.parity.reason));
    }
    json_object_set_new(object, "failure", json_string(r->entry.failure.msg));
}

static json_t *models_json(const Comparison *c)
{
    json_t *models = json_object();
    for (size_t i = 0; i < c->config->num_models; i++) {
        const ModelFiles *m = &c->models[i];
        if (m->dir)
            json_object_set_new(models, c->config->models[i].name,
                                json_pack("{s:s, s:s, s:I, s:I, s:I, s:I}", "dir", m->dir, "sha256",
                                          m->sha256, "d_model", (json_int_t)m->config.d_model,
                                          "num_layers", (json_int_t)m->config.num_layers,
                                          "vocab_size", (json_int_t)m->config.vocab_size,
                                          "num_params", (json_int_t)model_num_params(&m->config)));
    }
    return models;
}

static json_t *make_document(const void *comparison, time_t started, json_t *records)
{
    const Comparison *c = comparison;
    return system_info_and(
        started,
        json_pack("{s:i, s:s, s:o, s:I, s:I, s:f, s:f, s:o, s:o, s:o, s:o, s:o}", "schema", SCHEMA,
                  "name", c->config->name, "other_cpus_before", number_json(c->session.other_cpus),
                  "threads", (json_int_t)c->config->threads, "seed", (json_int_t)c->config->seed,
                  "parity_tolerance", parity_tolerance, "sample_min_ms", TURN_NS / 1e6, "peaks",
                  schema_to_json(&peaks_schema, session_peaks(&c->session)), "models",
                  models_json(c), "implementations",
                  implementations_to_json(c->session.implementations), "left_out",
                  implementations_left_out(c->session.implementations), "records", records));
}

int compare_report_write(const Comparison *c, const char *folder, time_t started, Err *err)
{
    const Report report = {.of = c,
                           .schema = &schema,
                           .count = c->num_records,
                           .record = fill_record,
                           .details = add_details,
                           .document = make_document,
                           .markdown = compare_report_markdown};
    return report_write(&report, folder, started, err);
}

void compare_speedup(const Comparison *c, const CellEntry *r, char *text)
{
    const size_t size = 128;
    double ratio = r->entry.ratio.ratio, lo = r->entry.ratio.interval.lo,
           hi = r->entry.ratio.interval.hi;
    if (r->entry.failure.msg[0])
        snprintf(text, size, "failed");
    else if (r->entry.has_parity && !r->entry.parity.ok)
        snprintf(text, size, "parity FAILED");
    else if (cell_entry_state(c, r) == ENTRY_IMPLAUSIBLE)
        snprintf(text, size, "implausible");
    else if (!cell_entry_shows_ratio(c, r))
        snprintf(text, size, "-");
    else if (lo <= 1 && hi >= 1)
        snprintf(text, size, "no clear difference [%.2f, %.2f]", 1 / hi, 1 / lo);
    else if (isnan(lo))
        snprintf(text, size, "%.2fx %s (too few rounds)", ratio < 1 ? 1 / ratio : ratio,
                 ratio < 1 ? "Faster" : "Slower");
    else if (ratio < 1)
        snprintf(text, size, "**%.2fx Faster** [%.2f, %.2f]", 1 / ratio, 1 / hi, 1 / lo);
    else
        snprintf(text, size, "%.2fx Slower [%.2f, %.2f]", ratio, lo, hi);
}
