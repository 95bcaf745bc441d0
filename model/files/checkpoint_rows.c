/* checkpoint_rows: see checkpoint_rows.h. */
#include "model/files/checkpoint_rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int check_shape(const STensor *s, size_t ndim, const size_t *shape, Err *err)
{
    bool same = s->ndim == ndim;
    for (size_t i = 0; same && i < ndim; i++)
        same = s->shape[i] == shape[i];
    if (same)
        return 0;
    char wanted[64], found[256] = "[";
    snprintf(wanted, sizeof wanted, ndim == 2 ? "[%zu, %zu]" : "[%zu]", shape[0], shape[1]);
    size_t at = 1;
    for (size_t i = 0; i < s->ndim && at < sizeof found; i++)
        at += (size_t)snprintf(found + at, sizeof found - at, i ? ", %zu" : "%zu", s->shape[i]);
    return err_set(err, "tensor '%s' has shape %s], config.json makes it %s", s->name, found,
                   wanted);
}

Source source_make(const ParamSpec *spec, size_t rows, const STensor *weight, const STensor *scale)
{
    static const StDtype types[] = {ST_Q8_0, ST_Q4_0};
    Source s = {.spec = spec, .rows = rows, .scale = scale};
    if (!weight)
        return s;
    s.weight = *weight;
    bool bytes = weight->dtype == ST_U8 && weight->ndim == 2 && spec->cols > 0 &&
                 spec->cols % QUANT_GROUP == 0;
    for (size_t i = 0; i < COUNT_OF(types) && bytes; i++)
        if (weight->shape[1] == st_bytes(types[i], spec->cols)) {
            s.weight.dtype = types[i];
            s.weight.shape[1] = spec->cols;
        }
    return s;
}

/* Whether the tensor has outputs as columns. Rows of blocks are outputs always. */
static bool is_transposed(const Source *s)
{
    return s->spec->transposed && !st_is_blocks(s->weight.dtype);
}

int source_check(const Source *s, Err *err)
{
    size_t cols = s->spec->cols, shape[2] = {s->rows, cols};
    if (is_transposed(s)) {
        shape[0] = cols;
        shape[1] = s->rows;
    }
    if (check_shape(&s->weight, cols ? 2 : 1, shape, err) != 0)
        return -1;
    if (s->weight.dtype != ST_I8)
        return 0;
    if (!cols || !s->scale || s->scale->dtype != ST_F32)
        return err_set(err, "tensor '%s' is I8 but no matrix with F32 scales beside it",
                       s->weight.name);
    return check_shape(s->scale, 1, &s->rows, err);
}

/* Columns of the parameter; a vector is a matrix of one. */
static size_t width_of(const Source *s)
{
    return s->spec->cols ? s->spec->cols : 1;
}

/* Elements [first, first + count) of a floating-point tensor. */
static int read_piece(const STensor *t, size_t first, size_t count, float *dst, Err *err)
{
    const char *data = (const char *)t->data + st_bytes(t->dtype, first);
    STensor piece = stensor_make(t->name, t->dtype, 1, &count, data);
    return safetensors_to_f32(&piece, dst, err);
}

static int read_levels(const Source *s, size_t from, size_t n, int8_t *dst, Err *err)
{
    size_t cols = s->spec->cols;
    const int8_t *stored = s->weight.data;
    if (!s->spec->transposed)
        memcpy(dst, stored + from * cols, n * cols);
    for (size_t j = 0; j < cols && s->spec->transposed; j++)
        for (size_t i = 0; i < n; i++)
            dst[i * cols + j] = stored[j * s->rows + from + i];
    if (memchr(dst, (unsigned char)INT8_MIN, n * cols))
        return err_set(err, "tensor '%s' has the level -128, outside -127 to 127", s->weight.name);
    return 0;
}

static int dequantise(const Source *s, size_t from, size_t n, float *dst, Err *err)
{
    size_t cols = s->spec->cols;
    int8_t *level = xmalloc(n * cols);
    float *scale = xmalloc(n * sizeof *scale);
    int status = read_levels(s, from, n, level, err);
    if (status == 0)
        status = read_piece(s->scale, from, n, scale, err);
    for (size_t i = 0; i < n * cols && status == 0; i++)
        dst[i] = (float)level[i] * scale[i / cols];
    free(level);
    free(scale);
    return status;
}

/* A floating-point matrix that is stored transposed, a column at a time. */
static int read_transposed(const Source *s, size_t from, size_t n, float *dst, Err *err)
{
    size_t cols = s->spec->cols;
    float *column = xmalloc(n * sizeof *column);
    int status = 0;
    for (size_t j = 0; j < cols && status == 0; j++) {
        status = read_piece(&s->weight, j * s->rows + from, n, column, err);
        for (size_t i = 0; i < n && status == 0; i++)
            dst[i * cols + j] = column[i];
    }
    free(column);
    return status;
}

static int read_values(const Source *s, size_t from, size_t n, float *dst, Err *err)
{
    if (s->weight.dtype == ST_I8)
        return dequantise(s, from, n, dst, err);
    if (is_transposed(s))
        return read_transposed(s, from, n, dst, err);
    return read_piece(&s->weight, from * width_of(s), n * width_of(s), dst, err);
}

/* The part that holds row `at` of the parameter, as its row *inside, and how many of the rows up to
 * `to` it has from there. */
static const Source *part_at(const Source *sources, size_t at, size_t to, size_t *inside,
                             size_t *count)
{
    size_t begin = 0;
    for (; at >= begin + sources->rows; sources++)
        begin += sources->rows;
    size_t left = begin + sources->rows - at;
    *inside = at - begin;
    *count = left < to - at ? left : to - at;
    return sources;
}

int sources_read_values(const Source *sources, size_t from, size_t to, float *values, Err *err)
{
    for (size_t at = from, row, n; at < to; at += n) {
        const Source *s = part_at(sources, at, to, &row, &n);
        if (read_values(s, row, n, values + (at - from) * width_of(s), err) != 0)
            return -1;
    }
    return 0;
}

int sources_read_levels(const Source *sources, size_t from, size_t to, int8_t *levels, float *scale,
                        Err *err)
{
    for (size_t at = from, row, n; at < to; at += n) {
        const Source *s = part_at(sources, at, to, &row, &n);
        if (read_levels(s, row, n, levels + (at - from) * width_of(s), err) != 0 ||
            read_piece(s->scale, row, n, scale + (at - from), err) != 0)
            return -1;
    }
    return 0;
}

void sources_read_blocks(const Source *sources, size_t from, size_t to, void *blocks)
{
    size_t bytes = st_bytes(sources->weight.dtype, width_of(sources));
    for (size_t at = from, row, n; at < to; at += n) {
        const Source *s = part_at(sources, at, to, &row, &n);
        memcpy((char *)blocks + (at - from) * bytes, (const char *)s->weight.data + row * bytes,
               n * bytes);
    }
}
