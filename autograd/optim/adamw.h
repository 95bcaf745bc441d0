/* adamw: Adam with decoupled weight decay (Loshchilov & Hutter 2019), as PyTorch's AdamW computes
 * it.
 *
 * One pass over weights, gradients and both moments, all flat arrays. The caller says which of them
 * decay. */
#pragma once

#include "autograd/base.h"

typedef struct AdamW {
    float learning_rate, beta1, beta2, epsilon, weight_decay;
} AdamW;

/* PyTorch's defaults: 1e-3, 0.9, 0.999, 1e-8, 0.01. */
AdamW adamw_defaults(void);

/* Updates n weights w by gradients g times grad_scale; m and v are the moments, zero before step 1.
 * decay: whether weights decay (norms and biases do not). */
void adamw_update(const AdamW *o, uint64_t step, float *w, const float *g, float *m, float *v,
                  size_t n, bool decay, float grad_scale, int threads);
