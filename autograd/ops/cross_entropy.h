/* cross_entropy: the rows of a softmax loss, for cross_entropy.c and linear_cross_entropy.c. */
#pragma once

#include "autograd/kernels/kernels.h"

/* Number of targets that are not ignored (negative). */
size_t targets_counted(const int32_t *target, size_t n);

/* Mean over counted rows of lse[i] - picked[i], summed in double in row order. */
float mean_loss(const float *lse, const float *picked, const int32_t *target, size_t n);

/* Turns columns [from, from+w) of a row of logits into scale * (softmax - onehot), or zeros where
 * the target is ignored. */
void loss_gradient_row(float *logits, size_t w, size_t from, int32_t target, float lse,
                       float scale);
