/* weights: see weights.h. */
#include "autograd/ops/weights.h"

#include "autograd/ops/rows.h"

/* Slices of one run may call this at the same time: the first packs, the others wait for it. */
static void renew_copy(const Tensor *w, const ExecCtx *c)
{
    WeightPack *pack = w->pack;
    size_t O = tensor_rows(w), K = tensor_channels(w);
    if (__atomic_load_n(&pack->packed_version, __ATOMIC_ACQUIRE) == pack->weight_version)
        return;
#pragma omp critical(weight_pack)
    if (pack->packed_version != pack->weight_version) {
        gemm_pack(c->product, K, O, w->data, 1, K, c->threads, pack->memory);
        __atomic_store_n(&pack->packed_version, pack->weight_version, __ATOMIC_RELEASE);
    }
}

const PackedB *weight_packed(const Tensor *w, const ExecCtx *c)
{
    WeightPack *pack = w->pack;
    if (!pack || !pack->memory)
        return NULL;
    if (w->dtype == DT_F32 && w->data)
        renew_copy(w, c);
    return pack->memory;
}

/* x is in bf16 and w in fp32 in training only (graph_store_operands). */
static bool pays(const Tensor *w, const Tensor *x)
{
    return w->dtype == DT_F32 && x->dtype == DT_BF16 &&
           gemm_pays_packing(DT_BF16, tensor_rows(x), tensor_channels(x));
}

size_t weight_pack_bytes(const Tensor *w, size_t O, const Tensor *x)
{
    return pays(w, x) ? gemm_packed_bytes(DT_BF16, tensor_channels(x), O) : 0;
}

const PackedB *weight_pack_once(const Tensor *w, size_t from, size_t O, const Tensor *x,
                                const ExecCtx *c, void *gemm_scratch)
{
    size_t K = tensor_channels(w);
    void *memory = (char *)gemm_scratch + gemm_scratch_bytes(c->threads);
    if (!pays(w, x))
        return NULL;
    return gemm_pack(DT_BF16, K, O, (const float *)w->data + from * K, 1, K, c->threads, memory);
}

static const float *row_i8(const Tensor *w, size_t i, float *scratch)
{
    const int8_t *level = row_at(w, i);
    const float scale = w->scale[i];
    const size_t C = tensor_channels(w);
    for (size_t j = 0; j < C; j++)
        scratch[j] = (float)level[j] * scale;
    return scratch;
}

const float *weight_row(const Tensor *w, size_t i, float *scratch)
{
    if (w->dtype == DT_I8 && w->data)
        return row_i8(w, i, scratch);
    if (w->data)
        return row_read(w, i, scratch);
    gemm_packed_column(w->pack->memory, i, scratch);
    return scratch;
}
