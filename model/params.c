/* params: see params.h. */
#include "model/params.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autograd/kernels/kernels.h"

void params_init(Params *p)
{
    *p = (Params){0};
}

void params_release(Params *p)
{
    size_t bytes = p->block_floats * sizeof(float);
    block_free(p->weights, bytes);
    block_free(p->grads, bytes);
    block_free(p->moment1, bytes);
    block_free(p->moment2, bytes);
    block_free(p->small, p->small_bytes);
    block_free(p->packs, p->pack_bytes);
    for (size_t i = 0; i < p->count; i++) {
        free(p->list[i]->name);
        free(p->list[i]);
    }
    free(p->list);
    free(p->by_name);
    *p = (Params){0};
}

/* Where the parameter of this name is, or would be. */
static Param **place_of(const Params *p, const char *name)
{
    uint64_t hash = 0;
    for (const char *c = name; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 0x9e3779b97f4a7c15u;
    size_t mask = ((size_t)1 << p->bits) - 1, i = hash >> (64 - p->bits);
    while (p->by_name[i] && strcmp(p->by_name[i]->name, name) != 0)
        i = (i + 1) & mask;
    return &p->by_name[i];
}

static void make_places(Params *p, unsigned bits)
{
    free(p->by_name);
    p->bits = bits;
    p->by_name = xcalloc((size_t)1 << bits, sizeof(Param *));
    for (size_t i = 0; i < p->count; i++)
        *place_of(p, p->list[i]->name) = p->list[i];
}

static Param *find(const Params *p, const char *name)
{
    return p->by_name ? *place_of(p, name) : NULL;
}

static Param *declare(Params *p, ParamSpec spec, char *name)
{
    CHECK(!p->weights && !p->small, "'%s' declared after the weights were allocated", name);
    p->list = xgrow(p->list, p->count, sizeof *p->list);
    Param *q = xcalloc(1, sizeof *q);
    q->spec = spec;
    q->name = name;
    q->offset = p->block_floats;
    q->pack.weight_version = 1;
    q->tensor = (Tensor){.name = name,
                         .index = (int)p->count,
                         .block = -1,
                         .life = LIFE_PARAM,
                         .dtype = DT_F32,
                         .ndim = spec.cols ? 2 : 1,
                         .shape = {spec.rows, spec.cols},
                         .needs_grad = true,
                         .pack = &q->pack};
    p->block_floats += (tensor_count(&q->tensor) + 15) / 16 * 16;
    p->list[p->count++] = q;
    if (!p->by_name || 2 * p->count > (size_t)1 << p->bits)
        make_places(p, p->by_name ? p->bits + 1 : 6);
    else
        *place_of(p, name) = q;
    return q;
}

Tensor *params_get(Params *p, ParamSpec spec, const char *name_format, ...)
{
    va_list ap;
    va_start(ap, name_format);
    char *name = NULL;
    int length = vasprintf(&name, name_format, ap);
    va_end(ap);
    CHECK(length >= 0, "out of memory for a name");
    Param *q = find(p, name);
    if (!q)
        return &declare(p, spec, name)->tensor;
    CHECK(q->spec.rows == spec.rows && q->spec.cols == spec.cols, "two shapes of '%s'", name);
    free(name);
    return &q->tensor;
}

void params_set_format(Params *p, DType matrices)
{
    CHECK(!p->weights && !p->small, "a format chosen after the weights were allocated");
    p->format = matrices;
    for (size_t i = 0; i < p->count; i++)
        if (p->list[i]->spec.cols)
            p->list[i]->tensor.dtype = matrices;
}

/* ---- memory ---- */

static size_t padded(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

static bool is_small(const Param *q)
{
    return q->tensor.dtype != DT_F32;
}

static bool packs_only(const Param *q, ParamsMemory want)
{
    return (is_small(q) || want.packed_only) && q->tensor.multiplies;
}

/* Once there is memory. */
static bool is_packed_only(const Param *q)
{
    return q->pack.memory && !q->tensor.data;
}

/* Bytes of the parameter in p->small. Rows of int8 are followed by their scales. */
static size_t small_bytes(const Param *q, ParamsMemory want)
{
    if (packs_only(q, want))
        return padded(gemm_packed_bytes(q->tensor.dtype, q->spec.cols, q->spec.rows));
    size_t scales = q->tensor.dtype == DT_I8 ? padded(q->spec.rows * sizeof(float)) : 0;
    return padded(tensor_bytes(&q->tensor)) + scales;
}

static size_t weights_bytes(const Params *p, ParamsMemory want)
{
    if (p->format == DT_F32 && !want.packed_only)
        return p->block_floats * sizeof(float);
    size_t bytes = 0;
    for (size_t i = 0; i < p->count; i++)
        bytes += small_bytes(p->list[i], want);
    return bytes;
}

static size_t packs_bytes(const Params *p, ParamsMemory want)
{
    size_t bytes = 0;
    for (size_t i = 0; i < p->count && want.packs && p->format == DT_F32; i++)
        if (p->list[i]->tensor.multiplies)
            bytes += padded(
                gemm_packed_bytes(want.pack_type, p->list[i]->spec.cols, p->list[i]->spec.rows));
    return bytes;
}

size_t params_bytes(const Params *p, ParamsMemory want)
{
    size_t blocks = (want.grads ? 1 : 0) + (want.moments ? 2 : 0);
    return weights_bytes(p, want) + blocks * p->block_floats * sizeof(float) + packs_bytes(p, want);
}

static int alloc_packs(Params *p, ParamsMemory want, Err *err)
{
    p->pack_bytes = packs_bytes(p, want);
    if (!(p->packs = block_alloc(p->pack_bytes, err)))
        return -1;
    char *next = p->packs;
    for (size_t i = 0; i < p->count; i++) {
        Param *q = p->list[i];
        if (!q->tensor.multiplies)
            continue;
        q->pack.memory = next;
        next += padded(gemm_packed_bytes(want.pack_type, q->spec.cols, q->spec.rows));
    }
    return 0;
}

/* Points each tensor at its place: a packed matrix at pack.memory, then rows at data. */
static int alloc_small(Params *p, ParamsMemory want, Err *err)
{
    p->small_bytes = weights_bytes(p, want);
    if (!(p->small = block_alloc(p->small_bytes, err)))
        return -1;
    char *next = p->small;
    for (size_t i = 0; i < p->count; i++) {
        Param *q = p->list[i];
        if (!packs_only(q, want))
            continue;
        q->pack.memory = gemm_pack_begin(q->tensor.dtype, q->spec.cols, q->spec.rows, next);
        next += small_bytes(q, want);
    }
    p->pack_bytes = (size_t)(next - p->small);
    for (size_t i = 0; i < p->count; i++) {
        Param *q = p->list[i];
        if (packs_only(q, want))
            continue;
        q->tensor.data = next;
        if (q->tensor.dtype == DT_I8)
            q->tensor.scale = (float *)(next + padded(tensor_bytes(&q->tensor)));
        next += small_bytes(q, want);
    }
    return 0;
}

static int alloc_blocks(Params *p, ParamsMemory want, Err *err)
{
    size_t bytes = p->block_floats * sizeof(float);
    if (!(p->weights = block_alloc(bytes, err)) ||
        (want.grads && !(p->grads = block_alloc(bytes, err))) ||
        (want.moments &&
         (!(p->moment1 = block_alloc(bytes, err)) || !(p->moment2 = block_alloc(bytes, err)))) ||
        (want.packs && alloc_packs(p, want, err) != 0))
        return -1;
    for (size_t i = 0; i < p->count; i++) {
        Param *q = p->list[i];
        q->tensor.data = p->weights + q->offset;
        q->tensor.grad = p->grads ? p->grads + q->offset : NULL;
    }
    return 0;
}

int params_alloc(Params *p, ParamsMemory want, Err *err)
{
    bool plain = p->format == DT_F32 && !want.packed_only;
    CHECK(plain || !(want.grads || want.moments), "gradients of weights without a plain form");
    int status = plain ? alloc_blocks(p, want, err) : alloc_small(p, want, err);
    return status == 0 ? 0 : err_prefix(err, "the weights");
}

/* ---- values ---- */

size_t params_slice_rows(const Params *p, size_t k)
{
    const size_t floats = 1 << 17; /* half a MiB, of a second-level cache */
    const ParamSpec *s = &p->list[k]->spec;
    if (!s->cols)
        return s->rows;
    size_t rows = floats / s->cols / GEMM_COLUMNS * GEMM_COLUMNS;
    rows = rows ? rows : GEMM_COLUMNS;
    while (rows < s->rows && gemm_cuts_panel(s->rows, s->rows / rows * rows))
        rows += GEMM_COLUMNS;
    return rows < s->rows ? rows : s->rows;
}

static void store_packed(Param *q, ParamRows r, int threads)
{
    size_t cols = q->spec.cols;
    if (r.groups)
        gemm_pack_columns_groups(q->pack.memory, r.from, r.to, r.groups, threads);
    else if (r.values)
        gemm_pack_columns(q->pack.memory, r.from, r.to, r.values, 1, cols, threads);
    else
        gemm_pack_columns_i8(q->pack.memory, r.from, r.to, r.levels, 1, cols, r.scale, threads);
}

static void store_rows_i8(Param *q, ParamRows r)
{
    size_t cols = q->spec.cols;
    int8_t *to = (int8_t *)q->tensor.data + r.from * cols;
    float *scale = q->tensor.scale + r.from;
    for (size_t i = 0; i < r.to - r.from && r.values; i++) {
        scale[i] = kernels()->quantize_scale(r.values + i * cols, cols);
        kernels()->quantize(r.values + i * cols, scale[i], to + i * cols, cols);
    }
    if (r.levels) {
        memcpy(to, r.levels, (r.to - r.from) * cols);
        memcpy(scale, r.scale, (r.to - r.from) * sizeof *scale);
    }
}

/* Rounds fp32 in place: vectors of a bf16 or fp16 model hold only values of its format. */
static void round_to(DType format, float *x, size_t n)
{
    uint16_t small[256];
    for (size_t i = 0; i < n; i += COUNT_OF(small)) {
        size_t count = n - i < COUNT_OF(small) ? n - i : COUNT_OF(small);
        kernels()->narrow(format, x + i, small, count);
        kernels()->widen(format, small, x + i, count);
    }
}

void params_store(Params *p, size_t k, ParamRows r, int threads)
{
    Param *q = p->list[k];
    DType type = q->tensor.dtype;
    CHECK(r.values || type == DT_I8 || (r.groups && dtype_is_grouped(type)),
          "values of another format for '%s'", q->name);
    size_t width = q->spec.cols ? q->spec.cols : 1, n = (r.to - r.from) * width;
    char *to = (char *)q->tensor.data + r.from * dtype_bytes(type, width);
    if (is_packed_only(q)) {
        store_packed(q, r, threads);
    } else if (type == DT_I8) {
        store_rows_i8(q, r);
    } else if (r.groups) {
        memcpy(to, r.groups, dtype_bytes(type, n));
    } else if (type != DT_F32) {
        kernels()->narrow(type, r.values, to, n);
    } else {
        memcpy(to, r.values, n * sizeof *r.values);
        if (p->format == DT_BF16 || p->format == DT_F16)
            round_to(p->format, (float *)to, n);
    }
}

/* Draws again what lies beyond 3 std, from streams that no parameter has. */
static void cut(float *w, size_t first, size_t n, float std, uint64_t seed, uint64_t stream)
{
    for (size_t i = 0; i < n; i++)
        for (uint64_t again = 1; fabsf(w[i]) > 3 * std; again++)
            kernels()->normal(&w[i], 1, seed, stream | again << 32, first + i, 0, std);
}

/* Elements [first, first + n) of what a spec says. */
static void fill(float *w, size_t first, size_t n, const ParamSpec *spec, uint64_t seed,
                 uint64_t stream, int threads)
{
    const size_t slice = 1 << 16;
#pragma omp parallel for schedule(static) num_threads(threads) if (n > slice)
    for (size_t from = 0; from < n; from += slice) {
        size_t count = n - from < slice ? n - from : slice;
        bool drawn = spec->init == INIT_NORMAL || spec->init == INIT_TRUNCATED;
        if (drawn)
            kernels()->normal(w + from, count, seed, stream, first + from, 0, spec->std);
        if (spec->init == INIT_TRUNCATED)
            cut(w + from, first + from, count, spec->std, seed, stream);
        if (!drawn)
            for (size_t i = from; i < from + count; i++)
                w[i] = spec->init == INIT_ONES ? 1.0f : 0.0f;
    }
}

static void randomize_small(Params *p, size_t k, uint64_t seed, int threads)
{
    const ParamSpec *spec = &p->list[k]->spec;
    size_t width = spec->cols ? spec->cols : 1, slice = params_slice_rows(p, k);
    float *values = xmalloc(slice * width * sizeof *values);
    for (size_t from = 0; from < spec->rows; from += slice) {
        size_t to = from + slice < spec->rows ? from + slice : spec->rows;
        fill(values, from * width, (to - from) * width, spec, seed, k, threads);
        params_store(p, k, (ParamRows){.from = from, .to = to, .values = values}, threads);
    }
    free(values);
}

void params_randomize_one(Params *p, size_t k, uint64_t seed, int threads)
{
    const Param *q = p->list[k];
    fill(p->weights + q->offset, 0, tensor_count(&q->tensor), &q->spec, seed, k, threads);
}

void params_randomize(Params *p, uint64_t seed, int threads)
{
    for (size_t k = 0; k < p->count; k++) {
        if (p->weights)
            params_randomize_one(p, k, seed, threads);
        else
            randomize_small(p, k, seed, threads);
    }
    params_touched(p);
}

/* Elements [from, to) of the flat block that belong to the parameter. */
static void update_part(Params *p, const Param *q, Range range, const AdamW *o, float grad_scale,
                        int threads)
{
    size_t end = q->offset + tensor_count(&q->tensor);
    size_t from = range.from > q->offset ? range.from : q->offset;
    size_t to = range.to < end ? range.to : end;
    if (from < to)
        adamw_update(o, p->step, p->weights + from, p->grads + from, p->moment1 + from,
                     p->moment2 + from, to - from, q->tensor.ndim > 1, grad_scale, threads);
}

void params_update_ranges(Params *p, const AdamW *o, float grad_scale, int threads,
                          const Range *ranges, size_t count)
{
    CHECK(p->grads && p->moment1, "an update without gradients or moments");
    p->step++;
    for (size_t r = 0; r < count; r++)
        for (size_t i = 0; i < p->count; i++)
            update_part(p, p->list[i], ranges[r], o, grad_scale, threads);
    params_touched(p);
}

void params_update(Params *p, const AdamW *o, float grad_scale, int threads)
{
    const Range all = {0, p->block_floats};
    params_update_ranges(p, o, grad_scale, threads, &all, 1);
}

void params_touched(Params *p)
{
    for (size_t i = 0; i < p->count; i++)
        p->list[i]->pack.weight_version++;
}

size_t params_total(const Params *p)
{
    size_t total = 0;
    for (size_t i = 0; i < p->count; i++)
        total += tensor_count(&p->list[i]->tensor);
    return total;
}
