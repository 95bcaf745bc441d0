/* markdown: the report for people; see report.h. */
#include <math.h>
#include <stdlib.h>

#include "bench/compare/output.h"
#include "bench/serving/report.h"
#include "bench/serving/score.h"
#include "bench/util/fields.h"
#include "bench/util/table.h"

/* ---- cells ---- */

static void add_name(Table *t, const ServingEntry *c)
{
    table_printf(t, "**%s**", serving_entry_name(c));
}

static void add_score(Table *t, const Score *s)
{
    if (s->total == 0)
        table_text(t, NULL);
    else
        table_printf(t, "%.1f %% (%zu of %zu) [%.1f, %.1f]", 100 * s->share, s->right, s->total,
                     100 * s->interval.lo, 100 * s->interval.hi);
}

/* One column for each implementation behind those of `first`. */
static Table table_by_implementation(const Serving *s, const char *first, FILE *f)
{
    Table t = table_new(f, TABLE_MARKDOWN, first);
    for (size_t i = 0; i < s->count; i++)
        table_columns(&t, serving_entry_name(&s->entries[i]), TABLE_ALWAYS);
    return t;
}

/* ---- sections ---- */

static Score score_in(const Serving *s, const ServingEntry *c, ServingSet set, const char *category)
{
    if (!c->labels)
        return (Score){.share = NAN};
    return score_of(&s->sets[set], c->labels + serving_first(s, set), category);
}

static void write_head(const Serving *s, time_t started, FILE *f)
{
    const ServingConfig *c = s->config;
    const ModelConfig *m = &s->model.config;
    fprintf(f, "# Serving Benchmark: %s\n\n", c->name);
    system_info_print(started, c->threads, f);
    other_cpus_print(s->session.other_cpus, f);
    implementations_print(s->session.implementations, f);
    fprintf(f, "**Model:** %s (dim=%zu, layers=%zu, vocab=%zu), sha256 %.16s\n", s->model.dir,
            m->d_model, m->num_layers, m->vocab_size, s->model.sha256);
    fprintf(f, "**Requests:** %zu samples x %lld rounds, after %lld warmups\n",
            s->sets[SET_BENCHMARK].count, (long long)c->rounds, (long long)c->warmups);
}

static void add_speedup(Table *t, const ServingEntry *c, EntryState state)
{
    const Interval *i = &c->entry.ratio.interval;
    if (state != ENTRY_OK)
        table_printf(t, "**%s**", entry_state_names[state]);
    else if (isnan(c->entry.ratio.ratio))
        table_text(t, NULL);
    else if (isnan(i->lo))
        table_printf(t, "%.2fx (too few rounds)", 1 / c->entry.ratio.ratio);
    else
        table_printf(t, "%.2fx [%.2f, %.2f]", 1 / c->entry.ratio.ratio, 1 / i->hi, 1 / i->lo);
}

static void write_latency(const Serving *s, FILE *f)
{
    fprintf(f, "\n## Key Findings\n\n");
    Table t = table_new(f, TABLE_MARKDOWN,
                        "Implementation|Mean Latency|Median (ms)[]|P95 Latency|P99 Latency|"
                        "Throughput|CV|Validation Accuracy|Tokenizer Share|peak_fraction|"
                        "tare Is Faster By");
    for (size_t i = 0; i < s->count; i++) {
        const ServingEntry *c = &s->entries[i];
        const Summary *l = &c->latency;
        add_name(&t, c);
        table_value(&t, "%.4g ms", l->mean);
        table_interval(&t, "%.4g", l->median, c->entry.interval.lo, c->entry.interval.hi);
        table_value(&t, "%.4g ms", l->p95);
        table_value(&t, "%.4g ms", l->p99);
        table_value(&t, "%.4g req/s", 1e3 / l->mean);
        table_value(&t, "%.2f", l->cv);
        table_value(&t, "%.1f%%", 100 * score_in(s, c, SET_VALIDATION, NULL).share);
        table_value(&t, "%.2g%%", 100 * c->tokenizer_share);
        table_value(&t, "%.2f", entry_peak_fraction(&c->entry, session_peaks(&s->session)));
        add_speedup(&t, c, serving_entry_state(s, c));
        table_row_end(&t);
    }
    table_end(&t);
}

static void write_findings(const Serving *s, FILE *f)
{
    json_t *findings = serving_findings(s), *sentence;
    size_t i;
    fputc('\n', f);
    json_array_foreach (findings, i, sentence)
        fprintf(f, "- %s\n", json_string_value(sentence));
    json_decref(findings);
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
    for (size_t i = 0; i < s->count; i++) {
        const ServingEntry *c = &s->entries[i];
        add_name(&t, c);
        if (c->labels) {
            table_value(&t, "%.4g ms", c->start_ms);
            table_value(&t, "%.4g ms", c->load_ms);
            table_value(&t, "%.4g ms", c->first_ms);
            table_value(&t, "%.1f", c->first_ms / c->latency.median);
        }
        table_row_end(&t);
    }
    table_end(&t);
}

/* The scores of all implementations in a set, or in one category of it. */
static void add_scores(Table *t, const Serving *s, ServingSet set, const char *category)
{
    for (size_t k = 0; k < s->count; k++) {
        Score score = score_in(s, &s->entries[k], set, category);
        add_score(t, &score);
    }
    table_row_end(t);
}

static void write_categories(const Serving *s, ServingSet set, FILE *f)
{
    size_t count;
    const char **names = categories_of(&s->sets[set], &count);
    Table t = table_by_implementation(s, "Category|Texts", f);
    if (count > 0)
        fprintf(f, "\n### Per category: %s\n\n", serving_set_names[set]);
    for (size_t i = 0; i < count; i++) {
        size_t texts = score_in(s, &s->entries[0], set, names[i]).total;
        table_text(&t, names[i]);
        table_int(&t, texts ? (int64_t)texts : INT_MISSING);
        add_scores(&t, s, set, names[i]);
    }
    table_end(&t);
    free(names);
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
        const int32_t *a = s->entries[i].labels;
        add_name(&t, &s->entries[i]);
        for (size_t k = 0; k < s->count; k++) {
            const int32_t *b = s->entries[k].labels;
            double equal = a && b ? (double)agreements(a, b, s->num_texts) : NAN;
            table_value(&t, "%.2f%%", 100 * equal / (double)s->num_texts);
        }
        table_row_end(&t);
    }
    table_end(&t);
}

static void write_parity(const Serving *s, FILE *f)
{
    fprintf(f,
            "\n## Parity\n\nToken counts and logits of all texts against tare's; a logit may "
            "differ by\n"
            "%g of the largest. Without parity no speed-up is shown.\n\n",
            parity_tolerance);
    Table t = table_new(f, TABLE_MARKDOWN, "Implementation|Max Diff|Of the Largest|Verdict");
    for (size_t i = 1; i < s->count; i++) {
        const ServingEntry *c = &s->entries[i];
        add_name(&t, c);
        table_value(&t, "%.1e", c->entry.has_parity ? c->entry.parity.max_abs : NAN);
        table_value(&t, "%.1e", c->entry.has_parity ? c->entry.parity.max_rel : NAN);
        if (c->entry.failure.msg[0])
            table_printf(&t, "**not measured**: %s", c->entry.failure.msg);
        else if (!c->entry.has_parity)
            table_text(&t, "**not proven**: tare failed");
        else if (c->entry.parity.ok)
            table_text(&t, "**PASS**");
        else
            table_printf(&t, "**FAILED**: %s", c->entry.parity.reason);
        table_row_end(&t);
    }
    table_end(&t);
}

void serving_report_markdown(const void *sentiment, time_t started, FILE *f)
{
    const Serving *s = sentiment;
    write_head(s, started, f);
    write_latency(s, f);
    write_findings(s, f);
    write_cold(s, f);
    write_accuracy(s, f);
    write_agreement(s, f);
    write_parity(s, f);
}
