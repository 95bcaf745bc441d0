/* weights: how ops read a matrix of parameters, in whatever form the model holds it: fp32, perhaps with
 * a packed copy beside it; a small format packed for products and in no other form; or a small format
 * row by row, which only lookups can read. */
#ifndef TARE_AUTOGRAD_OPS_WEIGHTS_H
#define TARE_AUTOGRAD_OPS_WEIGHTS_H

#include "autograd/exec.h"
#include "autograd/kernels/kernels.h"

/* w[O,K] packed for y = x w^T: the only form of a small format, or the copy of an fp32 weight, made
 * again when the weight has changed, in the format c->product. NULL where no copy is wanted. */
const PackedB *weight_packed(const Tensor *w, const ExecCtx *c);

/* Row i of w[V,C], of a small format, widened into `room` [C], which is returned. */
const float *weight_row_widened(const Tensor *w, size_t i, float *room);

/* Row i of w[V,C] as fp32: in place, or in `room` [C]. */
static inline const float *weight_row(const Tensor *w, size_t i, float *room)
{
    if (w->dtype == DT_F32)
        return (const float *)w->data + i * w->shape[1];
    return weight_row_widened(w, i, room);
}

#endif
