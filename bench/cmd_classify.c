/* cmd_classify: `tare classify`: a line of text in; its label, a tab and the label's probability out.
 *
 * Each line is answered before the next is read. A text runs in the recording of the shortest length that
 * holds it; what is longer than the model's positions is cut by the tokenizer. */
#include <errno.h>
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../model/bucketed.h"
#include "../model/checkpoint.h"
#include "../model/model_dir.h"
#include "../model/wordpiece.h"
#include "commands.h"
#include "lines.h"
#include "options.h"

typedef struct Classifier {
    WordPiece *tokenizer;
    Labels labels;
    Bucketed model;
    IdBuffer ids;
    int32_t *tokens, *mask; /* [max_positions] */
} Classifier;

static void classifier_release(Classifier *c)
{
    wordpiece_free(c->tokenizer);
    labels_release(&c->labels);
    bucketed_release(&c->model);
    id_buffer_release(&c->ids);
    free(c->tokens);
    free(c->mask);
}

/* One text at a time, at 8, 16, 32, ... positions up to all that the model has. */
static void plan(Classifier *c, const ModelConfig *config, int threads)
{
    size_t contexts[32], count = 0;
    for (size_t length = 8; length < config->max_positions; length *= 2)
        contexts[count++] = length;
    contexts[count++] = config->max_positions;
    RecordWants wants = {.batch = 1, .mask = true, .logits = true};
    bucketed_plan(&c->model, config, &wants, contexts, count, false, threads);
}

static int load(Classifier *c, Checkpoint *ck, const char *dir, int threads, Err *err)
{
    const ModelConfig *config = &ck->config;
    if (config->head != HEAD_CLASSIFIER)
        return err_set(err, "'%s' has no classifier; tare train makes one", dir);
    if (config->max_positions < 2)
        return err_set(err, "'%s' has no room for a text", dir);
    if (!(c->tokenizer = wordpiece_load(dir, err)) ||
        labels_load(&c->labels, dir, config->num_labels, err) != 0)
        return -1;
    if (wordpiece_num_ids(c->tokenizer) > config->vocab_size)
        return err_set(err, "'%s': the tokenizer has %zu ids, but the model only %zu", dir,
                       wordpiece_num_ids(c->tokenizer), config->vocab_size);
    plan(c, config, threads);
    c->tokens = xcalloc(config->max_positions, sizeof *c->tokens);
    c->mask = xcalloc(config->max_positions, sizeof *c->mask);
    if (bucketed_alloc(&c->model, (ParamsMemory){.packs = true}, err) != 0)
        return -1;
    return checkpoint_load(ck, &c->model.params, err);
}

/* The best label; *probability is its softmax. */
static size_t classify(Classifier *c, const char *text, size_t len, double *probability)
{
    Bucketed *m = &c->model;
    c->ids.count = 0;
    wordpiece_encode(c->tokenizer, text, len, m->config.max_positions, &c->ids);
    size_t bucket = bucketed_find(m, c->ids.count), context = m->list[bucket].context;
    for (size_t t = 0; t < context; t++) {
        c->mask[t] = t < c->ids.count;
        c->tokens[t] = c->mask[t] ? c->ids.ids[t] : 0;
    }
    bucketed_forward(m, bucket, &(BucketInput){.tokens = c->tokens, .mask = c->mask});
    const float *logits = bucketed_logits(m, bucket);
    size_t best = 0;
    for (size_t k = 1; k < m->config.num_labels; k++)
        best = logits[k] > logits[best] ? k : best;
    double sum = 0;
    for (size_t k = 0; k < m->config.num_labels; k++)
        sum += exp((double)logits[k] - (double)logits[best]);
    *probability = 1 / sum;
    return best;
}

static int classify_lines(Classifier *c, Lines *in, Err *err)
{
    int more;
    while ((more = lines_next(in, err)) == 1) {
        double probability;
        size_t label = classify(c, in->line, in->len, &probability);
        printf("%s\t%.6f\n", c->labels.at[label], probability);
        if (fflush(stdout) != 0)
            return err_set(err, "cannot write to standard output: %s", strerror(errno));
    }
    return more;
}

static int run(const char *dir, const char *file, int threads, Err *err)
{
    Checkpoint ck;
    if (checkpoint_open(&ck, dir, err) != 0)
        return -1;
    Classifier c = {0};
    Lines in = {0};
    int status = load(&c, &ck, dir, threads, err);
    if (status == 0 && ck.unused)
        fprintf(stderr, "tare: not used: %s\n", ck.unused);
    checkpoint_release(&ck);
    if (status == 0)
        status = lines_open(&in, file, err);
    if (status == 0)
        status = classify_lines(&c, &in, err);
    lines_close(&in);
    classifier_release(&c);
    return status;
}

int cmd_classify(int argc, char **argv, Err *err)
{
    int64_t threads = omp_get_max_threads();
    const Option options[] = {
        {.name = "--threads",
         .kind = OPTION_INT,
         .value_name = "N",
         .help = "threads (default: OMP_NUM_THREADS, else all processors)",
         .target = &threads,
         .min = 1,
         .max = 4096},
    };
    const Command command = {
        .verb = "classify",
        .arguments = "MODEL_DIR [FILE]",
        .summary = "Prints label, tab and probability for each line of FILE, or of standard input.",
        .options = options,
        .num_options = COUNT_OF(options),
        .min_arguments = 1,
        .max_arguments = 2,
        .notes =
            "MODEL_DIR is a DistilBERT or BERT sequence classifier with its vocab.txt, such as\n"
            "tare train makes. Labels are called as config.json's id2label says. Lines end at\n"
            "LF only; texts longer than the model's positions are cut.\n",
    };
    const char *arguments[2] = {NULL, NULL};
    size_t count;
    OptionsOutcome outcome = options_parse(&command, argc, argv, arguments, &count, err);
    if (outcome != OPTIONS_RUN)
        return outcome == OPTIONS_HELP ? 0 : 2;
    return run(arguments[0], arguments[1], (int)threads, err) == 0 ? 0 : 2;
}
