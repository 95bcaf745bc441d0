/* cross_entropy: the rows of a softmax loss, shared by the op on logits and the one that makes them. */
#ifndef TARE_AUTOGRAD_OPS_CROSS_ENTROPY_H
#define TARE_AUTOGRAD_OPS_CROSS_ENTROPY_H

#include "autograd/kernels/kernels.h"

/* Number of targets that are not ignored (negative). */
size_t targets_counted(const int32_t *target, size_t n);

/* mean over counted rows of lse[i] - picked[i], summed in double in row order. */
float mean_loss(const float *lse, const float *picked, const int32_t *target, size_t n);

/* One row's columns [from, from+w) of logits become scale * (softmax - onehot); zeros where the
 * target is ignored. */
void loss_gradient_row(float *logits, size_t w, size_t from, int32_t target, float lse,
                       float scale);

#endif
