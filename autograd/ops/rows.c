/* rows: see rows.h. */
#include "rows.h"

#include <omp.h>

enum { CACHE_LINE_FLOATS = 16 };

static size_t padded_floats(size_t n)
{
    return (n + CACHE_LINE_FLOATS - 1) / CACHE_LINE_FLOATS * CACHE_LINE_FLOATS;
}

const float *rows_read(const Tensor *t, float *room, const ExecCtx *c)
{
    if (t->dtype == DT_F32)
        return t->data;
    size_t rows = tensor_rows(t), C = tensor_channels(t);
    int threads = exec_threads(c, (double)rows * (double)C);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (size_t i = 0; i < rows; i++)
        row_read(t, i, room + i * C);
    return room;
}

float *rows_begin(const Tensor *t, float *room)
{
    return t->dtype == DT_F32 ? t->data : room;
}

void rows_done(const Tensor *t, const float *all, const ExecCtx *c)
{
    if (t->dtype == DT_F32)
        return;
    size_t rows = tensor_rows(t), C = tensor_channels(t);
    int threads = exec_threads(c, (double)rows * (double)C);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (size_t i = 0; i < rows; i++)
        row_done(t, i, all + i * C);
}

size_t rows_room(const Tensor *t)
{
    return t->dtype == DT_F32 ? 0 : padded_floats(tensor_count(t));
}

float *thread_room(const ExecCtx *c, size_t floats)
{
    return (float *)c->scratch + (size_t)omp_get_thread_num() * padded_floats(floats);
}

size_t thread_room_bytes(int threads, size_t floats)
{
    return (size_t)threads * padded_floats(floats) * sizeof(float);
}
