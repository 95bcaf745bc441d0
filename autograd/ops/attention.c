/* attention: multi-head self-attention on q, k, v side by side in each row (Vaswani et al. 2017),
 * with the softmax never stored (Dao et al. 2022).
 *
 * aux keeps the log-sum-exp of each query's scores: [H, T] of each sequence. Over a cache, forward
 * first appends the rows' keys and values to it. */
#include <math.h>
#include <string.h>

#include "autograd/ops/rows.h"
#include "autograd/ops/sequences.h"

enum { QKV, MASK, STARTS, KEYS, VALUES };

typedef struct Attr {
    size_t T; /* of the longest, without a cache */
    Heads heads;
    bool causal;
    DType product;
} Attr;

Tensor *op_attention(Graph *g, Tensor *qkv, Tensor *mask, Sequences s, Heads heads, bool causal,
                     DType product)
{
    size_t rows = tensor_rows(qkv), C = heads.count * heads.channels;
    sequences_check(s, rows);
    CHECK(tensor_channels(qkv) == heads_width(heads) && heads.count % heads.kv == 0,
          "qkv [%zu,%zu] for %zu heads, %zu of keys, of %zu channels", rows, tensor_channels(qkv),
          heads.count, heads.kv, heads.channels);
    CHECK(!mask || (mask->dtype == DT_I32 && tensor_count(mask) == rows && !s.starts),
          "a mask is i32 [B,T]");
    Tensor *t = graph_node(g, &op_attention_def, 2, (size_t[]){rows, C}, 3,
                           (Tensor *[]){qkv, mask, s.starts}, sizeof(Attr));
    *(Attr *)t->attr = (Attr){s.starts ? s.longest : rows / s.batch, heads, causal, product};
    return t;
}

KvCache kv_cache(Graph *g, size_t batch, Heads heads, size_t capacity, DType type)
{
    const size_t shape[] = {batch, heads.kv, capacity, heads.channels};
    CHECK(!dtype_is_grouped(type) || heads.channels % QUANT_GROUP == 0, "%zu channels in groups",
          heads.channels);
    return (KvCache){graph_state(g, type, 4, shape), graph_state(g, type, 4, shape)};
}

DType attention_cached_product(DType product, DType cache_type, Heads heads)
{
    return product == cache_type && heads.channels % 2 == 0 ? product : DT_F32;
}

Tensor *op_attention_cached(Graph *g, Tensor *qkv, KvCache cache, Sequences s, Heads heads,
                            DType product)
{
    const size_t *shape = cache.keys->shape;
    Tensor *t = op_attention(g, qkv, NULL, s, heads, true, product);
    CHECK(shape[0] == s.batch && shape[1] == heads.kv && shape[3] == heads.channels,
          "the cache of another attention");
    t->in[KEYS] = cache.keys;
    t->in[VALUES] = cache.values;
    t->num_inputs = VALUES + 1;
    return t;
}

/* Of t, which may be a slice of the graph's node. */
static size_t num_sequences(const Tensor *t)
{
    const Tensor *starts = t->in[STARTS];
    return starts ? starts->shape[0] - 1 : t->shape[0] / ((const Attr *)t->attr)->T;
}

/* Without pointers. */
static Attention shape_of(const Tensor *t)
{
    const Attr *a = t->attr;
    const Tensor *keys = t->in[KEYS];
    return (Attention){.B = num_sequences(t),
                       .T = a->T,
                       .H = a->heads.count,
                       .KV = a->heads.kv,
                       .D = a->heads.channels,
                       .qkv_stride = heads_width(a->heads),
                       .causal = a->causal,
                       .scale = 1.0f / sqrtf((float)a->heads.channels),
                       .type = t->in[QKV]->dtype,
                       .capacity = keys ? keys->shape[2] : 0,
                       .cache_type = keys ? keys->dtype : DT_F32,
                       .out_type = t->dtype,
                       .product = a->product};
}

static Attention describe(const Tensor *t, const char *qkv, char *out)
{
    Attention a = shape_of(t);
    size_t bytes = a.D * dtype_size(a.type);
    a.q = qkv;
    a.k = qkv + a.H * bytes;
    a.v = qkv + (a.H + a.KV) * bytes;
    a.starts = starts_data(t->in[STARTS]);
    a.key_mask = t->in[MASK] ? t->in[MASK]->data : NULL;
    a.out = out;
    a.lse = t->aux;
    return a;
}

/* A part of the only sequence: t has the rows of its queries; the inputs lie between those of the
 * other parts. */
static Attention describe_part(const Tensor *t, const ExecCtx *c)
{
    const Tensor *qkv = t->in[QKV];
    size_t rows = t->shape[0], first = c->part * rows;
    size_t before = first * tensor_channels(qkv) * dtype_size(qkv->dtype);
    size_t out_before = first * t->shape[1] * dtype_size(t->dtype);
    Attention a = describe(t, (const char *)qkv->data - before, (char *)t->data - out_before);
    a.B = 1;
    a.first_query = first;
    a.num_queries = rows;
    if (a.key_mask)
        a.key_mask -= first;
    return a;
}

/* Zeros the rows of padding, of `bytes` each. */
static void clear_padding(const Tensor *t, void *rows, size_t bytes)
{
    size_t from = first_padding(t->in[STARTS], t->shape[0]);
    memset((char *)rows + from * bytes, 0, (t->shape[0] - from) * bytes);
}

/* Between two small formats, by way of fp32. */
static void convert(DType from_type, const char *from, DType to_type, char *to, size_t n)
{
    enum { AT_ONCE = 2 * QUANT_GROUP };
    float wide[AT_ONCE];
    for (size_t done = 0; done < n; done += AT_ONCE) {
        size_t count = n - done < AT_ONCE ? n - done : AT_ONCE;
        kernels()->widen(from_type, from + dtype_bytes(from_type, done), wide, count);
        kernels()->narrow(to_type, wide, to + dtype_bytes(to_type, done), count);
    }
}

/* Appends k (or v) of row i, `at` elements into the row of qkv, to position p of sequence b. */
static void append_row(const Tensor *t, Tensor *cache, size_t i, size_t at, size_t b, size_t p)
{
    const Tensor *qkv = t->in[QKV];
    const size_t *shape = cache->shape, capacity = shape[2], D = shape[3];
    const size_t size = dtype_size(qkv->dtype), cached = dtype_bytes(cache->dtype, D);
    const char *row = row_at(qkv, i);
    for (size_t h = 0; h < shape[1]; h++) {
        const char *from = row + (at + h * D) * size;
        char *to = (char *)cache->data + ((b * shape[1] + h) * capacity + p) * cached;
        if (qkv->dtype == cache->dtype)
            memcpy(to, from, D * size);
        else if (qkv->dtype == DT_F32)
            kernels()->narrow(cache->dtype, (const float *)from, to, D);
        else if (cache->dtype == DT_F32)
            kernels()->widen(qkv->dtype, from, (float *)to, D);
        else
            convert(qkv->dtype, from, cache->dtype, to, D);
    }
}

static void append(const Tensor *t, const Attention *a, const ExecCtx *c)
{
    size_t keys = a->H * a->D, values = keys + a->KV * a->D, width = 2 * a->KV * a->D;
    int threads = exec_threads(c, (double)t->shape[0] * (double)width);
    for (size_t b = 0; b < a->B; b++) {
        Range rows = sequence_rows(a->starts, a->T, b);
        size_t past = attention_past(a, b);
        CHECK(past + rows.to - rows.from <= a->capacity, "%zu positions in a cache of %zu",
              past + rows.to - rows.from, a->capacity);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
        for (size_t i = rows.from; i < rows.to; i++) {
            append_row(t, t->in[KEYS], i, keys, b, past + i - rows.from);
            append_row(t, t->in[VALUES], i, values, b, past + i - rows.from);
        }
    }
}

static void use_cache(const Tensor *t, Attention *a, const ExecCtx *c)
{
    a->past = c->past;
    a->k = t->in[KEYS]->data;
    a->v = t->in[VALUES]->data;
    append(t, a, c);
}

static void forward(const Tensor *t, ExecCtx *c)
{
    Attention a = c->parts > 1 ? describe_part(t, c) : describe(t, t->in[QKV]->data, t->data);
    a.part_ns = c->part_ns;
    if (t->in[KEYS])
        use_cache(t, &a, c);
    attention_forward(&a, c->threads, c->scratch);
    clear_padding(t, t->data, t->shape[1] * dtype_size(t->dtype));
}

/* Writes dqkv and never adds to it: qkv has one reader. Does not read out, which may be gone. */
static void backward(const Tensor *t, ExecCtx *c)
{
    CHECK(!t->in[KEYS], "attention over a cache has no backward pass");
    Attention a = describe(t, t->in[QKV]->data, NULL);
    float *dqkv = t->in[QKV]->grad;
    CHECK(!exec_adds(c, QKV), "the gradient of qkv has one contribution");
    if (!dqkv)
        return;
    float *dk = dqkv + a.H * a.D, *dv = dk + a.KV * a.D;
    a.part_ns = c->part_ns;
    attention_backward(&a, t->grad, dqkv, dk, dv, c->threads, c->scratch);
    clear_padding(t, dqkv, a.qkv_stride * sizeof *dqkv);
}

/* Scores and weighted values: 4 T T C per sequence; causal: half of it, with the diagonal. Of
 * sequences whose lengths differ only the mean is known when the graph is recorded; of a cache
 * nothing: it counts as empty. */
static double flops(const Tensor *t, bool is_backward)
{
    const Attr *a = t->attr;
    double rows = (double)t->shape[0], C = (double)t->shape[1];
    double T = t->in[STARTS] ? rows / (double)num_sequences(t) : (double)a->T;
    double forward_flops = a->causal ? 2 * rows * (T + 1) * C : 4 * rows * T * C;
    return is_backward ? 2 * forward_flops : forward_flops;
}

static size_t aux_bytes(const Tensor *t, bool is_backward)
{
    return is_backward ? t->shape[0] * ((const Attr *)t->attr)->heads.count * sizeof(float) : 0;
}

static size_t scratch_bytes(const Tensor *t, int threads, bool is_backward)
{
    Attention a = shape_of(t);
    return attention_scratch_bytes(&a, threads, is_backward);
}

const OpDef op_attention_def = {.name = "attention",
                                .parts = {"scores", "softmax", "values"},
                                .part_flops = {0.5, 0, 0.5},
                                .forward = forward,
                                .by_sequence = true,
                                .by_row = true,
                                .gathers = true,
                                .backward = backward,
                                .saved = SAVE_IN(QKV) | SAVE_IN(MASK) | SAVE_IN(STARTS) | SAVE_AUX,
                                .flops = flops,
                                .aux_bytes = aux_bytes,
                                .scratch_bytes = scratch_bytes};
