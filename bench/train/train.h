/* train: fine-tuning a classifier, or training a GPT from scratch; the loop of `tare train`.
 *
 * The one idea: update N (batches, learning rate, dropout masks) follows from the config, the data
 * and N alone, so --resume continues bit for bit. The files of a training are in state.h. */
#pragma once

#include "bench/ranks/parallel.h"
#include "bench/train/config.h"
#include "bench/train/data.h"
#include "bench/train/state.h"

typedef struct Trainer {
    TrainConfig config;
    char *identity;                    /* config and data, which --resume must find unchanged */
    Examples train, development, test; /* count == 0 if there is none */
    size_t *lengths, num_lengths;      /* of the buckets, see bucket_lengths */
    Bucketed model;
    BatchArrays arrays; /* for the largest batch */
    Batches batches;    /* of `epoch` */
    uint64_t epoch, updates_per_epoch, total_updates;
    TrainState state;
    LossCurve curve;
    int lock; /* config.out, open and locked while it is trained into; -1 = not yet */
    /* This process as one of several ranks, which all train alike, each on its part of every batch;
     * rank 0 alone reads and writes the checkpoint. comm NULL: one process. Borrowed. */
    CommThread *comm;
    Parallel parallel;
} Trainer;

typedef struct TrainOptions {
    int threads;
    bool resume, overwrite;
    bool named;       /* the directory is that of --out: its parent must be there */
    CommThread *comm; /* see Trainer */
} TrainOptions;

/* Checks that a training may write into c->out; call it before anything slow. Writes nothing. -1:
 * c->out has a training or a model and neither --resume nor --overwrite was given, it is the
 * checkpoint to start from, or it cannot be made a directory: the config's is made with those above
 * it, as a result without --out is, that of --out is not. */
int train_check_out(const TrainConfig *c, const TrainOptions *o, Err *err);

/* Creates a directory, and those above it, where they are missing, and locks it. The descriptor,
 * or -1, also where another training has the lock. */
int train_lock_out(const char *dir, Err *err);

/* The key of an identity that stands for the training data, and its value. Caller frees. */
extern const char train_data_key[];
char *train_data_value(const Examples *trained);

/* Reads data and model, plans, and allocates; writes nothing yet. Takes over *config. -1: a file is
 * faulty, data and model do not fit together, or memory is short. Always call train_release. */
int train_init(Trainer *t, TrainConfig *config, const TrainOptions *o, Err *err);
void train_release(Trainer *t);

/* The examples of a batch that are this rank's part: in their order, as evenly as they divide. */
TrainBatch train_own_part(const Trainer *t, const TrainBatch *b);

typedef enum TrainOutcome {
    TRAIN_FAILED = -1, /* err says what */
    TRAIN_DONE,
    TRAIN_DIVERGED, /* err says at which step; the last checkpoint is as it was */
    TRAIN_INTERRUPTED,
} TrainOutcome;

/* Trains from the state on disk, or from the start, to the end of the last epoch; progress goes to
 * `chatter`. Saves a checkpoint only if its weights are finite and three losses are not far above
 * guessing: the mean, the one after the last update, and the development loss. */
TrainOutcome train_run(Trainer *t, const TrainOptions *o, FILE *chatter, Err *err);

/* Mean loss over the examples and, of a classifier, the number of right labels; the same on every
 * rank, which all call it. */
typedef struct Evaluation {
    double loss;
    size_t right, count;
} Evaluation;

Evaluation train_evaluate(Trainer *t, const Examples *e);

/* Learning rate of an update, counted from 0: rises from 0 over the first `warmup` updates, then
 * falls to 0 at `total`, both linearly (transformers' get_linear_schedule_with_warmup). */
double learning_rate_at(double peak, uint64_t update, uint64_t warmup, uint64_t total);
