/* state: what a training leaves on disk, in the directory of its checkpoint:
 *
 *   training.safetensors          weights, moments and progress, for --resume
 *   config.json, vocab.txt, ...   the small files of a model
 *   model.safetensors             the weights, for everybody
 *   loss.csv                      a line for every update
 *
 * The one idea: --resume reads training.safetensors alone, which is written first and whole. A kill
 * or a full disk at any moment leaves the last complete file of each. --overwrite removes the old
 * state before anything else. */
#pragma once

#include <stdio.h>

#include "bench/util/fields.h"
#include "model/bucketed.h"

enum { ARITHMETIC_SIZE = 48 };

typedef struct TrainState {
    uint64_t updates;     /* done */
    double smoothed_loss; /* exponential mean, not yet corrected for its start from 0 */
    /* Of the last save: "avx512, gemm packed"; "" if not known. */
    char arithmetic[ARITHMETIC_SIZE];
} TrainState;

/* Write model.safetensors and training.safetensors. `identity`: see train_config_identity. On -1
 * the old file is still there. */
int train_model_save(const char *dir, const Bucketed *m, Err *err);
int train_state_save(const char *dir, const Bucketed *m, const TrainState *s, const char *identity,
                     Err *err);

/* Writes the arithmetic of this process. Two arithmetics differ in rounding only. */
void train_arithmetic(char text[ARITHMETIC_SIZE]);

/* Whether dir has a training.safetensors. */
bool train_state_exists(const char *dir);

/* Removes the training.safetensors of dir, if any. */
int train_state_remove(const char *dir, Err *err);

/* Finds the value of a key in the identity saved in dir, such as "held_out"; NULL without a state
 * or such a key. Caller frees. -1: the file is broken. */
int train_state_value(const char *dir, const char *key, char **value, Err *err);

/* Fills weights, moments and the state. -1: the file is broken, of another model, or of a training
 * with another identity; the error names the first key that differs. */
int train_state_load(const char *dir, Bucketed *m, TrainState *s, const char *identity, Err *err);

/* One line of loss.csv. NAN = an empty cell. */
typedef struct LossRow {
    int64_t step;
    double epoch, loss, grad_norm, learning_rate;
    double development_loss, development_accuracy; /* at the end of an epoch */
} LossRow;

typedef struct LossCurve {
    char *path;
    FILE *file;
} LossCurve;

/* Opens dir/loss.csv for appending: keeps its first `updates` rows, cuts off the rest. */
int loss_curve_open(LossCurve *c, const char *dir, uint64_t updates, Err *err);
int loss_curve_add(LossCurve *c, const LossRow *row, Err *err);
void loss_curve_close(LossCurve *c);
