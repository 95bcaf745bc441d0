/* markdown: the report for people; see report.h. */
#include <math.h>
#include <string.h>

#include "bench/compare/output.h"
#include "bench/precision/report.h"
#include "bench/util/table.h"

/* The cells that rows of formats begin with. A record that does not count for ranks is marked. */
static void add_format(Table *t, const StudyRecord *r)
{
    bool emulated = strcmp(r->support, support_name(SUPPORT_EMULATED)) == 0;
    table_printf(t, "%s%s", study_format_title(r->precision),
                 emulated ? " (emulated, not ranked)" : "");
}

/* The row of a record without figures ends with the reason. */
static bool add_failure(Table *t, const StudyRecord *r)
{
    if (study_record_ok(r))
        return false;
    table_printf(t, "%s: %s", r->status, r->status_reason);
    table_row_end(t);
    return true;
}

/* A share and its interval, in per cent or points. */
static void add_percent(Table *t, const char *format, double share, double lo, double hi)
{
    table_interval(t, format, 100 * share, 100 * lo, 100 * hi);
}

/* ---- formats ---- */

static void write_formats(const Study *s, FILE *f)
{
    fprintf(
        f, "\n## 1. Formats on this CPU\n\n"
           "native: an instruction multiplies the format. convert: it is stored small and widened\n"
           "by hardware into fp32 arithmetic. emulated: neither; left out unless asked for, and\n"
           "never ranked. Sums are fp32 (int8: int32) everywhere.\n\n");
    Table t = table_new(f, TABLE_MARKDOWN,
                        "Format|Weights|Activations|Products|Attention|Support|Instruction");
    for (size_t i = 0; i < s->config->num_formats; i++) {
        Precision p = s->config->formats[i];
        DType product = precision_product(p);
        table_text(&t, study_format_title(p));
        table_text(&t, dtype_name(precision_weights(p)));
        table_text(&t, dtype_name(precision_activations(p)));
        table_text(&t, dtype_name(product));
        table_text(&t, dtype_name(precision_attention(p)));
        table_text(&t, support_name(precision_support(p)));
        table_text(&t, product_instruction(product));
        table_row_end(&t);
    }
    table_end(&t);
    fprintf(f, "\nOp by op: %s.\n", precision_ops());
}

/* ---- times ---- */

static void add_time(Table *t, const StudyRecord *r)
{
    table_text(t, r->model);
    table_int(t, r->batch_size);
    table_int(t, r->seq_len);
    add_format(t, r);
    if (add_failure(t, r))
        return;
    table_interval(t, "%.4g", r->median_ms, r->median_lo_ms, r->median_hi_ms);
    table_value(t, "%.4g", r->samples_per_s);
    table_value(t, "%.4g", r->tokens_per_s);
    table_interval(t, "%.2f", r->precision == PRECISION_FP32 ? 1 : r->speedup, r->speedup_lo,
                   r->speedup_hi);
    table_interval(t, "%.4g", r->energy_per_sample_j, r->energy_per_sample_lo_j,
                   r->energy_per_sample_hi_j);
    table_value(t, "%.4g", r->energy_per_token_j);
    table_value(t, "%.2e", r->logit_mean_drift);
    table_value(t, "%.2e", r->logit_max_drift);
    table_row_end(t);
}

static void write_energy_source(const Study *s, FILE *f)
{
    const Energy *e = &s->energy;
    fprintf(f, "\nEnergy: energy_source=%s", energy_source_name(e->source));
    if (e->source == ENERGY_NONE)
        fprintf(f, ", %s", e->reason.msg);
    if (e->source == ENERGY_MODEL)
        fprintf(f, ", an estimate: %g W x time, nothing was measured", e->model_watts);
    if (!isnan(s->idle.before) && isnan(s->idle.after))
        fprintf(f, ", idle power of %.3g W before is subtracted", s->idle.before);
    else if (!isnan(s->idle.before))
        fprintf(f, ", idle power %.3g W before and %.3g W after is subtracted%s", s->idle.before,
                s->idle.after, idle_drifted(&s->idle) ? " (they differ by more than 10 %)" : "");
    if (!isnan(s->other_cpus))
        fprintf(f, "; other programs kept %.2f CPUs busy meanwhile", s->other_cpus);
    fprintf(f, ".\n");
}

static void write_times(const Study *s, FILE *f)
{
    fprintf(
        f,
        "\n## 2. Time and energy\n\n"
        "Medians with 95 %% order-statistic intervals; formats took turns in one process, and a\n"
        "speed-up is FP32's time over the format's, paired by round. Drift: of the logits from\n"
        "FP32's.\n\n");
    Table t = table_new(f, TABLE_MARKDOWN,
                        "Model|Batch|Length|Format|Latency ms[]|Samples/s|Tokens/s|Speed-up[]|"
                        "J/sample[]|J/token|Mean drift|Max drift");
    for (size_t i = 0; i < s->num_records; i++)
        if (strcmp(s->records[i].work, "time") == 0)
            add_time(&t, &s->records[i]);
    table_end(&t);
    write_energy_source(s, f);
}

/* ---- sizes ---- */

/* The most memory that a format of this model took in any piece of work. */
static int64_t largest_resident(const Study *s, const StudyRecord *like)
{
    int64_t most = INT_MISSING;
    for (size_t i = 0; i < s->num_records; i++) {
        const StudyRecord *r = &s->records[i];
        if (strcmp(r->model, like->model) == 0 && r->precision == like->precision)
            most = r->resident_bytes > most ? r->resident_bytes : most;
    }
    return most;
}

static bool first_of_its_kind(const Study *s, const StudyRecord *r)
{
    for (const StudyRecord *other = s->records; other < r; other++)
        if (strcmp(other->model, r->model) == 0 && other->precision == r->precision)
            return false;
    return true;
}

static double mebibytes(int64_t bytes)
{
    return bytes == INT_MISSING ? NAN : (double)bytes / (1 << 20);
}

static void write_sizes(const Study *s, FILE *f)
{
    fprintf(
        f,
        "\n## 3. Size\n\n"
        "On disk: the tensors of `tare convert` (FP32 and MIXED: the model as it is in fp32). In\n"
        "memory: what loading and running took, weights with their packed copies and\n"
        "activations; the most of all batches.\n\n");
    Table t = table_new(f, TABLE_MARKDOWN, "Model|Format|On disk MiB|In memory MiB");
    for (size_t i = 0; i < s->num_records; i++) {
        const StudyRecord *r = &s->records[i];
        if (!first_of_its_kind(s, r))
            continue;
        table_text(&t, r->model);
        add_format(&t, r);
        table_value(&t, "%.1f", mebibytes(r->disk_bytes));
        table_value(&t, "%.1f", mebibytes(largest_resident(s, r)));
        table_row_end(&t);
    }
    table_end(&t);
}

/* ---- accuracy ---- */

static void add_accuracy(Table *t, const StudyRecord *r)
{
    table_text(t, r->model);
    add_format(t, r);
    if (add_failure(t, r))
        return;
    table_printf(t, "%lld of %lld", (long long)r->correct, (long long)r->total);
    add_percent(t, "%.1f", r->accuracy, r->accuracy_lo, r->accuracy_hi);
    add_percent(t, "%+.2f", r->accuracy_change, r->accuracy_change_lo, r->accuracy_change_hi);
    if (r->precision == PRECISION_FP32) {
        table_text(t, NULL);
        table_text(t, NULL);
    } else {
        table_printf(t, "%lld / %lld", (long long)r->only_fp32_right,
                     (long long)r->only_this_right);
        table_int(t, r->flips);
    }
    table_value(t, "%.3g", r->mcnemar_p);
    table_value(t, "%.2e", r->logit_mean_drift);
    table_value(t, "%.2e", r->logit_max_drift);
    table_value(t, "%.1e", r->mean_kl);
    table_row_end(t);
}

static void add_flips(Table *t, const Study *s, const StudyRecord *r)
{
    enum { TEXT_BYTES = 60 };
    const StudySubject *subject = study_subject_of(s, r);
    char text[TEXT_BYTES + 4];
    for (size_t i = 0; i < r->flip_list.count; i++) {
        const Flip *flip = &r->flip_list.at[i];
        text_start(subject->texts.at[flip->text].text, TEXT_BYTES, text);
        table_text(t, study_format_title(r->precision));
        table_int(t, (int64_t)flip->text);
        table_text(t, subject->labels.at[flip->right]);
        table_text(t, subject->labels.at[flip->before]);
        table_text(t, subject->labels.at[flip->after]);
        table_value(t, "%.3g", flip->margin);
        table_text(t, text);
        table_row_end(t);
    }
}

static void write_accuracies(const Study *s, FILE *f)
{
    Table t = table_new(f, TABLE_MARKDOWN,
                        "Model|Format|Right|Accuracy %[]|Change[]|Only FP32 / this|Flips|p|"
                        "Mean drift|Max drift|KL");
    Table flips = table_new(f, TABLE_MARKDOWN, "Format|Sample|Right|FP32|Now|Margin|Begins");
    for (size_t i = 0; i < s->num_records; i++) {
        if (strcmp(s->records[i].work, "accuracy") == 0)
            add_accuracy(&t, &s->records[i]);
        add_flips(&flips, s, &s->records[i]);
    }
    if (t.num_rows > 0)
        fprintf(f, "\n## 4. Accuracy\n\n"
                   "Accuracy with Wilson's interval; change against FP32 on the same texts in "
                   "points, with\n"
                   "its paired interval; right with FP32 alone / with this format alone, and "
                   "McNemar's\n"
                   "exact p of \"equally often right\".\n\n");
    table_end(&t);
    if (flips.num_rows > 0)
        fprintf(f, "\nFlipped labels (sample, counted from 0; margin of FP32's logits between the "
                   "two):\n\n");
    table_end(&flips);
}

/* ---- perplexity ---- */

static void add_perplexity(Table *t, const StudyRecord *r)
{
    table_text(t, r->model);
    add_format(t, r);
    if (add_failure(t, r))
        return;
    table_int(t, r->total);
    table_value(t, "%.5g", r->perplexity);
    table_value(t, "%.5g", r->bits_per_byte);
    add_percent(t, "%+.4f", r->perplexity_change, r->perplexity_change_lo, r->perplexity_change_hi);
    table_row_end(t);
}

static void write_perplexities(const Study *s, FILE *f)
{
    Table t =
        table_new(f, TABLE_MARKDOWN, "Model|Format|Windows|Perplexity|Bits a byte|Change %[]");
    for (size_t i = 0; i < s->num_records; i++)
        if (strcmp(s->records[i].work, "perplexity") == 0)
            add_perplexity(&t, &s->records[i]);
    if (t.num_rows > 0)
        fprintf(f, "\n## 5. Perplexity\n\n"
                   "Of held-out bytes; change against FP32 on the same windows.\n\n");
    table_end(&t);
}

/* ---- expectations ---- */

static void write_orderings(const Study *s, FILE *f)
{
    fprintf(f,
            "\n## 6. Expected and observed\n\n"
            "The expectations are those of a study on a GPU with native FP16. ~ stands where the\n"
            "paired 95 %% interval has 1 in it. A contradiction is a finding about this CPU, no\n"
            "failure.\n\n");
    Table t = table_new(f, TABLE_MARKDOWN, "Measure|Where|Expected|Observed|Verdict");
    for (size_t i = 0; i < s->orderings.count; i++) {
        const Ordering *o = &s->orderings.at[i];
        table_text(&t, o->measure);
        table_text(&t, o->where);
        table_text(&t, o->expected);
        table_printf(&t, "%s%s%s%s", *o->observed ? o->observed : "-", *o->note ? " (" : "",
                     o->note, *o->note ? ")" : "");
        table_printf(&t, "**%s**", agreement_name(o->verdict));
        table_row_end(&t);
    }
    table_end(&t);
}

static void write_left_out(const Study *s, FILE *f)
{
    for (size_t i = 0; i < s->config->num_models; i++)
        if (!s->subjects[i].there)
            fprintf(f, "\nLeft out: %s, %s.\n", s->subjects[i].asked->source.name,
                    s->subjects[i].left_out.msg);
}

void study_report_markdown(const void *study, time_t started, FILE *f)
{
    const Study *s = study;
    fprintf(f, "# Precision: %s\n\n", s->config->name);
    system_info_print(started, s->config->threads, f);
    fprintf(f, "**Kernels:** %s\n", kernels()->isa);
    other_cpus_print(s->other_cpus_before, f);
    write_left_out(s, f);
    write_formats(s, f);
    write_times(s, f);
    write_sizes(s, f);
    write_accuracies(s, f);
    write_perplexities(s, f);
    write_orderings(s, f);
}
