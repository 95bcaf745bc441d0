/* clip: gradient clipping by the norm of all gradients together (Pascanu et al. 2013), as PyTorch's
 * clip_grad_norm_. It changes nothing: the factor goes to the optimizer (adamw_update's grad_scale). */
#ifndef TARE_AUTOGRAD_OPTIM_CLIP_H
#define TARE_AUTOGRAD_OPTIM_CLIP_H

#include "autograd/base.h"

/* sqrt(sum g[i]^2), summed in double in one fixed order, whatever the number of threads. NaN or
 * infinite where an element is. */
double gradient_norm(const float *g, size_t n, int threads);

/* The factor that takes a norm down to max_norm: min(1, max_norm / (norm + 1e-6)). 1 where max_norm is
 * 0, which means no limit. */
double clip_factor(double norm, double max_norm);

#endif
