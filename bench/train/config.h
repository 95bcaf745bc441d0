/* config: the TOML file of `tare train`, read into a struct.
 *
 * The one idea: one table (config.c) says of each key where it belongs, what it may be, which task
 * needs it, and whether a training that is taken up again must find it unchanged. No file it names is
 * opened here. */
#ifndef TARE_BENCH_TRAIN_CONFIG_H
#define TARE_BENCH_TRAIN_CONFIG_H

#include "model/files/model_dir.h"

typedef enum TrainTask {
    TASK_SENTIMENT, /* fine-tunes an encoder as a classifier of labelled texts */
    TASK_GPT,       /* trains a GPT from scratch on the bytes of a text */
} TrainTask;

typedef struct TrainConfig {
    char *path;
    TrainTask task;
    char *out; /* directory of the checkpoint */
    /* sentiment */
    char *train, *development, *test; /* JSONL; the last two may be NULL */
    Labels labels;
    char *checkpoint; /* Hugging Face directory to start from */
    int64_t max_length;
    /* gpt */
    char *text;
    double held_out; /* the last part of the text, not trained on */
    int64_t d_model, num_layers, num_heads, context;
    /* both */
    int64_t epochs, batch_size, accumulate, seed, save_every;
    double learning_rate, warmup, weight_decay, max_grad_norm, dropout;
} TrainConfig;

/* -1, naming file and line, for an unknown or missing key, a wrong type or an impossible value; leaves
 * nothing to release. */
int train_config_load(TrainConfig *c, const char *path, Err *err);
int train_config_load_text(TrainConfig *c, const char *text, size_t len, const char *path,
                           Err *err);
void train_config_release(TrainConfig *c);

/* "task=gpt\nepochs=2\n...": the keys that decide what is computed. Caller frees. */
char *train_config_identity(const TrainConfig *c);

#endif
