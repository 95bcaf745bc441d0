/* clip: gradient clipping by the norm of all gradients (Pascanu et al. 2013), as PyTorch's
 * clip_grad_norm_. Nothing is changed here: the caller passes the factor to the optimizer
 * (adamw_update's grad_scale). */
#pragma once

#include "autograd/base.h"

/* sqrt(sum g[i]^2), summed in double in one fixed order, whatever the number of threads. NaN or
 * infinite where an element is. */
double gradient_norm(const float *g, size_t n, int threads);

/* The factor that reduces a norm to max_norm: min(1, max_norm / (norm + 1e-6)). A max_norm of 0
 * means no limit: 1. */
double clip_factor(double norm, double max_norm);
