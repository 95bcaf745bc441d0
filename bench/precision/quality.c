/* quality: what a format does to a classifier's labels and to a language model's predictions;
 * see study.h. Each format is loaded, run over all data and released before the next. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/text/classifier.h"
#include "bench/util/interrupt.h"
#include "bench/precision/accuracy.h"
#include "bench/precision/study.h"
#include "bench/stats/stats.h"

/* Sequences of a batch; a text's logits do not depend on it. And how many positions are compared
 * with fp32's, in whole windows: fp32's logits are kept for it. */
enum { ROWS = 16, MOST_POSITIONS = 1 << 16 };

/* What one format computed: logits [texts, labels]; or mean losses [windows] and, of the first
 * `positions`, fp32's logits [positions, vocabulary], or the divergence of others from them
 * [positions]. NULL = it failed. */
typedef struct Outputs {
    float *logits;
    double *losses, *divergence;
    size_t positions, same_top;
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

static Outputs classify_all(const Study *s, const StudySubject *subject, const Outputs *fp32,
                            StudyRecord *r)
{
    (void)fp32;
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

/* The logits of one window: kept, or compared with those that fp32 kept. */
static void take_positions(Outputs *out, const Outputs *fp32, const float *logits, size_t n,
                           size_t vocabulary)
{
    const float *base = fp32 ? fp32->logits + out->positions * vocabulary : NULL;
    if (!base)
        memcpy(out->logits + out->positions * vocabulary, logits, n * vocabulary * sizeof *logits);
    for (size_t i = 0; i < n && base; i++) {
        const float *before = base + i * vocabulary, *after = logits + i * vocabulary;
        out->divergence[out->positions + i] = divergence_of(before, after, vocabulary);
        out->same_top += same_top_of(before, after, vocabulary);
    }
    out->positions += n;
}

/* One window at a time, for each has its own loss. fp32: NULL for itself, and where it failed. */
static Outputs predict_all(const Study *s, const StudySubject *subject, const Outputs *fp32,
                           StudyRecord *r)
{
    const Examples *e = &subject->windows;
    size_t length = longest(e), vocabulary = subject->files.config.vocab_size;
    size_t most =
        (e->count < MOST_POSITIONS / length ? e->count : MOST_POSITIONS / length) * length;
    RecordWants wants = {.batch = 1, .context = length, .loss = true, .logits = true};
    Outputs out = {0};
    Model m;
    if (!study_load(s, subject, &wants, r, &m))
        return out;
    BatchArrays arrays = batch_arrays_new(1, length);
    out.losses = xcalloc(e->count, sizeof *out.losses);
    if (fp32)
        out.divergence = xcalloc(most + 1, sizeof *out.divergence);
    else
        out.logits = xcalloc(most * vocabulary + 1, sizeof *out.logits);
    OWNED float *of_window = xcalloc(length * vocabulary, sizeof *of_window);
    for (uint32_t i = 0; i < e->count && !interrupted(); i++) {
        batch_fill(e, &(TrainBatch){length, &i, 1}, 1, length, &arrays);
        model_set_tokens(&m, arrays.tokens);
        model_set_targets(&m, arrays.targets);
        model_forward(&m);
        out.losses[i] = (double)model_loss(&m);
        if (!isfinite(out.losses[i]) && study_record_ok(r))
            study_fail_not_finite(r);
        if (out.positions + length > most)
            continue;
        exec_read(m.record.logits, of_window);
        take_positions(&out, fp32, of_window, example_length(e, i), vocabulary);
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
    record_accuracy(r, &(Scored){e->count, labels, fp32->logits, e->label},
                    &(Scored){e->count, labels, own->logits, e->label});
}

static void fill_perplexity(const StudySubject *subject, const Outputs *fp32, const Outputs *own,
                            StudyRecord *r)
{
    record_perplexity(r, fp32->losses, own->losses, subject->windows.count);
    if (own->divergence && own->positions > 0)
        record_divergence(r, own->divergence, own->positions, own->same_top);
}

/* ---- the two ---- */

typedef struct Quality {
    const char *work;
    Outputs (*run)(const Study *s, const StudySubject *subject, const Outputs *fp32,
                   StudyRecord *r);
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
            outputs[i] = q->run(s, subject, i > 0 && study_record_ok(&records[0]) ? outputs : NULL,
                                &records[i]);
    bool has_fp32 = study_record_ok(&records[0]);
    for (size_t i = 0; i < n && !interrupted(); i++)
        if (study_record_ok(&records[i]))
            q->fill(subject, &outputs[has_fp32 ? 0 : i], &outputs[i], &records[i]);
    for (size_t i = 0; i < n; i++) {
        free(outputs[i].logits);
        free(outputs[i].losses);
        free(outputs[i].divergence);
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
