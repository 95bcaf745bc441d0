/* quality: what a format does to a classifier's labels and to a language model's predictions;
 * see study.h. Each format is loaded, run over all data and released before the next. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/text/classifier.h"
#include "bench/util/interrupt.h"
#include "bench/precision/study.h"
#include "bench/stats/stats.h"

/* Sequences of a batch; a text's logits do not depend on it. */
enum { ROWS = 16 };

/* What one format computed: logits [texts, labels], or mean losses [windows]. NULL = it failed. */
typedef struct Outputs {
    float *logits;
    double *losses;
} Outputs;

static size_t longest(const Examples *e)
{
    size_t most = 0;
    for (size_t i = 0; i < e->count; i++)
        most = example_length(e, i) > most ? example_length(e, i) : most;
    return most;
}

/* ---- running ---- */

/* of_batch: room for [ROWS, labels]. */
static void classify_batch(Model *m, const Examples *e, const TrainBatch *b, BatchArrays *arrays,
                           float *of_batch, float *logits)
{
    size_t labels = m->config.num_labels;
    batch_fill(e, b, ROWS, m->options.wants.rows, arrays);
    model_set_tokens(m, arrays->tokens);
    model_set_starts(m, arrays->starts);
    model_forward(m);
    exec_read(m->record.logits, of_batch);
    for (size_t i = 0; i < b->count; i++)
        for (size_t k = 0; k < labels; k++)
            logits[b->example[i] * labels + k] = of_batch[i * labels + k];
}

static Outputs classify_all(const Study *s, const StudySubject *subject, StudyRecord *r)
{
    const Examples *e = &subject->examples;
    size_t length = longest(e);
    RecordWants wants = {.batch = ROWS, .context = length, .rows = ROWS * length, .logits = true};
    Outputs out = {0};
    Model m;
    if (!study_load(s, subject, &wants, r, &m))
        return out;
    Batches batches;
    BatchArrays arrays = batch_arrays_new(ROWS, wants.rows);
    batches_build(&batches, e, &length, 1, (BatchOrder){.batch_size = ROWS});
    out.logits = xcalloc(e->count * m.config.num_labels, sizeof *out.logits);
    OWNED float *of_batch = xcalloc(ROWS * m.config.num_labels, sizeof *of_batch);
    for (size_t i = 0; i < batches.count && !interrupted(); i++)
        classify_batch(&m, e, &batches.at[i], &arrays, of_batch, out.logits);
    if (!interrupted() && !classifier_finite(out.logits, e->count * m.config.num_labels))
        study_fail_not_finite(r);
    batches_release(&batches);
    batch_arrays_free(&arrays);
    model_release(&m);
    return out;
}

/* One window at a time, for each has its own loss. */
static Outputs predict_all(const Study *s, const StudySubject *subject, StudyRecord *r)
{
    const Examples *e = &subject->windows;
    size_t length = longest(e);
    RecordWants wants = {.batch = 1, .context = length, .loss = true};
    Outputs out = {0};
    Model m;
    if (!study_load(s, subject, &wants, r, &m))
        return out;
    BatchArrays arrays = batch_arrays_new(1, length);
    out.losses = xcalloc(e->count, sizeof *out.losses);
    for (uint32_t i = 0; i < e->count && !interrupted(); i++) {
        batch_fill(e, &(TrainBatch){length, &i, 1}, 1, length, &arrays);
        model_set_tokens(&m, arrays.tokens);
        model_set_targets(&m, arrays.targets);
        model_forward(&m);
        out.losses[i] = (double)model_loss(&m);
        if (!isfinite(out.losses[i]) && study_record_ok(r))
            study_fail_not_finite(r);
    }
    batch_arrays_free(&arrays);
    model_release(&m);
    return out;
}

/* ---- figures ---- */

/* Beside fp32's outputs, or its own where fp32 could not run: then, as for fp32 itself, nothing is
 * said of a change. */
static void fill_accuracy(const StudySubject *subject, const Outputs *fp32, const Outputs *own,
                          StudyRecord *r)
{
    const Examples *e = &subject->examples;
    size_t labels = subject->files.config.num_labels;
    Scored a = {e->count, labels, fp32->logits, e->label};
    Scored b = {e->count, labels, own->logits, e->label};
    ClassifierChange c = classifier_change(&a, &b);
    Interval wilson = wilson_interval(c.correct, e->count, CONFIDENCE_LEVEL);
    r->correct = (int64_t)c.correct;
    r->total = (int64_t)e->count;
    r->accuracy = (double)c.correct / (double)e->count;
    r->accuracy_lo = wilson.lo;
    r->accuracy_hi = wilson.hi;
    r->flip_list = c.flips;
    if (own == fp32)
        return;
    r->accuracy_change = c.change;
    r->accuracy_change_lo = c.change_interval.lo;
    r->accuracy_change_hi = c.change_interval.hi;
    r->only_fp32_right = (int64_t)c.only_a;
    r->only_this_right = (int64_t)c.only_b;
    r->mcnemar_p = c.mcnemar_p;
    r->flips = (int64_t)c.flips.count;
    r->mean_kl = c.mean_kl;
    r->logit_mean_drift = c.mean_drift;
    r->logit_max_drift = c.max_drift;
}

static void fill_perplexity(const StudySubject *subject, const Outputs *fp32, const Outputs *own,
                            StudyRecord *r)
{
    PerplexityChange c = perplexity_change(fp32->losses, own->losses, subject->windows.count);
    r->total = (int64_t)subject->windows.count;
    r->perplexity = c.perplexity;
    r->bits_per_byte = c.bits_per_byte;
    if (own == fp32)
        return;
    r->perplexity_change = c.change;
    r->perplexity_change_lo = c.interval.lo;
    r->perplexity_change_hi = c.interval.hi;
}

/* ---- the two ---- */

typedef struct Quality {
    const char *work;
    Outputs (*run)(const Study *s, const StudySubject *subject, StudyRecord *r);
    void (*fill)(const StudySubject *subject, const Outputs *fp32, const Outputs *own,
                 StudyRecord *r);
} Quality;

/* Format 0 is fp32. */
static int study_quality(Study *s, const StudySubject *subject, const Quality *q, Err *err)
{
    size_t n = s->config->num_formats;
    StudyRecord *records = study_new_records(s, subject, q->work);
    OWNED Outputs *outputs = xcalloc(n, sizeof *outputs);
    for (size_t i = 0; i < n && !interrupted(); i++)
        if (study_record_ok(&records[i]))
            outputs[i] = q->run(s, subject, &records[i]);
    bool has_fp32 = study_record_ok(&records[0]);
    for (size_t i = 0; i < n && !interrupted(); i++)
        if (study_record_ok(&records[i]))
            q->fill(subject, &outputs[has_fp32 ? 0 : i], &outputs[i], &records[i]);
    for (size_t i = 0; i < n; i++) {
        free(outputs[i].logits);
        free(outputs[i].losses);
    }
    return study_finish(s, records, err);
}

int study_accuracy(Study *s, const StudySubject *subject, Err *err)
{
    return study_quality(s, subject, &(Quality){"accuracy", classify_all, fill_accuracy}, err);
}

int study_perplexity(Study *s, const StudySubject *subject, Err *err)
{
    return study_quality(s, subject, &(Quality){"perplexity", predict_all, fill_perplexity}, err);
}
