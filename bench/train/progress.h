/* progress: shows how far a training is, on stderr: one live line on a terminal, a line now and
 * then otherwise. */
#pragma once

#include "bench/train/state.h"

typedef struct TrainProgress {
    FILE *out;
    bool live;
    uint64_t first, total; /* updates: done before this run, and of the whole training */
    double began, shown;   /* seconds */
    size_t examples;       /* since `began` */
} TrainProgress;

void train_progress_start(TrainProgress *p, FILE *out, uint64_t done, uint64_t total);
void train_progress_show(TrainProgress *p, const LossRow *row, size_t examples);
void train_progress_end(TrainProgress *p);
