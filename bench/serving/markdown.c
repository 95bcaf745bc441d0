/* markdown: the report for people; see report.h. */
#include <math.h>
#include <stdlib.h>

#include "bench/compare/output.h"
#include "bench/serving/report.h"
#include "bench/serving/score.h"

/* ---- table cells; a missing value is a dash ---- */

/* With its unit, as in "12.3 ms". */
static void write_value(const char *format, double value, FILE *f)
{
    if (isnan(value)) {
        fprintf(f, " - |");
        return;
    }
    fputc(' ', f);
    fprintf(f, format, value);
    fprintf(f, " |");
}

static void write_score(const Score *s, FILE *f)
{
    if (s->total == 0)
        fprintf(f, " - |");
    else
        fprintf(f, " %.1f %% (%zu of %zu) [%.1f, %.1f] |", 100 * s->share, s->right, s->total,
                100 * s->interval.lo, 100 * s->interval.hi);
}

static void write_table_head(const char *const *columns, size_t count, FILE *f)
{
    fputc('|', f);
    for (size_t i = 0; i < count; i++)
        fprintf(f, " %s |", columns[i]);
    fputs("\n|", f);
    for (size_t i = 0; i < count; i++)
        fputs("---|", f);
    fputc('\n', f);
}

/* One column for each implementation behind those of `first`. */
static void write_head_by_implementation(const Serving *s, const char *const *first, size_t count,
                                         FILE *f)
{
    const char *columns[4 + NUM_IMPLEMENTATIONS];
    CHECK(count <= 4, "%zu columns", count);
    for (size_t i = 0; i < count; i++)
        columns[i] = first[i];
    for (size_t i = 0; i < s->count; i++)
        columns[count + i] = serving_entry_name(&s->entries[i]);
    write_table_head(columns, count + s->count, f);
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
    fprintf(f, "**Requests:** %zu samples x %lld rounds, after %lld warmups\n\n",
            s->sets[SET_BENCHMARK].count, (long long)c->rounds, (long long)c->warmups);
}

static void write_speedup(const ServingEntry *c, EntryState state, FILE *f)
{
    const Interval *i = &c->entry.ratio.interval;
    if (state != ENTRY_OK)
        fprintf(f, " **%s** |", entry_state_names[state]);
    else if (isnan(c->entry.ratio.ratio))
        fprintf(f, " - |");
    else if (isnan(i->lo))
        fprintf(f, " %.2fx (too few rounds) |", 1 / c->entry.ratio.ratio);
    else
        fprintf(f, " %.2fx [%.2f, %.2f] |", 1 / c->entry.ratio.ratio, 1 / i->hi, 1 / i->lo);
}

static void write_latency(const Serving *s, FILE *f)
{
    static const char *const columns[] = {"Implementation",
                                          "Mean Latency",
                                          "Median (ms)",
                                          "P95 Latency",
                                          "P99 Latency",
                                          "Throughput",
                                          "CV",
                                          "Validation Accuracy",
                                          "Tokenizer Share",
                                          "peak_fraction",
                                          "tare Is Faster By"};
    fprintf(f, "## Key Findings\n\n");
    write_table_head(columns, COUNT_OF(columns), f);
    for (size_t i = 0; i < s->count; i++) {
        const ServingEntry *c = &s->entries[i];
        const Summary *l = &c->latency;
        Score validation = score_in(s, c, SET_VALIDATION, NULL);
        fprintf(f, "| **%s** |", serving_entry_name(c));
        write_value("%.4g ms", l->mean, f);
        if (isnan(c->entry.interval.lo))
            write_value("%.4g", l->median, f);
        else
            fprintf(f, " %.4g [%.4g, %.4g] |", l->median, c->entry.interval.lo,
                    c->entry.interval.hi);
        write_value("%.4g ms", l->p95, f);
        write_value("%.4g ms", l->p99, f);
        write_value("%.4g req/s", 1e3 / l->mean, f);
        write_value("%.2f", l->cv, f);
        write_value("%.1f%%", 100 * validation.share, f);
        write_value("%.2g%%", 100 * c->tokenizer_share, f);
        write_value("%.2f", entry_peak_fraction(&c->entry, session_peaks(&s->session)), f);
        write_speedup(c, serving_entry_state(s, c), f);
        fputc('\n', f);
    }
    fputc('\n', f);
}

static void write_findings(const Serving *s, FILE *f)
{
    json_t *findings = serving_findings(s), *sentence;
    size_t i;
    json_array_foreach (findings, i, sentence)
        fprintf(f, "- %s\n", json_string_value(sentence));
    fputc('\n', f);
    json_decref(findings);
}

static void write_cold(const Serving *s, FILE *f)
{
    static const char *const columns[] = {"Implementation", "Process Start", "Model Load",
                                          "First Request", "First / Median"};
    fprintf(f,
            "## Cold Start\n\nMedians over fresh processes (%lld of each); files lie in the page "
            "cache. Process\n"
            "start is up to the first answer, imports included.\n\n",
            (long long)s->config->cold_starts);
    write_table_head(columns, COUNT_OF(columns), f);
    for (size_t i = 0; i < s->count; i++) {
        const ServingEntry *c = &s->entries[i];
        bool known = c->labels != NULL;
        fprintf(f, "| **%s** |", serving_entry_name(c));
        write_value("%.4g ms", known ? c->start_ms : NAN, f);
        write_value("%.4g ms", known ? c->load_ms : NAN, f);
        write_value("%.4g ms", known ? c->first_ms : NAN, f);
        write_value("%.1f", known ? c->first_ms / c->latency.median : NAN, f);
        fputc('\n', f);
    }
    fputc('\n', f);
}

static void write_categories(const Serving *s, ServingSet set, FILE *f)
{
    static const char *const first[] = {"Category", "Texts"};
    size_t count;
    const char **names = categories_of(&s->sets[set], &count);
    if (count > 0) {
        fprintf(f, "### Per category: %s\n\n", serving_set_names[set]);
        write_head_by_implementation(s, first, COUNT_OF(first), f);
    }
    for (size_t i = 0; i < count; i++) {
        Score any = score_in(s, &s->entries[0], set, names[i]);
        fprintf(f, "| %s |", names[i]);
        write_value("%.0f", any.total ? (double)any.total : NAN, f);
        for (size_t k = 0; k < s->count; k++) {
            Score score = score_in(s, &s->entries[k], set, names[i]);
            write_score(&score, f);
        }
        fputc('\n', f);
    }
    if (count > 0)
        fputc('\n', f);
    free(names);
}

static void write_accuracy(const Serving *s, FILE *f)
{
    static const char *const first[] = {"Set"};
    fprintf(f, "## Accuracy\n\nRight labels, with Wilson's 95 %% interval.\n\n");
    write_head_by_implementation(s, first, COUNT_OF(first), f);
    for (ServingSet set = 0; set < NUM_SETS; set++) {
        if (s->sets[set].count == 0)
            continue;
        fprintf(f, "| %s |", serving_set_names[set]);
        for (size_t i = 0; i < s->count; i++) {
            Score score = score_in(s, &s->entries[i], set, NULL);
            write_score(&score, f);
        }
        fputc('\n', f);
    }
    fputc('\n', f);
    for (ServingSet set = 0; set < NUM_SETS; set++)
        write_categories(s, set, f);
}

static void write_agreement(const Serving *s, FILE *f)
{
    static const char *const first[] = {"Same label for"};
    fprintf(f, "## Agreement\n\nOf all %zu texts.\n\n", s->num_texts);
    write_head_by_implementation(s, first, COUNT_OF(first), f);
    for (size_t i = 0; i < s->count; i++) {
        const int32_t *a = s->entries[i].labels;
        fprintf(f, "| **%s** |", serving_entry_name(&s->entries[i]));
        for (size_t k = 0; k < s->count; k++) {
            const int32_t *b = s->entries[k].labels;
            write_value("%.2f%%",
                        a && b
                            ? 100.0 * (double)agreements(a, b, s->num_texts) / (double)s->num_texts
                            : NAN,
                        f);
        }
        fputc('\n', f);
    }
    fputc('\n', f);
}

static void write_parity(const Serving *s, FILE *f)
{
    static const char *const columns[] = {"Implementation", "Max Diff", "Of the Largest",
                                          "Verdict"};
    fprintf(
        f,
        "## Parity\n\nToken counts and logits of all texts against tare's; a logit may differ by\n"
        "%g of the largest. Without parity no speed-up is shown.\n\n",
        parity_tolerance);
    write_table_head(columns, COUNT_OF(columns), f);
    for (size_t i = 1; i < s->count; i++) {
        const ServingEntry *c = &s->entries[i];
        fprintf(f, "| **%s** |", serving_entry_name(c));
        write_value("%.1e", c->entry.has_parity ? c->entry.parity.max_abs : NAN, f);
        write_value("%.1e", c->entry.has_parity ? c->entry.parity.max_rel : NAN, f);
        if (c->entry.failure.msg[0])
            fprintf(f, " **not measured**: %s |\n", c->entry.failure.msg);
        else if (!c->entry.has_parity)
            fprintf(f, " **not proven**: tare failed |\n");
        else
            fprintf(f, " %s%s |\n",
                    c->entry.parity.ok ? "**PASS**" : "**FAILED**: ", c->entry.parity.reason);
    }
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
