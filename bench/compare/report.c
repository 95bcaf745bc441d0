/* report: the columns, the JSON and the Markdown of a comparison; see cell.h. */
#include "bench/compare/cell.h"

#include <math.h>
#include <stdlib.h>

#include "model/families/family.h"

enum { SCHEMA = 1 };

static const char *model_name(const Comparison *c, const CellEntry *r)
{
    return c->config->models[r->cell->model].name;
}

static double bytes_per_s(const CellEntry *r)
{
    return r->input_bytes ? (double)r->input_bytes / (r->entry.median_ms / 1e3) : NAN;
}

/* Of all sequences; NaN of what is no decoder. */
static double tokens_per_s(const CellEntry *r)
{
    const CompareCell *cell = r->cell;
    double tokens = (double)(cell->batch_size * (cell->n_gen ? cell->n_gen : cell->seq_len));
    return cell->component->kind == COMPONENT_DECODER ? tokens / (r->entry.median_ms / 1e3) : NAN;
}

/* ---- columns ---- */

typedef struct CompareRecord {
    EntryRecord entry;
    FieldREAL bytes_per_s; /* of a tokenizer's texts */
    FieldINT peak_rss_bytes;
    FieldINT n_gen;
    FieldREAL tokens_per_s; /* of a decoder: read by prefill, written by decode */
    FieldREAL start_ms, load_ms, first_call_ms;
} CompareRecord;

static const Field fields[] = {
#define ENTRY ENTRY_FIELD
#include "bench/compare/fields.def"
#undef ENTRY
    FIELD(CompareRecord, REAL, "bytes_per_s", bytes_per_s, .digits = REPORT_DIGITS),
    FIELD(CompareRecord, INT, "peak_rss_bytes", peak_rss_bytes, .digits = 0),
    FIELD(CompareRecord, INT, "n_gen", n_gen, .digits = 0),
    FIELD(CompareRecord, REAL, "tokens_per_s", tokens_per_s, .digits = REPORT_DIGITS),
    FIELD(CompareRecord, REAL, "start_ms", start_ms, .digits = REPORT_DIGITS),
    FIELD(CompareRecord, REAL, "load_ms", load_ms, .digits = REPORT_DIGITS),
    FIELD(CompareRecord, REAL, "first_call_ms", first_call_ms, .digits = REPORT_DIGITS),
};
static const Schema schema = {"a record", fields, COUNT_OF(fields), sizeof(CompareRecord)};

static void fill_record(const void *comparison, size_t i, void *record)
{
    const Comparison *c = comparison;
    const CellEntry *r = &c->records[i];
    CompareRecord *out = record;
    entry_record_fill(&out->entry, &c->session, &r->entry, cell_entry_shows_ratio(c, r));
    text_set(out->entry.component, r->cell->component->name);
    text_set(out->entry.model, model_name(c, r));
    out->entry.batch_size = int_unless_zero(r->cell->batch_size);
    out->entry.seq_len = int_unless_zero(r->cell->seq_len);
    out->bytes_per_s = bytes_per_s(r);
    out->peak_rss_bytes = int_unless_zero(r->peak_rss_bytes);
    out->n_gen = int_unless_zero(r->cell->n_gen);
    out->tokens_per_s = tokens_per_s(r);
    out->start_ms = r->entry.implementation->start_ms;
    out->load_ms = r->load_ms;
    out->first_call_ms = r->first_call_ms;
}

/* ---- JSON ---- */

/* NULL, which leaves the key out, where it is not known. */
static json_t *if_known(double value, bool known)
{
    return known ? json_real(value) : NULL;
}

/* Its lines, with the times of the runs alone of what else it has of them. */
static json_t *profile_details(const Profile *p)
{
    size_t n;
    OWNED double *ms = samples_values(&p->runs, ALL_RUNS, "wall_ns", 1e-6, &n);
    json_t *object = profile_to_json(p);
    json_object_set_new(object, "runs", numbers_json(ms, n));
    return object;
}

static json_t *record_details(const void *comparison, size_t i)
{
    const CellEntry *r = &((const Comparison *)comparison)->records[i];
    const Entry *e = &r->entry;
    bool interval = e->rounds > 0 && !isnan(e->interval.lo);
    bool tested = cell_entry_shows_ratio(comparison, r) && !isnan(e->ratio.interval.lo);
    return json_pack(
        "{s:o, s:I, s:b, s:b, s:o*, s:o*, s:o*, s:o*, s:o*, s:o*, s:o*, s:o*, s:o*, s:o*}",
        "samples_ms", numbers_json(e->ms, e->rounds), "calls_per_sample", (json_int_t)r->calls,
        "untimed_call_before", (int)r->warm_call, "fresh_process", (int)r->cell->fresh_process,
        "texts", r->cell->texts ? json_string(r->cell->texts) : NULL, "median_coverage",
        if_known(e->interval.coverage, interval), "ratio_coverage",
        if_known(e->ratio.interval.coverage, tested), "ratio_p", if_known(e->ratio.p, tested),
        "parity_max_rel", if_known(e->parity.max_rel, e->has_parity && *e->parity.worst),
        "parity_max_rms", if_known(e->parity.max_rms, e->has_parity && *e->parity.worst),
        "parity_tolerance", if_known(e->parity.tolerance, e->has_parity), "parity_reason",
        e->has_parity ? json_string(e->parity.reason) : NULL, "failure",
        json_string(e->failure.msg), "profile",
        r->profile.runs.count ? profile_details(&r->profile) : NULL);
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

/* ---- Markdown: parity and memory ---- */

static void write_parity(const Comparison *c, FILE *f)
{
    parity_rule_print("1. Correctness Verification",
                      "token ids, hidden states, or the loss and gradients", f);
    Table t = table_new(f, TABLE_MARKDOWN,
                        "Model|Dimensions|Layers|Vocab|Component|Batch Size|Sequence Length|"
                        "Against|Max Diff|Verdict");
    for (size_t i = 0; i < c->num_records; i++) {
        const CellEntry *r = &c->records[i];
        const Component *component = r->cell->component;
        const ModelConfig *m = &c->models[r->cell->model].config;
        const Parity *p = &r->entry.parity;
        bool failed = entry_failed(&r->entry);
        if (r == cell_entry_ours(c, r) && !failed && !r->entry.has_parity)
            continue;
        char passed[96];
        if (!*p->worst)
            snprintf(passed, sizeof passed, "ids %s", p->nearly ? "nearly the likeliest" : "equal");
        else if (component->tolerance > 0)
            snprintf(passed, sizeof passed, "%.1e by root mean square", p->max_rms);
        else
            snprintf(passed, sizeof passed, "%.1e of the largest value", p->max_rel);
        table_cells(&t, "**%s**|dim=%zu|%" PRId64 "|%" PRId64 "|%s|%" PRId64 "|%" PRId64 "|%s|%.3g",
                    model_name(c, r), m->d_model, int_unless_zero(m->num_layers),
                    int_unless_zero(m->vocab_size), component->title,
                    int_unless_zero(r->cell->batch_size), int_unless_zero(r->cell->seq_len),
                    r->entry.implementation->name,
                    r->entry.has_parity && !failed ? r->entry.parity.max_abs : NAN);
        add_parity_verdict(&t, &r->entry, passed);
        table_row_end(&t);
    }
    table_end(&t);
}

/* Of cells whose turns are processes of their own; others hold what earlier cells left. */
static void write_memory(const Comparison *c, FILE *f)
{
    Table t = table_new(f, TABLE_MARKDOWN,
                        "Model|Component|Batch Size|Sequence Length|Implementation|MiB|"
                        "tare's share");
    table_heading(&t, "\n## 3. Peak Memory\n\n"
                      "Of a whole process that loads the model and makes two calls (VmHWM).\n");
    for (size_t i = 0; i < c->num_records; i++) {
        const CellEntry *r = &c->records[i], *ours = cell_entry_ours(c, r);
        double bytes = (double)r->peak_rss_bytes, own = (double)ours->peak_rss_bytes;
        bool compared = session_state(&c->session, &r->entry) == ENTRY_OK &&
                        session_state(&c->session, &ours->entry) == ENTRY_OK;
        if (bytes > 0)
            table_row(&t, "**%s**|%s|%" PRId64 "|%" PRId64 "|%s|%.0f|%.2f", model_name(c, r),
                      r->cell->component->title, int_unless_zero(r->cell->batch_size),
                      int_unless_zero(r->cell->seq_len), r->entry.implementation->name,
                      bytes / (1 << 20), r != ours && own > 0 && compared ? own / bytes : NAN);
    }
    table_end(&t);
}

/* Of decoders, which people start anew for a prompt. */
static void write_cold(const Comparison *c, FILE *f)
{
    Table t = table_new(f, TABLE_MARKDOWN,
                        "Model|Component|Batch Size|Sequence Length|Implementation|start|load|"
                        "first call|tokens/s");
    table_heading(&t, "\n## 4. Cold Start\n\n"
                      "In ms: until the process answers, until the model is loaded, the first call "
                      "after that.\n");
    for (size_t i = 0; i < c->num_records; i++) {
        const CellEntry *r = &c->records[i];
        if (r->cell->component->kind == COMPONENT_DECODER)
            table_row(&t, "**%s**|%s|%" PRId64 "|%" PRId64 "|%s|%.4g|%.4g|%.4g|%.4g",
                      model_name(c, r), r->cell->component->title,
                      int_unless_zero(r->cell->batch_size), int_unless_zero(r->cell->seq_len),
                      r->entry.implementation->name, r->entry.implementation->start_ms, r->load_ms,
                      r->first_call_ms, tokens_per_s(r));
    }
    table_end(&t);
}

/* ---- Markdown: a profile ---- */

static void write_profile(const Comparison *c, const CellEntry *r, FILE *f)
{
    const ModelConfig *m = &c->models[r->cell->model].config;
    const Precision precision = r->cell->component->precision;
    const Peaks *peaks = session_peaks(&c->session);
    char name[COMPARE_CELL_NAME];
    compare_cell_name(c->config, r->cell, name);
    fprintf(f, "\n### %s\n\n", name);
    profile_print(
        &r->profile,
        &(ProfileBeside){.plain_ms = r->entry.ms,
                         .num_plain = r->entry.rounds,
                         .peak_gflops_per_s =
                             peaks ? peaks_of_product(peaks, precision_product(precision)) : NAN,
                         .precision = precision_name(precision),
                         .threads = c->config->threads,
                         .num_params = (int64_t)model_num_params(m),
                         .head_dim = (int64_t)model_heads(m).channels},
        TABLE_MARKDOWN, f);
}

static void write_profiles(const Comparison *c, FILE *f)
{
    bool any = false;
    for (size_t i = 0; i < c->num_records; i++) {
        const CellEntry *r = &c->records[i];
        if (r->profile.runs.count == 0)
            continue;
        if (!any)
            fputs("\n## 5. Where Tare's Time Goes\n\n"
                  "More calls of tare behind the turns of each cell, with a stamp after every "
                  "step; per call.\n",
                  f);
        any = true;
        write_profile(c, r, f);
    }
}

/* ---- Markdown: times ---- */

/* The records of one cell stand together, ours first. */
static size_t end_of_cell(const Comparison *c, size_t first)
{
    size_t end = first;
    while (end < c->num_records && c->records[end].cell == c->records[first].cell)
        end++;
    return end;
}

static void add_time(Table *t, const CellEntry *r, double best)
{
    const Entry *e = r ? &r->entry : NULL;
    if (!e || e->rounds == 0)
        table_text(t, NULL);
    else if (e->median_ms != best)
        table_cells(t, "%.4g [%.4g, %.4g]", e->median_ms, e->interval.lo, e->interval.hi);
    else if (isnan(e->interval.lo))
        table_cells(t, "**%.4g**", best);
    else
        table_cells(t, "**%.4g** [%.4g, %.4g]", best, e->interval.lo, e->interval.hi);
}

/* Ratio to words, or why there is none. */
static void add_speedup(Table *t, const Comparison *c, const CellEntry *r)
{
    double ratio = r ? r->entry.ratio.ratio : NAN, lo = r ? r->entry.ratio.interval.lo : NAN,
           hi = r ? r->entry.ratio.interval.hi : NAN;
    EntryState state = r ? session_state(&c->session, &r->entry) : ENTRY_OK;
    if (state != ENTRY_OK)
        table_text(t, state == ENTRY_DIFFERS ? "parity FAILED" : entry_state_names[state]);
    else if (!r || !cell_entry_shows_ratio(c, r))
        table_text(t, r ? "-" : NULL);
    else if (lo <= 1 && hi >= 1)
        table_cells(t, "no clear difference [%.2f, %.2f]", 1 / hi, 1 / lo);
    else if (isnan(lo))
        table_cells(t, "%.2fx %s (too few rounds)", ratio < 1 ? 1 / ratio : ratio,
                    ratio < 1 ? "Faster" : "Slower");
    else if (ratio < 1)
        table_cells(t, "**%.2fx Faster** [%.2f, %.2f]", 1 / ratio, 1 / hi, 1 / lo);
    else
        table_cells(t, "%.2fx Slower [%.2f, %.2f]", ratio, lo, hi);
}

/* Of the machine's peak, or a tokenizer's bytes a second. */
static void add_share(Table *t, const Comparison *c, const CellEntry *r)
{
    double share = r ? entry_peak_fraction(&r->entry, session_peaks(&c->session)) : NAN;
    if (r && r->entry.rounds > 0 && r->input_bytes > 0)
        table_cells(t, "%.3g MB/s", bytes_per_s(r) / 1e6);
    else if (r && session_state(&c->session, &r->entry) == ENTRY_IMPLAUSIBLE)
        table_cells(t, "%.2g **%s**", share, entry_state_names[ENTRY_IMPLAUSIBLE]);
    else
        table_cells(t, "%.2g", share);
}

/* A row from record `first` on, three groups of cells for the implementations. */
static void add_times(Table *t, const Comparison *c, size_t first)
{
    const CompareCell *cell = c->records[first].cell;
    const CellEntry *of[NUM_IMPLEMENTATIONS] = {NULL}; /* NULL: took no part */
    double best = INFINITY;
    for (size_t i = first; i < end_of_cell(c, first); i++) {
        of[c->records[i].entry.implementation - c->session.implementations] = &c->records[i];
        if (session_state(&c->session, &c->records[i].entry) == ENTRY_OK)
            best = fmin(best, c->records[i].entry.median_ms);
    }
    table_cells(t, "**%s**|%" PRId64 "|%" PRId64, cell->component->title,
                int_unless_zero(cell->batch_size), int_unless_zero(cell->seq_len));
    for (size_t k = 0; k < NUM_IMPLEMENTATIONS; k++)
        add_time(t, of[k], best);
    for (size_t k = 1; k < NUM_IMPLEMENTATIONS; k++)
        add_speedup(t, c, of[k]);
    for (size_t k = 0; k < NUM_IMPLEMENTATIONS; k++)
        add_share(t, c, of[k]);
    table_row_end(t);
}

/* A column for each implementation, shown where it has a value. */
static void add_columns(Table *t, const char *before, const char *after, size_t from)
{
    for (size_t k = from; k < NUM_IMPLEMENTATIONS; k++) {
        OWNED char *name = xasprintf("%s%s%s", before, implementation_names[k], after);
        table_columns(t, name, TABLE_IF_KNOWN);
    }
}

static void write_times(const Comparison *c, size_t model, FILE *f)
{
    const ModelConfig *m = &c->models[model].config;
    Table t = table_new(f, TABLE_MARKDOWN, "Component|Batch Size|Sequence Length");
    table_heading(&t, "\n### %s (dim=%zu, layers=%zu)\n", c->config->models[model].name, m->d_model,
                  m->num_layers);
    add_columns(&t, "", " (ms)[]", 0);
    add_columns(&t, "tare vs ", "", 1);
    add_columns(&t, "", " peak_fraction (or MB/s)", 0);
    for (size_t i = 0; i < c->num_records; i = end_of_cell(c, i))
        if (c->records[i].cell->model == model)
            add_times(&t, c, i);
    table_end(&t);
}

static void write_method(const Comparison *c, FILE *f)
{
    fprintf(f,
            "\n## 2. Performance Benchmarks\n\n"
            "All implementations took turns in one run, on the same threads. Median of the rounds\n"
            "with its 95 %% interval, in ms a call; a sample of a short call is the mean over at\n"
            "least %g ms of calls. The speed-up is paired by round, its interval widened for the\n"
            "number of implementations; where that contains 1 there is no clear difference.\n",
            TURN_NS / 1e6);
    const Peaks *p = session_peaks(&c->session);
    if (p)
        fprintf(
            f,
            "`peak_fraction` is model FLOPs over the median, as a share of %.4g GFLOP/s, the\n"
            "highest fp32 rate that these threads reached in this run (multiply-adds from\n"
            "registers %.4g, a matrix product %.4g); above %.4g nothing is believed. That of BF16\n"
            "and mixed is a share of %.4g, INT8's of %.4g, Q8_0's of %.4g: the rates of such\n"
            "products where an instruction multiplies them.\n",
            peaks_measured(p), p->fma, p->gemm, peaks_limit(p), peaks_of_product(p, DT_BF16),
            peaks_of_product(p, DT_I8), peaks_of_product(p, DT_Q8_0));
}

static void write_markdown(const void *comparison, time_t started, FILE *f)
{
    const Comparison *c = comparison;
    session_print(&c->session, "Benchmark Results", c->config->name, started, f);
    write_parity(c, f);
    write_method(c, f);
    for (size_t m = 0; m < c->config->num_models; m++)
        write_times(c, m, f);
    write_memory(c, f);
    write_cold(c, f);
    write_profiles(c, f);
}

const Report compare_report = {&schema, fill_record, record_details, make_document, write_markdown};
