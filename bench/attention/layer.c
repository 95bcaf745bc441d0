/* layer: see layer.h. */
#include "bench/attention/layer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/model.h"

/* ---- flash ---- */

static double lse_bytes(const Attention *a)
{
    return (double)a->B * (double)a->H * (double)a->T * sizeof(float);
}

static double flash_scratch_bytes(const Attention *a, int threads)
{
    return fmax((double)attention_scratch_bytes(a, threads, false),
                (double)attention_scratch_bytes(a, threads, true));
}

static void flash_forward(const AttentionLayer *l)
{
    Attention a = l->a;
    a.lse = l->kept;
    attention_forward(&a, l->threads, l->scratch);
}

static void flash_backward(const AttentionLayer *l)
{
    Attention a = l->a;
    size_t C = a.H * a.D;
    a.lse = l->kept;
    attention_backward(&a, l->dout, l->dqkv, l->dqkv + C, l->dqkv + 2 * C, l->threads, l->scratch);
}

const AttentionImpl attention_flash = {"flash", lse_bytes, flash_scratch_bytes, flash_forward,
                                       flash_backward};

const AttentionImpl *attention_impl(const char *name)
{
    return strcmp(name, attention_plain.name) == 0 ? &attention_plain : &attention_flash;
}

/* ---- the shape ---- */

Attention attention_layer_shape(size_t B, size_t T, size_t H, size_t D, bool causal, DType type)
{
    return (Attention){.B = B,
                       .T = T,
                       .H = H,
                       .D = D,
                       .qkv_stride = 3 * H * D,
                       .causal = causal,
                       .scale = 1.0f / sqrtf((float)D),
                       .type = type,
                       .out_type = type,
                       .product = type == DT_F32 ? DT_F32 : attention_product()};
}

double attention_layer_flops(const Attention *a, bool backward)
{
    double T = (double)a->T, pairs = a->causal ? T * (T + 1) / 2 : T * T;
    return (backward ? 6 : 2) * 2 * pairs * (double)(a->B * a->H * a->D);
}

/* ---- memory ---- */

/* Elements of q, k and v, and of out. */
static double qkv_count(const Attention *a)
{
    return (double)a->B * (double)a->T * (double)a->qkv_stride;
}

static double out_count(const Attention *a)
{
    return qkv_count(a) / 3;
}

double attention_saved_bytes(const Attention *a, const AttentionImpl *impl)
{
    return qkv_count(a) * (double)dtype_size(a->type) + impl->kept_bytes(a);
}

enum { PIECES = 6, ALIGN = 64 };

/* q, k and v; out; what is kept; dout; dqkv; scratch. */
static double piece_bytes(const Attention *a, const AttentionImpl *impl, int threads,
                          double piece[PIECES])
{
    const double size = (double)dtype_size(a->type);
    double all = 0;
    piece[0] = qkv_count(a) * size;
    piece[1] = out_count(a) * size;
    piece[2] = impl->kept_bytes(a);
    piece[3] = out_count(a) * sizeof(float);
    piece[4] = qkv_count(a) * sizeof(float);
    piece[5] = impl->scratch_bytes(a, threads);
    for (int i = 0; i < PIECES; i++)
        all += piece[i] = ceil(piece[i] / ALIGN) * ALIGN;
    return all;
}

double attention_process_bytes(const Attention *a, const AttentionImpl *impl, int threads)
{
    double piece[PIECES];
    return piece_bytes(a, impl, threads, piece) + MODEL_PROCESS_BYTES;
}

/* One stream of random numbers for q, k and v, one for dout. */
static void fill_inputs(AttentionLayer *l, void *qkv, uint64_t seed)
{
    const size_t n = (size_t)qkv_count(&l->a);
    kernels()->normal(l->dqkv, n, seed, 0, 0, 0, 1);
    kernels()->narrow(l->a.type, l->dqkv, qkv, n);
    kernels()->normal(l->dout, n / 3, seed, 1, 0, 0, 1);
}

int attention_layer_init(AttentionLayer *l, const Attention *shape, const AttentionImpl *impl,
                         int threads, uint64_t seed, Err *err)
{
    double piece[PIECES];
    void *at[PIECES];
    *l = (AttentionLayer){.impl = impl, .a = *shape, .threads = threads};
    double bytes = piece_bytes(shape, impl, threads, piece);
    if (bytes >= 0x1p62)
        return err_set(err, "%.3g bytes are more than any machine has", bytes);
    l->bytes = (size_t)bytes;
    l->block = block_alloc(l->bytes, err);
    if (!l->block)
        return -1;
    char *next = l->block;
    for (int i = 0; i < PIECES; i++) {
        at[i] = next;
        next += (size_t)piece[i];
    }
    size_t head_bytes = shape->H * shape->D * dtype_size(shape->type);
    l->a.q = at[0];
    l->a.k = (char *)at[0] + head_bytes;
    l->a.v = (char *)at[0] + 2 * head_bytes;
    l->a.out = at[1];
    l->kept = at[2];
    l->dout = at[3];
    l->dqkv = at[4];
    l->scratch = at[5];
    fill_inputs(l, at[0], seed);
    return 0;
}

void attention_layer_release(AttentionLayer *l)
{
    block_free(l->block, l->bytes);
    *l = (AttentionLayer){0};
}

/* ---- parity ---- */

typedef struct Difference {
    float most, largest; /* |x - y| and |y| */
} Difference;

static void compare_row(Difference *d, const float *x, const float *y, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float apart = fabsf(x[i] - y[i]);
        d->most = apart > d->most || isnan(apart) ? apart : d->most;
        d->largest = fmaxf(d->largest, fabsf(y[i]));
    }
}

static double compare_out(const AttentionLayer *x, const AttentionLayer *y)
{
    const Attention *a = &x->a;
    const size_t C = a->H * a->D, size = dtype_size(a->out_type);
    float *wide = xmalloc(2 * C * sizeof *wide);
    Difference d = {0};
    for (size_t i = 0; i < a->B * a->T; i++) {
        kernels()->widen(a->out_type, (char *)x->a.out + i * C * size, wide, C);
        kernels()->widen(a->out_type, (char *)y->a.out + i * C * size, wide + C, C);
        compare_row(&d, wide, wide + C, C);
    }
    free(wide);
    return d.most / d.largest;
}

static double compare_gradients(const AttentionLayer *x, const AttentionLayer *y)
{
    Difference d = {0};
    compare_row(&d, x->dqkv, y->dqkv, (size_t)qkv_count(&x->a));
    return d.most / d.largest;
}

double attention_difference(AttentionLayer *x, AttentionLayer *y)
{
    AttentionLayer *both[] = {x, y};
    for (int i = 0; i < 2; i++) {
        both[i]->impl->forward(both[i]);
        both[i]->impl->backward(both[i]);
    }
    double out = compare_out(x, y), gradients = compare_gradients(x, y);
    return out > gradients || isnan(out) ? out : gradients;
}
