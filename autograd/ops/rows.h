/* rows: an op's input and output rows as fp32, whatever format they are stored in.
 *
 * Ops compute in fp32. A row of an fp32 tensor is used in place and nothing is copied; any other
 * row is widened into, or narrowed from, one row of the op's scratch. */
#pragma once

#include "autograd/exec.h"
#include "autograd/kernels/kernels.h"

/* Row i of t's data, in its own format. */
static inline void *row_at(const Tensor *t, size_t i)
{
    return (char *)t->data + i * dtype_bytes(t->dtype, t->shape[t->ndim - 1]);
}

/* Row i as fp32: in place, or widened into `scratch` [C]. */
static inline const float *row_read(const Tensor *t, size_t i, float *scratch)
{
    if (t->dtype == DT_F32)
        return (const float *)t->data + i * t->shape[t->ndim - 1];
    kernels()->widen(t->dtype, row_at(t, i), scratch, t->shape[t->ndim - 1]);
    return scratch;
}

/* Where to compute row i: in place, or `scratch` [C]; row_done then stores it. */
static inline float *row_begin(const Tensor *t, size_t i, float *scratch)
{
    return t->dtype == DT_F32 ? (float *)t->data + i * t->shape[t->ndim - 1] : scratch;
}

static inline void row_done(const Tensor *t, size_t i, const float *row)
{
    if (t->dtype != DT_F32)
        kernels()->narrow(t->dtype, row, row_at(t, i), t->shape[t->ndim - 1]);
}

/* This thread's `floats` floats of c->scratch, and the bytes for all threads. */
float *thread_scratch(const ExecCtx *c, size_t floats);
size_t thread_scratch_bytes(int threads, size_t floats);
