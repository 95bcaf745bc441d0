/* params: see params.h. */
#include "params.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../autograd/kernels/kernels.h"

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
    block_free(p->packs, p->pack_bytes);
    for (size_t i = 0; i < p->count; i++) {
        free(p->list[i]->name);
        free(p->list[i]);
    }
    free(p->list);
    *p = (Params){0};
}

static Param *find(const Params *p, const char *name)
{
    for (size_t i = 0; i < p->count; i++)
        if (strcmp(p->list[i]->name, name) == 0)
            return p->list[i];
    return NULL;
}

static Param *declare(Params *p, ParamSpec spec, char *name)
{
    CHECK(!p->weights, "'%s' declared after the weights were allocated", name);
    if (p->count == p->capacity) {
        p->capacity = p->capacity ? 2 * p->capacity : 64;
        p->list = xrealloc(p->list, p->capacity * sizeof *p->list);
    }
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

static size_t packs_bytes(const Params *p)
{
    size_t bytes = 0;
    for (size_t i = 0; i < p->count; i++)
        if (p->list[i]->tensor.multiplies)
            bytes += gemm_packed_bytes(p->list[i]->spec.cols, p->list[i]->spec.rows);
    return bytes;
}

size_t params_bytes(const Params *p, ParamsMemory want)
{
    size_t blocks = 1 + (want.grads ? 1 : 0) + (want.moments ? 2 : 0);
    return blocks * p->block_floats * sizeof(float) + (want.packs ? packs_bytes(p) : 0);
}

static int alloc_packs(Params *p, Err *err)
{
    p->pack_bytes = packs_bytes(p);
    if (!(p->packs = block_alloc(p->pack_bytes, err)))
        return -1;
    char *next = p->packs;
    for (size_t i = 0; i < p->count; i++) {
        Param *q = p->list[i];
        if (!q->tensor.multiplies)
            continue;
        q->pack.memory = next;
        next += gemm_packed_bytes(q->spec.cols, q->spec.rows);
    }
    return 0;
}

int params_alloc(Params *p, ParamsMemory want, Err *err)
{
    size_t bytes = p->block_floats * sizeof(float);
    if (!(p->weights = block_alloc(bytes, err)) ||
        (want.grads && !(p->grads = block_alloc(bytes, err))) ||
        (want.moments &&
         (!(p->moment1 = block_alloc(bytes, err)) || !(p->moment2 = block_alloc(bytes, err)))) ||
        (want.packs && alloc_packs(p, err) != 0))
        return err_prefix(err, "the weights");
    for (size_t i = 0; i < p->count; i++) {
        Param *q = p->list[i];
        q->tensor.data = p->weights + q->offset;
        q->tensor.grad = p->grads ? p->grads + q->offset : NULL;
    }
    return 0;
}

static void fill(float *w, size_t n, const ParamSpec *spec, uint64_t seed, uint64_t stream,
                 int threads)
{
    const size_t slice = 1 << 16;
#pragma omp parallel for schedule(static) num_threads(threads) if (n > slice)
    for (size_t from = 0; from < n; from += slice) {
        size_t count = n - from < slice ? n - from : slice;
        if (spec->init == INIT_NORMAL)
            kernels()->normal(w + from, count, seed, stream, from, 0, spec->std);
        else
            for (size_t i = from; i < from + count; i++)
                w[i] = spec->init == INIT_ONES ? 1.0f : 0.0f;
    }
}

void params_randomize(Params *p, uint64_t seed, int threads)
{
    for (size_t i = 0; i < p->count; i++) {
        Param *q = p->list[i];
        fill(p->weights + q->offset, tensor_count(&q->tensor), &q->spec, seed, i, threads);
    }
    params_touched(p);
}

void params_update(Params *p, const AdamW *o, float grad_scale, int threads)
{
    CHECK(p->grads && p->moment1, "an update without gradients or moments");
    p->step++;
    for (size_t i = 0; i < p->count; i++) {
        Param *q = p->list[i];
        adamw_update(o, p->step, p->weights + q->offset, p->grads + q->offset,
                     p->moment1 + q->offset, p->moment2 + q->offset, tensor_count(&q->tensor),
                     q->tensor.ndim > 1, grad_scale, threads);
    }
    params_touched(p);
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
