/* state: what a training leaves on disk, in the directory of its checkpoint:
 *
 *   training.safetensors          weights, moments and progress, for --resume
 *   config.json, vocab.txt, ...   the small files of a model
 *   model.safetensors             the weights, for everybody
 *   loss.csv                      a line for every update
 *
 * The one idea: a training is taken up from training.safetensors alone, which is written first and as a
 * whole. A kill or a full disk at any moment leaves the last complete file of each; a training that
 * overwrites another takes its state away before anything else. */
#ifndef TARE_BENCH_TRAIN_STATE_H
#define TARE_BENCH_TRAIN_STATE_H

#include <stdio.h>

#include "model/bucketed.h"

enum { ARITHMETIC_SIZE = 48 };

typedef struct TrainState {
    uint64_t updates;     /* done */
    double smoothed_loss; /* exponential mean, not yet corrected for its start from 0 */
    char arithmetic
        [ARITHMETIC_SIZE]; /* of the last save: "avx512, gemm packed"; "" where it is not known */
} TrainState;

/* Writes training.safetensors, or model.safetensors. `identity`: see train_config_identity. On -1 what was
 * there before is still there. */
int train_model_save(const char *dir, const Bucketed *m, Err *err);
int train_state_save(const char *dir, const Bucketed *m, const TrainState *s, const char *identity,
                     Err *err);

/* The arithmetic of this process. Another one computes the same but for rounding. */
void train_arithmetic(char text[ARITHMETIC_SIZE]);

/* Whether dir has a training.safetensors. */
bool train_state_exists(const char *dir);

/* Takes it away where it is. */
int train_state_remove(const char *dir, Err *err);

/* The value of a key of the identity that was saved in dir, such as "held_out", or NULL where there is no
 * state or no such key; caller frees. -1: the file is broken. */
int train_state_value(const char *dir, const char *key, char **value, Err *err);

/* Fills weights, moments and the state. -1: the file is broken, of another model, or of a training whose
 * identity differs; the sentence names the first key that does. */
int train_state_load(const char *dir, Bucketed *m, TrainState *s, const char *identity, Err *err);

/* One line of loss.csv. NAN = an empty cell. */
typedef struct LossRow {
    uint64_t step;
    double epoch, loss, grad_norm, learning_rate;
    double development_loss, development_accuracy; /* at the end of an epoch */
} LossRow;

typedef struct LossCurve {
    char *path;
    FILE *file;
} LossCurve;

/* Opens dir/loss.csv for the rows after the first `updates`, which are kept; later ones are cut off. */
int loss_curve_open(LossCurve *c, const char *dir, uint64_t updates, Err *err);
int loss_curve_add(LossCurve *c, const LossRow *row, Err *err);
void loss_curve_close(LossCurve *c);

#endif
