/* rows: an op's input and output rows as fp32, whatever format they are stored in.
 *
 * Ops compute in fp32. Where a tensor is fp32 the row itself is handed out and nothing is copied;
 * otherwise it is widened into, or narrowed from, room for one row that the op has in its scratch. */
#ifndef TARE_AUTOGRAD_OPS_ROWS_H
#define TARE_AUTOGRAD_OPS_ROWS_H

#include "autograd/exec.h"
#include "autograd/kernels/kernels.h"

/* Row i of t's data, in its own format. */
static inline void *row_at(const Tensor *t, size_t i)
{
    return (char *)t->data + i * t->shape[t->ndim - 1] * dtype_size(t->dtype);
}

/* Row i as fp32: in place, or widened into `room` [C]. */
static inline const float *row_read(const Tensor *t, size_t i, float *room)
{
    if (t->dtype == DT_F32)
        return (const float *)t->data + i * t->shape[t->ndim - 1];
    kernels()->widen(t->dtype, row_at(t, i), room, t->shape[t->ndim - 1]);
    return room;
}

/* Where to compute row i: in place, or `room` [C]. Then row_done stores it. */
static inline float *row_begin(const Tensor *t, size_t i, float *room)
{
    return t->dtype == DT_F32 ? (float *)t->data + i * t->shape[t->ndim - 1] : room;
}

static inline void row_done(const Tensor *t, size_t i, const float *row)
{
    if (t->dtype != DT_F32)
        kernels()->narrow(t->dtype, row, row_at(t, i), t->shape[t->ndim - 1]);
}

/* This thread's `floats` of room at the start of the scratch, and the bytes of all threads' rooms. */
float *thread_room(const ExecCtx *c, size_t floats);
size_t thread_room_bytes(int threads, size_t floats);

#endif
