/* markdown: the report for people; see report.h. */
#include <math.h>
#include <string.h>

#include "bench/compare/output.h"
#include "bench/precision/report.h"

/* A record that does not count for ranks is marked wherever it is shown. */
static void write_format(const StudyRecord *r, FILE *f)
{
    bool emulated = strcmp(r->support, support_name(SUPPORT_EMULATED)) == 0;
    fprintf(f, "| %s%s ", study_format_title(r->precision),
            emulated ? " (emulated, not ranked)" : "");
}

static void write_failure(const StudyRecord *r, FILE *f)
{
    fprintf(f, "| %s: %s |\n", r->status, r->status_reason);
}

static void write_interval(double value, double lo, double hi, double scale, const char *format,
                           FILE *f)
{
    if (isnan(value)) {
        fprintf(f, "| - ");
        return;
    }
    fprintf(f, "| ");
    fprintf(f, format, value * scale);
    if (!isnan(lo) && !isnan(hi)) {
        fprintf(f, " [");
        fprintf(f, format, lo * scale);
        fprintf(f, ", ");
        fprintf(f, format, hi * scale);
        fprintf(f, "]");
    }
    fputc(' ', f);
}

static void write_real(double value, const char *format, FILE *f)
{
    write_interval(value, NAN, NAN, 1, format, f);
}

/* ---- formats ---- */

static void write_formats(const Study *s, FILE *f)
{
    fprintf(
        f, "## 1. Formats on this CPU\n\n"
           "native: an instruction multiplies the format. convert: it is stored small and widened\n"
           "by hardware into fp32 arithmetic. emulated: neither; left out unless asked for, and\n"
           "never ranked. Sums are fp32 (int8: int32) everywhere.\n\n"
           "| Format | Weights | Activations | Products | Attention | Support | Instruction |\n"
           "|---|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < s->config->num_formats; i++) {
        Precision p = s->config->formats[i];
        DType product = precision_product(p);
        fprintf(f, "| %s | %s | %s | %s | %s | %s | %s |\n", study_format_title(p),
                dtype_name(precision_weights(p)), dtype_name(precision_activations(p)),
                dtype_name(product), dtype_name(precision_attention(p)),
                support_name(precision_support(p)), product_instruction(product));
    }
    fprintf(f, "\nOp by op: %s.\n\n", precision_ops());
}

/* ---- times ---- */

static void write_time(const StudyRecord *r, FILE *f)
{
    fprintf(f, "| %s | %lld | %lld ", r->model, (long long)r->batch_size, (long long)r->seq_len);
    write_format(r, f);
    if (!study_record_ok(r)) {
        write_failure(r, f);
        return;
    }
    write_interval(r->median_ms, r->median_lo_ms, r->median_hi_ms, 1, "%.4g", f);
    write_real(r->samples_per_s, "%.4g", f);
    write_real(r->tokens_per_s, "%.4g", f);
    write_interval(r->precision == PRECISION_FP32 ? 1 : r->speedup, r->speedup_lo, r->speedup_hi, 1,
                   "%.2f", f);
    write_interval(r->energy_per_sample_j, r->energy_per_sample_lo_j, r->energy_per_sample_hi_j, 1,
                   "%.4g", f);
    write_real(r->energy_per_token_j, "%.4g", f);
    write_real(r->logit_mean_drift, "%.2e", f);
    write_real(r->logit_max_drift, "%.2e", f);
    fprintf(f, "|\n");
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
    fprintf(f, ".\n\n");
}

static void write_times(const Study *s, FILE *f)
{
    fprintf(
        f,
        "## 2. Time and energy\n\n"
        "Medians with 95 %% order-statistic intervals; formats took turns in one process, and a\n"
        "speed-up is FP32's time over the format's, paired by round. Drift: of the logits from\n"
        "FP32's.\n\n"
        "| Model | Batch | Length | Format | Latency ms | Samples/s | Tokens/s | Speed-up | "
        "J/sample | J/token | Mean drift | Max drift |\n"
        "|---|---|---|---|---|---|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < s->num_records; i++)
        if (strcmp(s->records[i].work, "time") == 0)
            write_time(&s->records[i], f);
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

static void write_sizes(const Study *s, FILE *f)
{
    const double mebibyte = 1 << 20;
    fprintf(
        f,
        "## 3. Size\n\n"
        "On disk: the tensors of `tare convert` (FP32 and MIXED: the model as it is in fp32). In\n"
        "memory: what loading and running took, weights with their packed copies and\n"
        "activations; the most of all batches.\n\n"
        "| Model | Format | On disk MiB | In memory MiB |\n|---|---|---|---|\n");
    for (size_t i = 0; i < s->num_records; i++) {
        const StudyRecord *r = &s->records[i];
        int64_t resident = largest_resident(s, r);
        if (!first_of_its_kind(s, r))
            continue;
        fprintf(f, "| %s ", r->model);
        write_format(r, f);
        write_real((double)r->disk_bytes / mebibyte, "%.1f", f);
        write_real(resident == INT_MISSING ? NAN : (double)resident / mebibyte, "%.1f", f);
        fprintf(f, "|\n");
    }
    fputc('\n', f);
}

/* ---- accuracy ---- */

static void write_accuracy(const StudyRecord *r, FILE *f)
{
    fprintf(f, "| %s ", r->model);
    write_format(r, f);
    if (!study_record_ok(r)) {
        write_failure(r, f);
        return;
    }
    fprintf(f, "| %lld of %lld ", (long long)r->correct, (long long)r->total);
    write_interval(r->accuracy, r->accuracy_lo, r->accuracy_hi, 100, "%.1f", f);
    write_interval(r->accuracy_change, r->accuracy_change_lo, r->accuracy_change_hi, 100, "%+.2f",
                   f);
    if (r->precision == PRECISION_FP32)
        fprintf(f, "| - | - ");
    else
        fprintf(f, "| %lld / %lld | %lld ", (long long)r->only_fp32_right,
                (long long)r->only_this_right, (long long)r->flips);
    write_real(r->mcnemar_p, "%.3g", f);
    write_real(r->logit_mean_drift, "%.2e", f);
    write_real(r->logit_max_drift, "%.2e", f);
    write_real(r->mean_kl, "%.1e", f);
    fprintf(f, "|\n");
}

static void write_flips(const Study *s, const StudyRecord *r, FILE *f)
{
    enum { TEXT_BYTES = 60 };
    const StudySubject *subject = study_subject_of(s, r);
    char text[TEXT_BYTES + 4];
    for (size_t i = 0; i < r->flip_list.count; i++) {
        const Flip *flip = &r->flip_list.at[i];
        text_start(subject->texts.at[flip->text].text, TEXT_BYTES, text);
        fprintf(f, "| %s | %zu | %s | %s | %s | %.3g | %s |\n", study_format_title(r->precision),
                flip->text, subject->labels.at[flip->right], subject->labels.at[flip->before],
                subject->labels.at[flip->after], flip->margin, text);
    }
}

static size_t count_work(const Study *s, const char *work, size_t *flips)
{
    size_t count = 0;
    for (size_t i = 0; i < s->num_records; i++) {
        count += strcmp(s->records[i].work, work) == 0;
        *flips += s->records[i].flip_list.count;
    }
    return count;
}

static void write_accuracies(const Study *s, FILE *f)
{
    size_t flips = 0;
    if (count_work(s, "accuracy", &flips) == 0)
        return;
    fprintf(
        f,
        "## 4. Accuracy\n\n"
        "Accuracy with Wilson's interval; change against FP32 on the same texts in points, with\n"
        "its paired interval; right with FP32 alone / with this format alone, and McNemar's\n"
        "exact p of \"equally often right\".\n\n"
        "| Model | Format | Right | Accuracy %% | Change | Only FP32 / this | Flips | p | "
        "Mean drift | Max drift | KL |\n|---|---|---|---|---|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < s->num_records; i++)
        if (strcmp(s->records[i].work, "accuracy") == 0)
            write_accuracy(&s->records[i], f);
    fputc('\n', f);
    if (flips == 0)
        return;
    fprintf(f,
            "Flipped labels (sample, counted from 0; margin of FP32's logits between the two):\n\n"
            "| Format | Sample | Right | FP32 | Now | Margin | Begins |\n"
            "|---|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < s->num_records; i++)
        write_flips(s, &s->records[i], f);
    fputc('\n', f);
}

/* ---- perplexity ---- */

static void write_perplexities(const Study *s, FILE *f)
{
    size_t ignored = 0;
    if (count_work(s, "perplexity", &ignored) == 0)
        return;
    fprintf(f, "## 5. Perplexity\n\n"
               "Of held-out bytes; change against FP32 on the same windows.\n\n"
               "| Model | Format | Windows | Perplexity | Bits a byte | Change %% |\n"
               "|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < s->num_records; i++) {
        const StudyRecord *r = &s->records[i];
        if (strcmp(r->work, "perplexity") != 0)
            continue;
        fprintf(f, "| %s ", r->model);
        write_format(r, f);
        if (!study_record_ok(r)) {
            write_failure(r, f);
            continue;
        }
        fprintf(f, "| %lld ", (long long)r->total);
        write_real(r->perplexity, "%.5g", f);
        write_real(r->bits_per_byte, "%.5g", f);
        write_interval(r->perplexity_change, r->perplexity_change_lo, r->perplexity_change_hi, 100,
                       "%+.4f", f);
        fprintf(f, "|\n");
    }
    fputc('\n', f);
}

/* ---- expectations ---- */

static void write_orderings(const Study *s, FILE *f)
{
    fprintf(f,
            "## 6. Expected and observed\n\n"
            "The expectations are those of a study on a GPU with native FP16. ~ stands where the\n"
            "paired 95 %% interval has 1 in it. A contradiction is a finding about this CPU, no\n"
            "failure.\n\n"
            "| Measure | Where | Expected | Observed | Verdict |\n|---|---|---|---|---|\n");
    for (size_t i = 0; i < s->orderings.count; i++) {
        const Ordering *o = &s->orderings.at[i];
        fprintf(f, "| %s | %s | %s | %s%s%s%s | **%s** |\n", o->measure, o->where, o->expected,
                *o->observed ? o->observed : "-", *o->note ? " (" : "", o->note,
                *o->note ? ")" : "", agreement_name(o->verdict));
    }
    fputc('\n', f);
}

static void write_left_out(const Study *s, FILE *f)
{
    for (size_t i = 0; i < s->config->num_models; i++)
        if (!s->subjects[i].there)
            fprintf(f, "Left out: %s, %s.\n\n", s->subjects[i].asked->source.name,
                    s->subjects[i].left_out.msg);
}

void study_report_markdown(const Study *s, time_t started, FILE *f)
{
    fprintf(f, "# Precision: %s\n\n", s->config->name);
    system_info_print(started, s->config->threads, f);
    fprintf(f, "**Kernels:** %s\n", kernels()->isa);
    other_cpus_print(s->other_cpus_before, f);
    fputc('\n', f);
    write_left_out(s, f);
    write_formats(s, f);
    write_times(s, f);
    write_sizes(s, f);
    write_accuracies(s, f);
    write_perplexities(s, f);
    write_orderings(s, f);
}
