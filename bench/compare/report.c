/* report: the machine-readable files; see report.h. */
#include "bench/compare/report.h"

#include <math.h>
#include <string.h>

#include "model/families/family.h"
#include "bench/compare/output.h"
#include "bench/util/number_json.h"
#include "bench/compare/rounds.h"

enum { SCHEMA = 1 };

static void columns_of(const Comparison *c, const CellEntry *r, Columns *out)
{
    const CompareCell *cell = r->cell;
    bool ratio = cell_entry_shows_ratio(c, r);
    double gflops = r->entry.claim.gflops;
    *out = (Columns){.count = 0};
    column_text(out, "component", cell->component->name);
    column_text(out, "model", c->config->models[cell->model].name);
    column_count(out, "batch_size", cell->batch_size);
    column_count(out, "seq_len", cell->seq_len);
    column_text(out, "implementation", r->implementation->name);
    column_real(out, "median_ms", r->entry.median_ms);
    column_real(out, "median_lo_ms", r->entry.interval.lo);
    column_real(out, "median_hi_ms", r->entry.interval.hi);
    column_real(out, "ratio", ratio ? r->entry.ratio.ratio : NAN);
    column_real(out, "ratio_lo", ratio ? r->entry.ratio.interval.lo : NAN);
    column_real(out, "ratio_hi", ratio ? r->entry.ratio.interval.hi : NAN);
    column_real(out, "parity_max_abs", r->entry.has_parity ? r->entry.parity.max_abs : NAN);
    if (r->entry.has_parity)
        column_bool(out, "parity_ok", r->entry.parity.ok);
    else
        column_empty(out, "parity_ok");
    column_real(out, "empty_call_ms", r->implementation->empty_call_ms);
    column_count(out, "rounds", r->entry.rounds);
    column_text(out, "status", entry_state_names[cell_entry_state(c, r)]);
    column_real(out, "gflops_per_s", gflops);
    column_real(out, "peak_fraction", entry_peak_fraction(&r->entry, session_peaks(&c->session)));
    column_real(out, "bytes_per_s",
                r->input_bytes ? (double)r->input_bytes / (r->entry.median_ms / 1e3) : NAN);
    column_count(out, "peak_rss_bytes", r->peak_rss_bytes);
}

/* ---- CSV ---- */

static void write_csv(const void *comparison, time_t started, FILE *f)
{
    (void)started;
    const Comparison *c = comparison;
    for (size_t i = 0; i < c->num_records; i++) {
        Columns columns;
        columns_of(c, &c->records[i], &columns);
        if (i == 0)
            columns_write_header(&columns, f);
        columns_write_record(&columns, f);
    }
}

/* ---- JSON ---- */

static json_t *cell_entry_json(const Comparison *c, const CellEntry *r)
{
    Columns columns;
    columns_of(c, r, &columns);
    json_t *object = columns_to_json(&columns), *samples = json_array();
    for (size_t i = 0; i < r->entry.rounds; i++)
        json_array_append_new(samples, json_real(r->entry.ms[i]));
    json_object_set_new(object, "samples_ms", samples);
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
    return object;
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

static void write_json(const void *comparison, time_t started, FILE *f)
{
    const Comparison *c = comparison;
    json_t *records = json_array(), *all = system_info(started);
    for (size_t i = 0; i < c->num_records; i++)
        json_array_append_new(records, cell_entry_json(c, &c->records[i]));
    json_t *rest = json_pack(
        "{s:i, s:s, s:o, s:I, s:I, s:f, s:f, s:o, s:o, s:o, s:o, s:o}", "schema", SCHEMA, "name",
        c->config->name, "other_cpus_before", number_json(c->session.other_cpus), "threads",
        (json_int_t)c->config->threads, "seed", (json_int_t)c->config->seed, "parity_tolerance",
        parity_tolerance, "sample_min_ms", TURN_NS / 1e6, "peaks",
        peaks_to_json(session_peaks(&c->session)), "models", models_json(c), "implementations",
        implementations_to_json(c->session.implementations), "left_out",
        implementations_left_out(c->session.implementations), "records", records);
    CHECK(rest, "a comparison that is no JSON");
    json_object_update(all, rest);
    json_decref(rest);
    json_dumpf(all, f, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    fputc('\n', f);
    json_decref(all);
}

int compare_report_write(const Comparison *c, const char *folder, time_t started, Err *err)
{
    const ReportWriters writers = {write_json, write_csv, compare_report_markdown};
    return report_files_write(folder, started, &writers, c, err);
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
