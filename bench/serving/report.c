/* report: the machine-readable files; see report.h. */
#include "bench/serving/report.h"

#include <math.h>
#include <stdlib.h>

#include "bench/compare/output.h"
#include "bench/util/number_json.h"
#include "bench/serving/score.h"

enum { SCHEMA = 1 };

const char *serving_entry_name(const ServingEntry *c)
{
    return c->implementation->name;
}

/* ---- one implementation as columns ---- */

/* Names of a set's accuracy columns. */
static const struct {
    const char *texts, *right, *share, *lo, *hi;
} set_columns[NUM_SETS] = {
    [SET_BENCHMARK] = {"benchmark_texts", "benchmark_right", "benchmark_accuracy",
                       "benchmark_accuracy_lo", "benchmark_accuracy_hi"},
    [SET_VALIDATION] = {"validation_texts", "validation_right", "validation_accuracy",
                        "validation_accuracy_lo", "validation_accuracy_hi"},
    [SET_TEST] = {"test_texts", "test_right", "test_accuracy", "test_accuracy_lo",
                  "test_accuracy_hi"},
};

/* The columns that every record of `tare compare` begins with. */
static void common_columns(const Serving *s, const ServingEntry *c, Columns *out)
{
    column_text(out, "component", component_find("classify")->name);
    column_text(out, "model", s->config->name);
    column_count(out, "batch_size", 1);
    column_empty(out, "seq_len");
    column_text(out, "implementation", serving_entry_name(c));
    column_real(out, "median_ms", c->latency.median);
    column_real(out, "median_lo_ms", c->entry.interval.lo);
    column_real(out, "median_hi_ms", c->entry.interval.hi);
    column_real(out, "ratio", c->entry.ratio.ratio);
    column_real(out, "ratio_lo", c->entry.ratio.interval.lo);
    column_real(out, "ratio_hi", c->entry.ratio.interval.hi);
    column_real(out, "parity_max_abs", c->entry.has_parity ? c->entry.parity.max_abs : NAN);
    if (c->entry.has_parity)
        column_bool(out, "parity_ok", c->entry.parity.ok);
    else
        column_empty(out, "parity_ok");
    column_real(out, "empty_call_ms", c->implementation->empty_call_ms);
    column_count(out, "rounds", c->entry.rounds);
    column_text(out, "status", entry_state_names[serving_entry_state(s, c)]);
    column_real(out, "gflops_per_s", c->entry.claim.gflops);
    column_real(out, "peak_fraction", entry_peak_fraction(&c->entry, session_peaks(&s->session)));
}

static void score_columns(const Serving *s, const ServingEntry *c, ServingSet set, Columns *out)
{
    Score score = {.share = NAN, .interval = interval_missing()};
    if (c->labels)
        score = score_of(&s->sets[set], c->labels + serving_first(s, set), NULL);
    column_count(out, set_columns[set].texts, score.total);
    column_real(out, set_columns[set].right, score.total ? (double)score.right : NAN);
    column_real(out, set_columns[set].share, score.share);
    column_real(out, set_columns[set].lo, score.interval.lo);
    column_real(out, set_columns[set].hi, score.interval.hi);
}

static void columns_of(const Serving *s, const ServingEntry *c, Columns *out)
{
    const Summary *l = &c->latency;
    const int32_t *ours = s->entries[0].labels;
    bool both = c->labels && ours;
    *out = (Columns){.count = 0};
    common_columns(s, c, out);
    column_count(out, "requests", l->n);
    column_real(out, "mean_ms", l->mean);
    column_real(out, "std_ms", l->std);
    column_real(out, "cv", l->cv);
    column_real(out, "min_ms", l->min);
    column_real(out, "max_ms", l->max);
    column_real(out, "p95_ms", l->p95);
    column_real(out, "p99_ms", l->p99);
    column_real(out, "text_p99_ratio", c->text_p99);
    column_real(out, "requests_per_s", 1e3 / l->mean);
    column_real(out, "tokenizer_share", c->tokenizer_share);
    column_real(out, "start_ms", c->labels ? c->start_ms : NAN);
    column_real(out, "load_ms", c->labels ? c->load_ms : NAN);
    column_real(out, "first_request_ms", c->labels ? c->first_ms : NAN);
    for (ServingSet set = 0; set < NUM_SETS; set++)
        score_columns(s, c, set, out);
    column_real(out, "agreement_with_tare",
                both ? (double)agreements(c->labels, ours, s->num_texts) / (double)s->num_texts
                     : NAN);
}

static void write_csv(const void *sentiment, time_t started, FILE *f)
{
    (void)started;
    const Serving *s = sentiment;
    for (size_t i = 0; i < s->count; i++) {
        Columns columns;
        columns_of(s, &s->entries[i], &columns);
        if (i == 0)
            columns_write_header(&columns, f);
        columns_write_record(&columns, f);
    }
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

static json_t *cell_entry_json(const Serving *s, const ServingEntry *c)
{
    Columns columns;
    columns_of(s, c, &columns);
    json_t *object = columns_to_json(&columns), *samples = json_array();
    for (size_t i = 0; i < c->latency.n; i++)
        json_array_append_new(samples, json_real(c->ms[i]));
    json_object_set_new(object, "samples_ms", samples);
    json_object_set_new(object, "categories", categories_json(s, c));
    if (c->entry.has_parity) {
        json_object_set_new(object, "parity_max_rel", json_real(c->entry.parity.max_rel));
        json_object_set_new(object, "parity_reason", json_string(c->entry.parity.reason));
    }
    json_object_set_new(object, "failure", json_string(c->entry.failure.msg));
    return object;
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

static void write_json(const void *sentiment, time_t started, FILE *f)
{
    const Serving *s = sentiment;
    json_t *records = json_array(), *all = system_info(started);
    for (size_t i = 0; i < s->count; i++)
        json_array_append_new(records, cell_entry_json(s, &s->entries[i]));
    json_t *rest = json_pack(
        "{s:i, s:s, s:s, s:o, s:o, s:o, s:{s:s, s:s}, s:o, s:o, s:o, s:o, s:o, s:o}", "schema",
        SCHEMA, "task", "sentiment", "name", s->config->name, "other_cpus_before",
        number_json(s->session.other_cpus), "config", config_json(s), "peaks",
        peaks_to_json(session_peaks(&s->session)), "model", "dir", s->model.dir, "sha256",
        s->model.sha256, "implementations", implementations_to_json(s->session.implementations),
        "left_out", implementations_left_out(s->session.implementations), "records", records,
        "agreement", agreement_json(s), "disagreements", disagreements_json(s), "findings",
        serving_findings(s));
    CHECK(rest, "a comparison that is no JSON");
    json_object_update(all, rest);
    json_decref(rest);
    json_dumpf(all, f, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    fputc('\n', f);
    json_decref(all);
}

int serving_report_write(const Serving *s, const char *folder, time_t started, Err *err)
{
    const ReportWriters writers = {write_json, write_csv, serving_report_markdown};
    return report_files_write(folder, started, &writers, s, err);
}
