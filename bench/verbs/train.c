/* train: `tare train`: from a config file to a checkpoint that the transformers library loads. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "model/files/paths.h"
#include "bench/commands.h"
#include "bench/util/interrupt.h"
#include "bench/util/config.h"
#include "bench/machine/threads.h"
#include "bench/train/train.h"
#include "bench/util/owned.h"

static void print_evaluation(Trainer *t, const char *name, const Examples *e)
{
    if (e->count == 0)
        return;
    Evaluation r = train_evaluate(t, e);
    if (e->label)
        printf("%s: accuracy %.4f (%zu of %zu), loss %.4f\n", name,
               (double)r.right / (double)r.count, r.right, r.count, r.loss);
    else
        printf("%s: loss %.4f, %.4f bits per byte\n", name, r.loss, r.loss / log(2));
}

/* The order of a training, for whoever wants to repeat it elsewhere: a line for each batch with its
 * epoch, a length that none of its examples exceeds, and these by their place in the file. */
static void print_batches(const Trainer *t)
{
    for (uint64_t epoch = 0; epoch < (uint64_t)t->config.epochs; epoch++) {
        OWNED_BY(batches_release) Batches batches;
        BatchOrder order = {(size_t)t->config.batch_size, true, (uint64_t)t->config.seed, epoch};
        batches_build(&batches, &t->train, t->lengths, t->num_lengths, order);
        for (size_t i = 0; i < batches.count; i++) {
            const TrainBatch *b = &batches.at[i];
            printf("%llu\t%zu\t", (unsigned long long)epoch, b->context);
            for (size_t k = 0; k < b->count; k++)
                printf("%u%c", b->example[k], k + 1 < b->count ? ' ' : '\n');
        }
    }
}

static int train(Trainer *t, const TrainOptions *o, Err *err)
{
    fprintf(stderr, "%zu examples, %zu lengths up to %zu, %zu weights, %llu updates\n",
            t->train.count, t->num_lengths, t->lengths[t->num_lengths - 1],
            params_total(&t->model.params), (unsigned long long)t->total_updates);
    switch (train_run(t, o, stderr, err)) {
    case TRAIN_FAILED:
        return -1;
    case TRAIN_DIVERGED:
        fprintf(stderr, "stopped at %s; %s%s%s\n", err->msg,
                train_state_exists(t->config.out) ? "the last checkpoint in '"
                                                  : "nothing was saved",
                train_state_exists(t->config.out) ? t->config.out : "",
                train_state_exists(t->config.out) ? "' is kept" : " yet");
        return EXIT_NOT_OK;
    case TRAIN_INTERRUPTED:
        fprintf(stderr, "interrupted after step %llu; --resume goes on\n",
                (unsigned long long)t->state.updates);
        return EXIT_INTERRUPTED;
    case TRAIN_DONE:
        break;
    }
    print_evaluation(t, "development", &t->development);
    print_evaluation(t, "test", &t->test);
    return EXIT_OK;
}

typedef struct TrainCommand {
    ConfigCommand config;
    const char *out;
    TrainOptions options;
    int64_t threads;
    bool dry_run;
} TrainCommand;

static int read_command(TrainCommand *c, int argc, char **argv, Err *err)
{
    const Option options[] = {
        option_text(
            "--out", "DIR", &c->out, NULL,
            "the checkpoint's directory, in the place of the config's; its parent must be there"),
        option_flag("--resume", &c->options.resume,
                    "go on from the last checkpoint; without one, begin"),
        option_flag("--overwrite", &c->options.overwrite,
                    "begin anew where there is a checkpoint or another model"),
        option_flag("--dry-run", &c->dry_run,
                    "print the batches (epoch, length, examples), train nothing"),
        threads_option(&c->threads),
    };
    const Command command = {
        .verb = "train",
        .summary = "Fine-tunes an encoder as a classifier, or trains a small GPT on a text.",
        OPTIONS(options),
        .notes =
            "The directory gets config.json, model.safetensors and the tokenizer's files, as the\n"
            "transformers library reads them; training.safetensors, which --resume needs; and\n"
            "loss.csv, a line for each update. A resumed training ends bit for bit like one in a\n"
            "single piece, on the same instruction set and TARE_GEMM. A loss that is not a number\n"
            "or diverges ends the training with exit code 1 and leaves the last checkpoint as it\n"
            "is.\n",
    };
    return config_command_parse(&c->config, &command, &train_config_file, NULL, argc, argv, err);
}

static int run_config(TrainCommand *c, Err *err)
{
    TrainConfig config;
    if (config_load(&train_config_file, &config, c->config.path, &c->config.settings, err) != 0)
        return -1;
    char *out = path_to_make(c->out ? c->out : config.out);
    free(config.out);
    config.out = out;
    c->options.threads = (int)c->threads;
    c->options.named = c->out;
    threads_warn(c->threads);
    interrupt_install();
    if (!c->dry_run && train_check_out(&config, &c->options, err) != 0) {
        train_config_release(&config);
        return -1;
    }
    Trainer t;
    int code = train_init(&t, &config, &c->options, err);
    if (code == 0 && c->dry_run)
        print_batches(&t);
    else if (code == 0)
        code = train(&t, &c->options, err);
    train_release(&t);
    return code;
}

int cmd_train(int argc, char **argv, Err *err)
{
    TrainCommand c = {.threads = threads_default()};
    int code = read_command(&c, argc, argv, err);
    if (code == OPTIONS_RUN)
        code = run_config(&c, err);
    config_command_release(&c.config);
    return code;
}
