/* markdown: the report for people; see report.h. */
#include <math.h>
#include <stdlib.h>

#include "bench/compare/output.h"
#include "bench/compare/report.h"
#include "bench/compare/rounds.h"
#include "bench/util/fields.h"
#include "bench/util/table.h"

/* The records of one cell stand together, ours first. */
static size_t end_of_cell(const Comparison *c, size_t first)
{
    size_t end = first;
    while (end < c->num_records && c->records[end].cell == c->records[first].cell)
        end++;
    return end;
}

/* Of one implementation in the cell; NULL when it took no part. */
static const CellEntry *entry_of(const Comparison *c, size_t first, size_t k)
{
    for (size_t i = first; i < end_of_cell(c, first); i++)
        if (c->records[i].implementation == &c->session.implementations[k])
            return &c->records[i];
    return NULL;
}

/* 0 is none. */
static void add_count(Table *t, size_t count)
{
    table_int(t, count ? (int64_t)count : INT_MISSING);
}

static void add_size(Table *t, const CompareCell *cell)
{
    add_count(t, cell->batch_size);
    add_count(t, cell->seq_len);
}

/* ---- parity ---- */

static void add_verdict(Table *t, const CellEntry *r)
{
    const Component *component = r->cell->component;
    const Parity *p = &r->entry.parity;
    bool compared = r->entry.has_parity && !r->entry.failure.msg[0];
    table_value(t, "%.3g", compared ? p->max_abs : NAN);
    if (r->entry.failure.msg[0])
        table_printf(t, "**not measured**: %s", r->entry.failure.msg);
    else if (!compared)
        table_text(t, "**not proven**: tare failed");
    else if (!p->ok)
        table_printf(t, "**FAILED**: %s", p->reason);
    else if (component->kind == COMPONENT_TOKENIZER)
        table_text(t, "**PASS** (ids equal)");
    else
        table_printf(t, "**PASS** (%.1e of the largest value%s)", p->max_rel,
                     component->tolerance > 0 ? ", a wider bound" : "");
}

static void write_parity(const Comparison *c, FILE *f)
{
    fprintf(
        f,
        "\n## 1. Correctness Verification\n\n"
        "Outputs of this run, each implementation's against tare's on the same weights and\n"
        "inputs: token ids, hidden states, or the loss and gradients. Ids have to be equal; of\n"
        "every other tensor the largest difference is at most %g of the largest value; INT8, of\n"
        "which every implementation has its own rounding, has a wider bound.\n\n",
        parity_tolerance);
    Table t = table_new(f, TABLE_MARKDOWN,
                        "Model|Dimensions|Layers|Vocab|Component|Batch Size|Sequence Length|"
                        "Against|Max Diff|Verdict");
    for (size_t i = 0; i < c->num_records; i++) {
        const CellEntry *r = &c->records[i];
        const ModelConfig *m = &c->models[r->cell->model].config;
        if (r->implementation == &c->session.implementations[0] && !r->entry.failure.msg[0])
            continue;
        table_printf(&t, "**%s**", c->config->models[r->cell->model].name);
        table_printf(&t, "dim=%zu", m->d_model);
        add_count(&t, m->num_layers);
        add_count(&t, m->vocab_size);
        table_text(&t, r->cell->component->title);
        add_size(&t, r->cell);
        table_text(&t, r->implementation->name);
        add_verdict(&t, r);
        table_row_end(&t);
    }
    table_end(&t);
}

/* ---- times ---- */

static double fastest(const Comparison *c, size_t first)
{
    double best = INFINITY;
    for (size_t i = first; i < end_of_cell(c, first); i++)
        best = fmin(best, c->records[i].entry.median_ms);
    return best;
}

static void add_time(Table *t, const CellEntry *r, double best)
{
    if (!r || r->entry.rounds == 0)
        table_text(t, NULL);
    else if (r->entry.median_ms != best)
        table_interval(t, "%.4g", r->entry.median_ms, r->entry.interval.lo, r->entry.interval.hi);
    else if (isnan(r->entry.interval.lo))
        table_printf(t, "**%.4g**", best);
    else
        table_printf(t, "**%.4g** [%.4g, %.4g]", best, r->entry.interval.lo, r->entry.interval.hi);
}

static void add_speedup(Table *t, const Comparison *c, const CellEntry *r)
{
    char text[128];
    if (r)
        compare_speedup(c, r, text);
    table_text(t, r ? text : NULL);
}

/* Of the machine's peak, or a tokenizer's bytes a second. */
static void add_share(Table *t, const Comparison *c, const CellEntry *r)
{
    double share = r ? entry_peak_fraction(&r->entry, session_peaks(&c->session)) : NAN;
    if (r && r->entry.rounds > 0 && r->input_bytes > 0)
        table_value(t, "%.3g MB/s", (double)r->input_bytes / (r->entry.median_ms * 1e3));
    else if (r && cell_entry_state(c, r) == ENTRY_IMPLAUSIBLE)
        table_printf(t, "%.2g **implausible**", share);
    else
        table_value(t, "%.2g", share);
}

static void add_times(Table *t, const Comparison *c, size_t first)
{
    const CompareCell *cell = c->records[first].cell;
    double best = fastest(c, first);
    table_printf(t, "**%s**", cell->component->title);
    add_size(t, cell);
    for (size_t k = 0; k < NUM_IMPLEMENTATIONS; k++)
        add_time(t, entry_of(c, first, k), best);
    for (size_t k = 1; k < NUM_IMPLEMENTATIONS; k++)
        add_speedup(t, c, entry_of(c, first, k));
    for (size_t k = 0; k < NUM_IMPLEMENTATIONS; k++)
        add_share(t, c, entry_of(c, first, k));
    table_row_end(t);
}

/* A column for each implementation, shown where it has a value; `format` makes its name. */
static void add_columns(Table *t, const char *format, size_t from)
{
    for (size_t k = from; k < NUM_IMPLEMENTATIONS; k++) {
        char *name = xasprintf(format, implementation_names[k]);
        table_columns(t, name, TABLE_IF_KNOWN);
        free(name);
    }
}

static void write_times(const Comparison *c, size_t model, FILE *f)
{
    const ModelConfig *m = &c->models[model].config;
    Table t = table_new(f, TABLE_MARKDOWN, "Component|Batch Size|Sequence Length");
    add_columns(&t, "%s (ms)[]", 0);
    add_columns(&t, "tare vs %s", 1);
    add_columns(&t, "%s peak_fraction (or MB/s)", 0);
    for (size_t i = 0; i < c->num_records; i = end_of_cell(c, i))
        if (c->records[i].cell->model == model)
            add_times(&t, c, i);
    if (t.num_rows > 0)
        fprintf(f, "\n### %s (dim=%zu, layers=%zu)\n\n", c->config->models[model].name, m->d_model,
                m->num_layers);
    table_end(&t);
}

/* Of cells whose turns are processes of their own; others hold what earlier cells left. */
static void write_memory(const Comparison *c, FILE *f)
{
    Table t = table_new(f, TABLE_MARKDOWN,
                        "Model|Component|Batch Size|Sequence Length|Implementation|MiB|"
                        "tare's share");
    for (size_t i = 0; i < c->num_records; i++) {
        const CellEntry *r = &c->records[i], *ours = cell_entry_ours(c, r);
        double bytes = (double)r->peak_rss_bytes;
        bool shared = r != ours && ours->peak_rss_bytes > 0;
        if (r->peak_rss_bytes == 0)
            continue;
        table_printf(&t, "**%s**", c->config->models[r->cell->model].name);
        table_text(&t, r->cell->component->title);
        add_size(&t, r->cell);
        table_text(&t, r->implementation->name);
        table_value(&t, "%.0f", bytes / (1 << 20));
        table_value(&t, "%.2f", shared ? (double)ours->peak_rss_bytes / bytes : NAN);
        table_row_end(&t);
    }
    if (t.num_rows > 0)
        fprintf(f, "\n## 3. Peak Memory\n\n"
                   "Of a whole process that loads the model and makes two calls (VmHWM).\n\n");
    table_end(&t);
}

static void write_head(const Comparison *c, time_t started, FILE *f)
{
    fprintf(f, "# Benchmark Results: %s\n\n", c->config->name);
    system_info_print(started, c->config->threads, f);
    other_cpus_print(c->session.other_cpus, f);
    implementations_print(c->session.implementations, f);
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
            "registers %.4g, a matrix product %.4g); above %.4g nothing is believed. INT8's is a\n"
            "share of %.4g, the rate of int8 products where an instruction multiplies them.\n",
            peaks_measured(p), p->fma, p->gemm, peaks_limit(p), peaks_of_product(p, DT_I8));
}

void compare_report_markdown(const void *comparison, time_t started, FILE *f)
{
    const Comparison *c = comparison;
    write_head(c, started, f);
    write_parity(c, f);
    write_method(c, f);
    for (size_t m = 0; m < c->config->num_models; m++)
        write_times(c, m, f);
    write_memory(c, f);
}
