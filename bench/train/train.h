/* train: fine-tuning a classifier, or training a GPT from scratch; the loop of `tare train`.
 *
 * The one idea: what update N does follows from the config, the data and N alone (batches, learning rate,
 * dropout masks), so a training that is taken up again continues bit for bit. The files it leaves are
 * state.h's. */
#ifndef TARE_BENCH_TRAIN_TRAIN_H
#define TARE_BENCH_TRAIN_TRAIN_H

#include "bench/train/config.h"
#include "bench/train/data.h"
#include "bench/train/state.h"

typedef struct Trainer {
    TrainConfig config;
    char *identity;                    /* config and data: what --resume must find unchanged */
    Examples train, development, test; /* count == 0 where there is none */
    size_t *lengths, num_lengths;      /* up to each of these, examples share batches */
    Bucketed model;
    BatchArrays arrays; /* for the largest batch */
    Batches batches;    /* of `epoch` */
    uint64_t epoch, updates_per_epoch, total_updates;
    TrainState state;
    LossCurve curve;
} Trainer;

typedef struct TrainOptions {
    int threads;
    bool resume, overwrite;
} TrainOptions;

/* Whether a training may write into c->out, to be asked before anything slow; writes nothing. -1: it has
 * a training or a model and no option says what to do with it, it is the checkpoint to start from, or
 * it is not and cannot become a directory. */
int train_check_out(const TrainConfig *c, const TrainOptions *o, Err *err);

/* Creates a directory, and those above it, where they are missing. */
int train_make_out(const char *dir, Err *err);

/* What an identity says of the data that were trained on: its key, and the value. Caller frees. */
extern const char train_data_key[];
char *train_data_value(const Examples *trained);

/* Reads data and model, plans, and allocates; writes nothing yet. -1: something is faulty, does not fit
 * together or in memory; train_release is to be called in any case. Takes over *config. */
int train_init(Trainer *t, TrainConfig *config, const TrainOptions *o, Err *err);
void train_release(Trainer *t);

typedef enum TrainOutcome {
    TRAIN_FAILED = -1, /* err says what */
    TRAIN_DONE,
    TRAIN_DIVERGED, /* err says at which step; the last checkpoint is as it was */
    TRAIN_INTERRUPTED,
} TrainOutcome;

/* Trains to the end of the last epoch, with progress to `chatter`, or from where the state on disk is. A
 * checkpoint is saved only if its weights are finite and neither the mean loss, nor that after its last
 * update, nor the development loss is far above guessing. */
TrainOutcome train_run(Trainer *t, const TrainOptions *o, FILE *chatter, Err *err);

/* Mean loss over the examples and, for a classifier, how many were labelled right. */
typedef struct Evaluation {
    double loss;
    size_t right, count;
} Evaluation;

Evaluation train_evaluate(Trainer *t, const Examples *e);

/* Learning rate of an update, counted from 0: up from 0 over the first `warmup` updates, then down to 0 at
 * `total`, both linear (transformers' get_linear_schedule_with_warmup). */
double learning_rate_at(double peak, uint64_t update, uint64_t warmup, uint64_t total);

#endif
