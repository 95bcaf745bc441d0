/* markdown: the report for people; see report.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/compare/output.h"
#include "bench/compare/report.h"
#include "bench/compare/rounds.h"

/* The records of one cell stand together, ours first. */
static size_t end_of_cell(const Comparison *c, size_t first)
{
    size_t end = first;
    while (end < c->num_records && c->records[end].cell == c->records[first].cell)
        end++;
    return end;
}

static const CellEntry *cell_entry_of(const Comparison *c, size_t first, const char *name)
{
    for (size_t i = first; i < end_of_cell(c, first); i++)
        if (strcmp(c->records[i].implementation->name, name) == 0)
            return &c->records[i];
    return NULL;
}

/* Whether the implementation has a record for this model. */
static bool takes_part(const Comparison *c, size_t model, size_t k)
{
    for (size_t i = 0; i < c->num_records; i++)
        if (c->records[i].cell->model == model &&
            strcmp(c->records[i].implementation->name, implementation_names[k]) == 0)
            return true;
    return false;
}

/* A column of the table; 0 is none. */
static void write_count(size_t count, FILE *f)
{
    if (count > 0)
        fprintf(f, " %zu |", count);
    else
        fprintf(f, " - |");
}

static void write_size(const CompareCell *cell, FILE *f)
{
    write_count(cell->batch_size, f);
    write_count(cell->seq_len, f);
}

/* ---- parity ---- */

static void write_parity_row(const Comparison *c, const CellEntry *r, FILE *f)
{
    const CompareCell *cell = r->cell;
    const ModelConfig *m = &c->models[cell->model].config;
    fprintf(f, "| **%s** | dim=%zu | %zu | %zu | %s |", c->config->models[cell->model].name,
            m->d_model, m->num_layers, m->vocab_size, cell->component->title);
    write_size(cell, f);
    fprintf(f, " %s |", r->implementation->name);
    if (r->entry.failure.msg[0])
        fprintf(f, " - | **not measured**: %s |\n", r->entry.failure.msg);
    else if (!r->entry.has_parity)
        fprintf(f, " - | **not proven**: tare failed |\n");
    else if (!r->entry.parity.ok)
        fprintf(f, " `%.2e` | **FAILED**: %s |\n", r->entry.parity.max_abs, r->entry.parity.reason);
    else if (cell->component->kind == COMPONENT_TOKENIZER)
        fprintf(f, " 0 | **PASS** (ids equal) |\n");
    else
        fprintf(f, " `%.2e` | **PASS** (%.1e of the largest value%s) |\n", r->entry.parity.max_abs,
                r->entry.parity.max_rel, cell->component->tolerance > 0 ? ", a wider bound" : "");
}

static void write_parity(const Comparison *c, FILE *f)
{
    fprintf(
        f,
        "## 1. Correctness Verification\n\n"
        "Outputs of this run, each implementation's against tare's on the same weights and\n"
        "inputs: token ids, hidden states, or the loss and gradients. Ids have to be equal; of\n"
        "every other tensor the largest difference is at most %g of the largest value; INT8, of\n"
        "which every implementation has its own rounding, has a wider bound.\n\n"
        "| Model | Dimensions | Layers | Vocab | Component | Batch Size | Sequence Length | "
        "Against | Max Diff | Verdict |\n"
        "|---|---|---|---|---|---|---|---|---|---|\n",
        parity_tolerance);
    for (size_t i = 0; i < c->num_records; i++) {
        const CellEntry *r = &c->records[i];
        if (r->implementation != &c->session.implementations[0] || r->entry.failure.msg[0])
            write_parity_row(c, r, f);
    }
    fputc('\n', f);
}

/* ---- times ---- */

static double fastest(const Comparison *c, size_t first)
{
    double best = INFINITY;
    for (size_t i = first; i < end_of_cell(c, first); i++)
        best = fmin(best, c->records[i].entry.median_ms);
    return best;
}

static void write_time(const CellEntry *r, double best, FILE *f)
{
    if (!r || r->entry.rounds == 0) {
        fprintf(f, " - |");
        return;
    }
    const char *mark = r->entry.median_ms == best ? "**" : "";
    fprintf(f, " %s%.4g%s", mark, r->entry.median_ms, mark);
    if (!isnan(r->entry.interval.lo))
        fprintf(f, " [%.4g, %.4g]", r->entry.interval.lo, r->entry.interval.hi);
    fprintf(f, " |");
}

/* Of the machine's peak, or a tokenizer's bytes a second. */
static void write_share(const Comparison *c, const CellEntry *r, FILE *f)
{
    double share = r ? entry_peak_fraction(&r->entry, session_peaks(&c->session)) : NAN;
    if (r && r->entry.rounds > 0 && r->input_bytes > 0)
        fprintf(f, " %.3g MB/s |", (double)r->input_bytes / (r->entry.median_ms * 1e3));
    else if (isnan(share))
        fprintf(f, " - |");
    else
        fprintf(f, " %.2g%s |", share,
                cell_entry_state(c, r) == ENTRY_IMPLAUSIBLE ? " **implausible**" : "");
}

static void write_time_row(const Comparison *c, size_t first, const bool *shown, FILE *f)
{
    const CompareCell *cell = c->records[first].cell;
    double best = fastest(c, first);
    fprintf(f, "| **%s** |", cell->component->title);
    write_size(cell, f);
    for (size_t k = 0; k < NUM_IMPLEMENTATIONS; k++)
        if (shown[k])
            write_time(cell_entry_of(c, first, implementation_names[k]), best, f);
    for (size_t k = 1; k < NUM_IMPLEMENTATIONS; k++) {
        const CellEntry *r = shown[k] ? cell_entry_of(c, first, implementation_names[k]) : NULL;
        char text[128] = "-";
        if (r)
            compare_speedup(c, r, text);
        if (shown[k])
            fprintf(f, " %s |", text);
    }
    for (size_t k = 0; k < NUM_IMPLEMENTATIONS; k++)
        if (shown[k])
            write_share(c, cell_entry_of(c, first, implementation_names[k]), f);
    fputc('\n', f);
}

static void write_times(const Comparison *c, size_t model, FILE *f)
{
    const ModelConfig *m = &c->models[model].config;
    bool shown[NUM_IMPLEMENTATIONS];
    size_t columns = 3;
    fprintf(f, "### %s (dim=%zu, layers=%zu)\n\n| Component | Batch Size | Sequence Length |",
            c->config->models[model].name, m->d_model, m->num_layers);
    for (size_t k = 0; k < NUM_IMPLEMENTATIONS; k++) {
        shown[k] = takes_part(c, model, k);
        columns += shown[k] ? 2 + (k > 0) : 0;
        if (shown[k])
            fprintf(f, " %s (ms) |", implementation_names[k]);
    }
    for (size_t k = 1; k < NUM_IMPLEMENTATIONS; k++)
        if (shown[k])
            fprintf(f, " tare vs %s |", implementation_names[k]);
    for (size_t k = 0; k < NUM_IMPLEMENTATIONS; k++)
        if (shown[k])
            fprintf(f, " %s peak_fraction (or MB/s) |", implementation_names[k]);
    fprintf(f, "\n|");
    for (size_t i = 0; i < columns; i++)
        fprintf(f, "---|");
    fputc('\n', f);
    for (size_t i = 0; i < c->num_records; i = end_of_cell(c, i))
        if (c->records[i].cell->model == model)
            write_time_row(c, i, shown, f);
    fputc('\n', f);
}

/* Of cells whose turns are processes of their own; others hold what earlier cells left. */
static void write_memory(const Comparison *c, FILE *f)
{
    bool any = false;
    for (size_t i = 0; i < c->num_records; i++) {
        const CellEntry *r = &c->records[i], *ours = cell_entry_ours(c, r);
        if (r->peak_rss_bytes == 0)
            continue;
        if (!any)
            fprintf(f,
                    "## 3. Peak Memory\n\n"
                    "Of a whole process that loads the model and makes two calls (VmHWM).\n\n"
                    "| Model | Component | Batch Size | Sequence Length | Implementation | MiB | "
                    "tare's share |\n|---|---|---|---|---|---|---|\n");
        any = true;
        fprintf(f, "| **%s** | %s |", c->config->models[r->cell->model].name,
                r->cell->component->title);
        write_size(r->cell, f);
        fprintf(f, " %s | %.0f |", r->implementation->name, (double)r->peak_rss_bytes / (1 << 20));
        if (r == ours || ours->peak_rss_bytes == 0)
            fprintf(f, " - |\n");
        else
            fprintf(f, " %.2f |\n", (double)ours->peak_rss_bytes / (double)r->peak_rss_bytes);
    }
    if (any)
        fputc('\n', f);
}

static void write_head(const Comparison *c, time_t started, FILE *f)
{
    fprintf(f, "# Benchmark Results: %s\n\n", c->config->name);
    system_info_print(started, c->config->threads, f);
    other_cpus_print(c->session.other_cpus, f);
    implementations_print(c->session.implementations, f);
    fputc('\n', f);
}

static void write_method(const Comparison *c, FILE *f)
{
    fprintf(f,
            "## 2. Performance Benchmarks\n\n"
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
    fputc('\n', f);
}

void compare_report_markdown(const void *comparison, time_t started, FILE *f)
{
    const Comparison *c = comparison;
    write_head(c, started, f);
    write_parity(c, f);
    write_method(c, f);
    for (size_t m = 0; m < c->config->num_models; m++)
        if (c->models[m].dir && takes_part(c, m, 0))
            write_times(c, m, f);
    write_memory(c, f);
}
