/* quality: what a format does to a classifier's labels and to a language model's predictions;
 * see study.h. Each format is loaded, run over all data, or as much as fp32's logits are kept of,
 * and released before the next. */
#include <math.h>
#include <stdlib.h>

#include "bench/text/classifier.h"
#include "bench/util/interrupt.h"
#include "bench/precision/accuracy.h"
#include "bench/precision/study.h"
#include "bench/stats/stats.h"

/* Sequences of a batch; a text's logits do not depend on it. */
enum { ROWS = 16 };

/* ---- classifiers ---- */

static size_t longest(const Examples *e)
{
    size_t most = 0;
    for (size_t i = 0; i < e->count; i++)
        most = example_length(e, i) > most ? example_length(e, i) : most;
    return most;
}

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

/* Logits [texts, labels], or NULL: the record says why. */
static float *classify_all(const Study *s, const StudySubject *subject, StudyRecord *r)
{
    const Examples *e = &subject->examples;
    size_t length = longest(e), labels = subject->files.config.num_labels;
    RecordWants wants = {.batch = ROWS, .context = length, .rows = ROWS * length, .logits = true};
    Model m;
    if (!study_load(s, subject, &(ModelOptions){.wants = wants, .pack_weights = true}, 0, r, &m))
        return NULL;
    Batches batches;
    BatchArrays arrays = batch_arrays_new(ROWS, wants.rows);
    batches_build(&batches, e, &length, 1, (BatchOrder){.batch_size = ROWS});
    float *logits = xcalloc(e->count * labels, sizeof *logits);
    OWNED float *of_batch = xcalloc(ROWS * labels, sizeof *of_batch);
    for (size_t i = 0; i < batches.count && !interrupted(); i++)
        classify_batch(&m, e, &batches.at[i], &arrays, of_batch, logits);
    if (!interrupted() && !classifier_finite(logits, e->count * labels))
        study_fail_not_finite(r);
    batches_release(&batches);
    batch_arrays_free(&arrays);
    model_release(&m);
    return logits;
}

/* Format 0 is fp32. Beside its outputs, or its own where fp32 could not run: then, as for fp32
 * itself, nothing is said of a change. */
int study_accuracy(Study *s, const StudySubject *subject, Err *err)
{
    const Examples *e = &subject->examples;
    size_t n = s->config->num_formats, labels = subject->files.config.num_labels;
    StudyRecord *records = study_new_records(s, subject, "accuracy");
    float *logits[NUM_PRECISIONS] = {NULL};
    for (size_t i = 0; i < n && !interrupted(); i++)
        if (study_record_ok(&records[i]))
            logits[i] = classify_all(s, subject, &records[i]);
    bool has_fp32 = study_record_ok(&records[0]);
    for (size_t i = 0; i < n && !interrupted(); i++)
        if (study_record_ok(&records[i]))
            record_accuracy(&records[i],
                            &(Scored){e->count, labels, logits[has_fp32 ? 0 : i], e->label},
                            &(Scored){e->count, labels, logits[i], e->label});
    for (size_t i = 0; i < n; i++)
        free(logits[i]);
    return study_finish(s, records, err);
}

/* ---- language models ---- */

/* What one format predicted. */
typedef struct Predictions {
    double *losses;     /* [windows], means of their tokens, nats */
    double *divergence; /* [positions] of all windows, from fp32 */
    size_t same_top;    /* of these positions */
} Predictions;

/* The logits that fp32 gave for some windows, `from` to `to`. Logits of all windows would be many
 * gigabytes, so all formats run over these before fp32 runs over the next. */
typedef struct Kept {
    size_t from, to, most;
    float *logits; /* [most, context, vocabulary]; NULL until fp32 is loaded */
    Scores *scores;
} Kept;

/* The logits of window i, in fp32's place or a place for one window, turned into its figures.
 * fp32: its scores of the window, to be filled by itself; NULL where it failed. */
static void score_window(const Study *s, const StudySubject *subject, size_t i, const float *logits,
                         bool is_fp32, Scores *fp32, Predictions *own)
{
    size_t context = subject->context, vocabulary = subject->files.config.vocab_size, same = 0;
    const int32_t *right = subject->windows.ids + subject->windows.start[i] + 1;
    double *divergence = own->divergence + i * context;
    OWNED double *losses = xcalloc(context, sizeof *losses);
#pragma omp parallel for schedule(static) num_threads(s->config->threads) reduction(+ : same)
    for (size_t t = 0; t < context; t++) {
        Scores scores = scores_of(logits + t * vocabulary, vocabulary);
        losses[t] = scores_loss(&scores, right[t]);
        if (is_fp32) {
            fp32[t] = scores;
        } else if (fp32) {
            divergence[t] = scores_divergence(&fp32[t], &scores, vocabulary);
            same += scores.top == fp32[t].top;
        }
    }
    own->losses[i] = mean_of(losses, context);
    own->same_top += same;
}

static void run_window(Model *m, const StudySubject *subject, size_t i, BatchArrays *arrays,
                       float *logits)
{
    const uint32_t example = (uint32_t)i;
    size_t context = subject->context;
    batch_fill(&subject->windows, &(TrainBatch){context, &example, 1}, 1, context, arrays);
    if (subject->first_id >= 0)
        arrays->tokens[0] = subject->first_id;
    model_set_tokens(m, arrays->tokens);
    model_forward(m);
    exec_read(m->record.logits, logits);
}

/* One format over the windows of `kept`. */
static void predict(const Study *s, const StudySubject *subject, bool has_fp32, Kept *kept,
                    Predictions *own, StudyRecord *r)
{
    bool is_fp32 = r->precision == PRECISION_FP32;
    size_t context = subject->context, window = context * subject->files.config.vocab_size;
    size_t places = is_fp32 ? (kept->logits ? 0 : kept->most) : 1;
    int64_t limit = memory_auto_limit();
    size_t beside = places * window * sizeof(float);
    ModelOptions options = {.wants = {.batch = 1, .context = context, .logits = true},
                            .as_decoder = true,
                            .pack_weights = true};
    if (limit != INT_MISSING)
        options.memory_limit = (size_t)limit > beside ? (size_t)limit - beside : 1;
    Model m;
    if (!study_load(s, subject, &options, beside, r, &m))
        return;
    float *logits = places > 0 ? xmalloc(beside) : kept->logits;
    if (is_fp32)
        kept->logits = logits;
    BatchArrays arrays = batch_arrays_new(1, context);
    for (size_t i = kept->from; i < kept->to && study_record_ok(r) && !interrupted(); i++) {
        size_t place = i - kept->from;
        float *of_window = logits + (is_fp32 ? place * window : 0);
        run_window(&m, subject, i, &arrays, of_window);
        score_window(s, subject, i, of_window, is_fp32,
                     has_fp32 ? kept->scores + place * context : NULL, own);
        if (!isfinite(own->losses[i]))
            study_fail_not_finite(r);
    }
    if (!is_fp32)
        free(logits);
    batch_arrays_free(&arrays);
    model_release(&m);
}

static void predict_all(const Study *s, const StudySubject *subject, Predictions *own,
                        StudyRecord *records)
{
    size_t count = subject->windows.count, context = subject->context;
    size_t most = s->kept_bytes / (context * subject->files.config.vocab_size * sizeof(float));
    most = most < 1 ? 1 : most < count ? most : count;
    Kept kept = {.most = most, .scores = xcalloc(most * context, sizeof *kept.scores)};
    for (; kept.from < count; kept.from = kept.to) {
        kept.to = kept.from + most < count ? kept.from + most : count;
        for (size_t i = 0; i < s->config->num_formats && !interrupted(); i++)
            if (study_record_ok(&records[i]))
                predict(s, subject, study_record_ok(&records[0]), &kept, &own[i], &records[i]);
    }
    free(kept.logits);
    free(kept.scores);
}

static void fill_perplexity(const StudySubject *subject, const Predictions *fp32,
                            const Predictions *own, StudyRecord *r)
{
    const Examples *e = &subject->windows;
    size_t positions = e->count * subject->context;
    r->context = (int64_t)subject->context;
    r->text_bytes = (int64_t)e->bytes;
    record_perplexity(r, fp32->losses, own->losses, e->count, (double)e->bytes / (double)positions);
    if (own != fp32)
        record_divergence(r, own->divergence, positions, own->same_top);
}

/* As study_accuracy. */
int study_perplexity(Study *s, const StudySubject *subject, Err *err)
{
    size_t n = s->config->num_formats, windows = subject->windows.count;
    StudyRecord *records = study_new_records(s, subject, "perplexity");
    Predictions own[NUM_PRECISIONS];
    for (size_t i = 0; i < n; i++)
        own[i] = (Predictions){.losses = xcalloc(windows, sizeof(double)),
                               .divergence = xcalloc(windows * subject->context, sizeof(double))};
    predict_all(s, subject, own, records);
    bool has_fp32 = study_record_ok(&records[0]);
    for (size_t i = 0; i < n && !interrupted(); i++)
        if (study_record_ok(&records[i]))
            fill_perplexity(subject, &own[has_fp32 ? 0 : i], &own[i], &records[i]);
    for (size_t i = 0; i < n; i++) {
        free(own[i].losses);
        free(own[i].divergence);
    }
    return study_finish(s, records, err);
}
