/* report: the JSON beside the columns, and the Markdown; see study.h. */
#include "bench/precision/study.h"

#include <math.h>
#include <string.h>

#include "model/families/family.h"

enum { SCHEMA = 1 };

static const StudySubject *study_subject_of(const Study *s, const StudyRecord *r)
{
    size_t i = 0;
    while (strcmp(s->config->models[i].source.name, r->model) != 0)
        i++;
    return &s->subjects[i];
}

void text_start(const char *text, size_t bytes, char *out)
{
    size_t n = 0, kept = 0;
    for (; text[n] && n < bytes; n++) {
        unsigned char c = (unsigned char)text[n];
        out[n] = c < 0x20 || c == 0x7f || c == '|' || c == '`' ? ' ' : (char)c;
    }
    for (kept = n; kept > 0 && ((unsigned char)text[kept] & 0xc0) == 0x80;)
        kept--; /* not in the middle of a character */
    strcpy(out + kept, text[n] ? "..." : "");
}

/* ---- JSON ---- */

static json_t *flips_json(const Study *s, const StudyRecord *r)
{
    enum { TEXT_BYTES = 80 };
    const StudySubject *subject = study_subject_of(s, r);
    json_t *list = json_array();
    for (size_t i = 0; i < r->flip_list.count; i++) {
        const Flip *flip = &r->flip_list.at[i];
        char text[TEXT_BYTES + 4];
        text_start(subject->texts.at[flip->text].text, TEXT_BYTES, text);
        json_array_append_new(
            list, json_pack("{s:I, s:s, s:s, s:s, s:s, s:f}", "index", (json_int_t)flip->text,
                            "text", text, "label", subject->labels.at[flip->right], "fp32",
                            subject->labels.at[flip->before], "this",
                            subject->labels.at[flip->after], "fp32_margin", flip->margin));
    }
    return list;
}

static void fill_record(const void *study, size_t i, void *record)
{
    *(StudyRecord *)record = ((const Study *)study)->records[i];
}

static json_t *record_details(const void *study, size_t i)
{
    const Study *s = study;
    const StudyRecord *r = &s->records[i];
    size_t rounds = r->ms ? (size_t)r->rounds : 0;
    json_t *object = json_pack("{s:b}", "ranked", (int)r->ranked);
    if (r->ms)
        json_object_update_new(object, json_pack("{s:I, s:b, s:o, s:o, s:o}", "calls_per_sample",
                                                 (json_int_t)r->calls, "untimed_call_before",
                                                 (int)r->untimed_call, "samples_ms",
                                                 numbers_json(r->ms, rounds), "turn_seconds",
                                                 numbers_json(r->seconds, rounds), "turn_joules",
                                                 numbers_json(r->joules, rounds)));
    if (r->total != INT_MISSING && r->correct != INT_MISSING)
        json_object_set_new(object, "flip_list", flips_json(s, r));
    return object;
}

static json_t *energy_json(const Study *s)
{
    const IdlePower *idle = &s->idle;
    return json_pack(
        "{s:s, s:s, s:o, s:o, s:o, s:b, s:o}", "source", energy_source_name(s->energy.source),
        "reason", s->energy.reason.msg, "model_watts",
        number_json(s->energy.source == ENERGY_MODEL ? s->energy.model_watts : NAN),
        "idle_before_w", number_json(idle->before), "idle_after_w", number_json(idle->after),
        "idle_drifted", (int)idle_drifted(idle), "other_cpus", number_json(s->other_cpus));
}

static json_t *models_json(const Study *s)
{
    json_t *models = json_object();
    for (size_t i = 0; i < s->config->num_models; i++) {
        const StudySubject *subject = &s->subjects[i];
        json_t *model =
            subject->there
                ? json_pack("{s:s, s:s, s:s, s:I}", "dir", subject->files.dir, "sha256",
                            subject->files.sha256, "stored", st_dtype_name(subject->stored),
                            "num_params", (json_int_t)model_num_params(&subject->files.config))
                : json_pack("{s:s}", "left_out", subject->left_out.msg);
        json_object_set_new(models, subject->asked->source.name, model);
    }
    return models;
}

static json_t *orderings_json(const Study *s)
{
    json_t *list = json_array();
    for (size_t i = 0; i < s->orderings.count; i++) {
        const Ordering *o = &s->orderings.at[i];
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "measure",
                                              o->measure, "where", o->where, "expected",
                                              o->expected, "observed", o->observed, "verdict",
                                              agreement_name(o->verdict), "note", o->note));
    }
    return list;
}

static json_t *make_document(const void *study, time_t started, json_t *records)
{
    const Study *s = study;
    return json_pack("{s:i, s:s, s:o, s:I, s:I, s:o, s:s, s:s, s:b, s:o, s:o, s:o, s:o}", "schema",
                     SCHEMA, "name", s->config->name, "system", system_info(started), "threads",
                     (json_int_t)s->config->threads, "seed", (json_int_t)s->config->seed,
                     "other_cpus_before", number_json(s->other_cpus_before), "isa", kernels()->isa,
                     "ops", precision_ops(), "include_emulated", (int)s->include_emulated, "energy",
                     energy_json(s), "models", models_json(s), "records", records, "orderings",
                     orderings_json(s));
}

/* ---- Markdown: formats and sizes ---- */

/* A record that does not count for ranks is marked. */
static void add_format(Table *t, const StudyRecord *r)
{
    bool emulated = strcmp(r->support, support_name(SUPPORT_EMULATED)) == 0;
    table_cells(t, "%s%s", study_format_title(r->precision),
                emulated ? " (emulated, not ranked)" : "");
}

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
        table_row(&t, "%s|%s|%s|%s|%s|%s|%s", study_format_title(p),
                  dtype_name(precision_weights(p)), dtype_name(precision_activations(p)),
                  dtype_name(product), dtype_name(precision_attention(p)),
                  support_name(precision_support(p)), product_instruction(product));
    }
    table_end(&t);
    fprintf(f, "\nOp by op: %s.\n", precision_ops());
}

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
        table_row(&t, "%.1f|%.1f", mebibytes(r->disk_bytes), mebibytes(largest_resident(s, r)));
    }
    table_end(&t);
}

/* ---- Markdown: what was measured ---- */

/* A table of the records of one kind of work; that of one without figures ends with the reason.
 * Whether there were any. */
static bool write_work(const Study *s, const char *work, Table *t,
                       void (*add)(Table *t, const StudyRecord *r))
{
    bool any = false;
    for (size_t i = 0; i < s->num_records; i++) {
        const StudyRecord *r = &s->records[i];
        if (strcmp(r->work, work) != 0)
            continue;
        any = true;
        table_text(t, r->model);
        if (r->batch_size != INT_MISSING)
            table_cells(t, "%" PRId64 "|%" PRId64, r->batch_size, r->seq_len);
        add_format(t, r);
        if (study_record_ok(r))
            add(t, r);
        else
            table_cells(t, "%s: %s", r->status, r->status_reason);
        table_row_end(t);
    }
    table_end(t);
    return any;
}

static void add_time(Table *t, const StudyRecord *r)
{
    table_cells(t, "%.4g [%.4g, %.4g]|%.4g|%.4g|%.2f [%.2f, %.2f]|%.4g [%.4g, %.4g]|%.4g|%.2e|%.2e",
                r->median_ms, r->median_lo_ms, r->median_hi_ms, r->samples_per_s, r->tokens_per_s,
                r->precision == PRECISION_FP32 ? 1 : r->speedup, r->speedup_lo, r->speedup_hi,
                r->energy_per_sample_j, r->energy_per_sample_lo_j, r->energy_per_sample_hi_j,
                r->energy_per_token_j, r->logit_mean_drift, r->logit_max_drift);
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
    Table t = table_new(f, TABLE_MARKDOWN,
                        "Model|Batch|Length|Format|Latency ms[]|Samples/s|Tokens/s|Speed-up[]|"
                        "J/sample[]|J/token|Mean drift|Max drift");
    table_heading(
        &t,
        "\n## 2. Time and energy\n\n"
        "Medians with 95 %% order-statistic intervals; formats took turns in one process, and a\n"
        "speed-up is FP32's time over the format's, paired by round. Drift: of the logits from\n"
        "FP32's.\n");
    if (write_work(s, "time", &t, add_time))
        write_energy_source(s, f);
}

static void add_accuracy(Table *t, const StudyRecord *r)
{
    table_cells(t, "%" PRId64 " of %" PRId64 "|%.1f [%.1f, %.1f]|%+.2f [%+.2f, %+.2f]", r->correct,
                r->total, 100 * r->accuracy, 100 * r->accuracy_lo, 100 * r->accuracy_hi,
                100 * r->accuracy_change, 100 * r->accuracy_change_lo, 100 * r->accuracy_change_hi);
    if (r->precision == PRECISION_FP32)
        table_text(t, NULL);
    else
        table_cells(t, "%" PRId64 " / %" PRId64, r->only_fp32_right, r->only_this_right);
    table_cells(t, "%" PRId64 "|%.3g|%.2e|%.2e|%.1e", r->flips, r->mcnemar_p, r->logit_mean_drift,
                r->logit_max_drift, r->mean_kl);
}

static void add_flips(Table *t, const Study *s, const StudyRecord *r)
{
    enum { TEXT_BYTES = 60 };
    const StudySubject *subject = study_subject_of(s, r);
    char text[TEXT_BYTES + 4];
    for (size_t i = 0; i < r->flip_list.count; i++) {
        const Flip *flip = &r->flip_list.at[i];
        text_start(subject->texts.at[flip->text].text, TEXT_BYTES, text);
        table_row(t, "%s|%zu|%s|%s|%s|%.3g|%s", study_format_title(r->precision), flip->text,
                  subject->labels.at[flip->right], subject->labels.at[flip->before],
                  subject->labels.at[flip->after], flip->margin, text);
    }
}

static void write_accuracies(const Study *s, FILE *f)
{
    Table t = table_new(f, TABLE_MARKDOWN,
                        "Model|Format|Right|Accuracy %[]|Change[]|Only FP32 / this|Flips|p|"
                        "Mean drift|Max drift|KL");
    table_heading(&t, "\n## 4. Accuracy\n\n"
                      "Accuracy with Wilson's interval; change against FP32 on the same texts in "
                      "points, with\n"
                      "its paired interval; right with FP32 alone / with this format alone, and "
                      "McNemar's\n"
                      "exact p of \"equally often right\".\n");
    write_work(s, "accuracy", &t, add_accuracy);
    Table flips = table_new(f, TABLE_MARKDOWN, "Format|Sample|Right|FP32|Now|Margin|Begins");
    table_heading(&flips, "\nFlipped labels (sample, counted from 0; margin of FP32's logits "
                          "between the two):\n");
    for (size_t i = 0; i < s->num_records; i++)
        add_flips(&flips, s, &s->records[i]);
    table_end(&flips);
}

static void add_perplexity(Table *t, const StudyRecord *r)
{
    table_cells(t, "%" PRId64 "|%.5g|%.5g|%+.4f [%+.4f, %+.4f]|%.2e|%.2e|%.3f [%.3f, %.3f]",
                r->total, r->perplexity, r->bits_per_byte, 100 * r->perplexity_change,
                100 * r->perplexity_change_lo, 100 * r->perplexity_change_hi, r->mean_kl,
                r->kl_p999, 100 * r->same_top_share, 100 * r->same_top_lo, 100 * r->same_top_hi);
}

static void write_windows(const StudySubject *subject, FILE *f)
{
    const StudyModel *m = subject->asked;
    size_t count = subject->windows.count;
    fprintf(f, "- %s: %zu window%s of %zu tokens, %zu bytes of '%s'", m->source.name, count,
            count == 1 ? "" : "s", subject->context, subject->windows.bytes, m->text);
    if (subject->stored != ST_F32)
        fprintf(f, "; FP32 is its weights of %s, widened", st_dtype_name(subject->stored));
    fprintf(f, ".\n");
}

static void write_perplexities(const Study *s, FILE *f)
{
    Table t = table_new(f, TABLE_MARKDOWN,
                        "Model|Format|Windows|Perplexity|Bits a byte|Change %[]|Mean KL|99.9 % KL|"
                        "Same top %[]");
    table_heading(&t,
                  "\n## 5. Perplexity\n\n"
                  "Of each token of a text's windows, which do not overlap, after those before it "
                  "in its\n"
                  "window; change against FP32 on the same windows. KL: divergence of a position's "
                  "probabilities\n"
                  "from FP32's, nats; same top: positions whose likeliest token is FP32's, with "
                  "Wilson's interval\n"
                  "as if they were independent. Attention and logits are fp32 in every format, as "
                  "in `tare\n"
                  "generate`.\n");
    if (!write_work(s, "perplexity", &t, add_perplexity))
        return;
    fputc('\n', f);
    for (size_t i = 0; i < s->num_records; i++)
        if (strcmp(s->records[i].work, "perplexity") == 0 &&
            s->records[i].precision == PRECISION_FP32)
            write_windows(study_subject_of(s, &s->records[i]), f);
}

/* ---- Markdown: expectations ---- */

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
        table_row(&t, "%s|%s|%s|%s%s%s%s|**%s**", o->measure, o->where, o->expected,
                  *o->observed ? o->observed : "-", *o->note ? " (" : "", o->note,
                  *o->note ? ")" : "", agreement_name(o->verdict));
    }
    table_end(&t);
}

static void write_markdown(const void *study, time_t started, FILE *f)
{
    const Study *s = study;
    fprintf(f, "# Precision: %s\n\n", s->config->name);
    system_info_print(started, s->config->threads, f);
    fprintf(f, "**Kernels:** %s\n", kernels()->isa);
    other_cpus_print(s->other_cpus_before, f);
    for (size_t i = 0; i < s->config->num_models; i++)
        if (!s->subjects[i].there)
            fprintf(f, "\nLeft out: %s, %s.\n", s->subjects[i].asked->source.name,
                    s->subjects[i].left_out.msg);
    write_formats(s, f);
    write_times(s, f);
    write_sizes(s, f);
    write_accuracies(s, f);
    write_perplexities(s, f);
    write_orderings(s, f);
}

const Report study_report = {&study_schema, fill_record, record_details, make_document,
                             write_markdown};
