/* config: the TOML file of `tare train`, read into a struct: tables of keys for each task
 * (util/config.h). No file it names is opened here. */
#pragma once

#include "bench/ranks/parallel.h"
#include "bench/util/config.h"
#include "model/files/model_dir.h"

typedef enum TrainTask {
    TASK_SENTIMENT, /* fine-tunes an encoder as a classifier of labelled texts */
    TASK_GPT,       /* trains a decoder from scratch on the tokens or bytes of a text */
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
    char *tokenizer; /* model of a byte-level tokenizer; NULL: each byte is a token */
    double held_out; /* the last part of the text, not trained on */
    int64_t d_model, num_layers, num_heads, context;
    int64_t arch;               /* place in ARCH_NAMES */
    int64_t d_ff, num_kv_heads; /* 0: the defaults of DecoderShape */
    /* both */
    int64_t epochs, batch_size, accumulate, seed, save_every;
    double learning_rate, warmup, weight_decay, max_grad_norm, dropout;
    /* several ranks */
    int64_t ranks, prefetch_layers;
    int64_t parallel; /* a Strategy */
    int64_t reduce;   /* place in REDUCE_NAMES */
    double bucket_mb;
    char *launcher; /* NULL: the default one */
} TrainConfig;

#define REDUCE_NAMES "ring|mpi"

/* Of both tasks, for config_load. */
extern const ConfigFile train_config_file;

void train_config_release(TrainConfig *c);

/* "task=gpt\nepochs=2\n...": the keys that decide what is computed: not those of ranks, of which a
 * training may have others when it goes on. Caller frees. */
char *train_config_identity(const TrainConfig *c);
