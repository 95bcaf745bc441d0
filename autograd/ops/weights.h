/* weights: how ops read a matrix of parameters. The model holds it as fp32, perhaps with a packed
 * copy; packed for products only, in fp32 or a small format; or in a small format row by row, for
 * lookups only. */
#pragma once

#include "autograd/exec.h"
#include "autograd/kernels/kernels.h"

/* w[O,K] packed for y = x w^T: a weight that is only packed, or the copy of an fp32 weight in the
 * format c->product, packed again after the weight has changed. NULL where the model wants no
 * copy. */
const PackedB *weight_packed(const Tensor *w, const ExecCtx *c);

/* For one product by x in a training step of products of bf16: rows [from, from + O) of w[V,K],
 * packed into weight_pack_bytes that follow gemm_run's scratch. NULL where that does not pay, or x
 * is not stored in bf16. */
const PackedB *weight_pack_once(const Tensor *w, size_t from, size_t O, const Tensor *x,
                                const ExecCtx *c, void *gemm_scratch);
size_t weight_pack_bytes(const Tensor *w, size_t O, const Tensor *x);

/* Row i of w[V,C] as fp32: in place, or widened into `scratch` [C]. */
const float *weight_row(const Tensor *w, size_t i, float *scratch);
