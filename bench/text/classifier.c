/* classifier: see classifier.h. */
#include "bench/text/classifier.h"

#include <math.h>
#include <stdlib.h>

#include "model/files/checkpoint.h"

/* Padding is work for nothing: short texts, which most are, run at their own length. */
enum { STEP = 1, FINE_UP_TO = 128, COARSE_STEP = 64, MAX_BUCKETS = 512 };

void classifier_release(Classifier *c)
{
    wordpiece_free(c->tokenizer);
    labels_release(&c->labels);
    bucketed_release(&c->model);
    id_buffer_release(&c->ids);
    free(c->tokens);
    free(c->mask);
    free(c->types);
    free(c->unused);
    *c = (Classifier){0};
}

/* One text at a time, at lengths up to all that it may have. */
static void plan(Classifier *c, const ModelConfig *config, bool pairs, int threads)
{
    size_t contexts[MAX_BUCKETS], count = 0, length = STEP;
    while (length < c->max_length && count < MAX_BUCKETS - 1) {
        contexts[count++] = length;
        length += length < FINE_UP_TO ? STEP : COARSE_STEP;
    }
    contexts[count++] = c->max_length;
    RecordWants wants = {.batch = 1, .mask = true, .types = pairs, .logits = true};
    bucketed_plan(&c->model, config, &wants, contexts, count, false, threads);
}

static int load(Classifier *c, Checkpoint *ck, const char *dir, bool pairs, int threads, Err *err)
{
    const ModelConfig *config = &ck->config;
    if (config->head != HEAD_CLASSIFIER)
        return err_set(err, "'%s' has no classifier; tare train makes one", dir);
    if (config->max_positions < (pairs ? 3 : 2))
        return err_set(err, "'%s' has no room for a text", dir);
    if (pairs && config->type_vocab_size == 1)
        return err_set(err, "'%s' has one token type, two texts need two", dir);
    if (!(c->tokenizer = wordpiece_load(dir, err)) ||
        labels_load(&c->labels, dir, config->num_labels, err) != 0)
        return -1;
    if (wordpiece_num_ids(c->tokenizer) > config->vocab_size)
        return err_set(err, "'%s': the tokenizer has %zu ids, but the model only %zu", dir,
                       wordpiece_num_ids(c->tokenizer), config->vocab_size);
    if (c->max_length == 0 || c->max_length > config->max_positions)
        c->max_length = config->max_positions;
    plan(c, config, pairs, threads);
    c->tokens = xcalloc(c->max_length, sizeof *c->tokens);
    c->mask = xcalloc(c->max_length, sizeof *c->mask);
    c->types = xcalloc(c->max_length, sizeof *c->types);
    if (bucketed_alloc(&c->model, (ParamsMemory){.packs = true}, err) != 0)
        return -1;
    return checkpoint_load(ck, &c->model.params, err);
}

int classifier_init(Classifier *c, const char *dir, size_t max_length, bool pairs, int threads,
                    Err *err)
{
    Checkpoint ck;
    *c = (Classifier){.max_length = max_length};
    if (checkpoint_open(&ck, dir, err) != 0)
        return -1;
    int status = load(c, &ck, dir, pairs, threads, err);
    if (status == 0 && ck.unused)
        c->unused = xstrdup(ck.unused);
    checkpoint_release(&ck);
    return status;
}

size_t classifier_encode(Classifier *c, const char *text, size_t len)
{
    c->ids.count = 0;
    c->second = SIZE_MAX;
    return wordpiece_encode(c->tokenizer, text, len, c->max_length, &c->ids);
}

size_t classifier_encode_pair(Classifier *c, WordText a, WordText b)
{
    c->ids.count = 0;
    return wordpiece_encode_pair(c->tokenizer, a, b, c->max_length, &c->ids, &c->second);
}

const float *classifier_run(Classifier *c)
{
    Bucketed *m = &c->model;
    size_t bucket = bucketed_find(m, c->ids.count), context = m->list[bucket].size;
    for (size_t t = 0; t < context; t++) {
        c->mask[t] = t < c->ids.count;
        c->tokens[t] = c->mask[t] ? c->ids.ids[t] : 0;
        c->types[t] = c->mask[t] && t >= c->second;
    }
    bucketed_forward(m, bucket,
                     &(BucketInput){.tokens = c->tokens, .mask = c->mask, .types = c->types});
    return bucketed_logits(m, bucket);
}

bool classifier_finite(const float *logits, size_t count)
{
    size_t finite = 0;
    while (finite < count && isfinite(logits[finite]))
        finite++;
    return finite == count;
}

size_t classifier_best(const float *logits, size_t count)
{
    size_t best = 0;
    for (size_t k = 1; k < count; k++)
        best = logits[k] > logits[best] ? k : best;
    return best;
}

void classifier_scores(const Classifier *c, const float *logits, double *scores)
{
    size_t count = c->labels.count;
    double largest = (double)logits[classifier_best(logits, count)], sum = 0;
    for (size_t k = 0; k < count; k++)
        sum += exp((double)logits[k] - largest);
    for (size_t k = 0; k < count; k++) {
        double x = (double)logits[k];
        scores[k] = c->labels.scoring == SCORING_SOFTMAX   ? exp(x - largest) / sum
                    : c->labels.scoring == SCORING_SIGMOID ? 1 / (1 + exp(-x))
                                                           : x;
    }
}
