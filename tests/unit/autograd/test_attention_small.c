/* test_attention_small: attention on small formats: products of bf16 by every way to multiply it,
 * forward and backward, against doubles; q, k, v and out in bf16 and f16. */
#include "tests/support/low_ways.h"

#include <math.h>
#include <string.h>

typedef struct Shape {
    size_t B, T, H, D;
    bool causal, masked;
} Shape;

static const Shape shapes[] = {
    {1, 1, 1, 1, false, false},    {2, 7, 3, 5, true, false},     {1, 48, 2, 64, false, true},
    {2, 50, 2, 33, true, true},    {1, 129, 1, 16, true, false},  {1, 300, 2, 24, false, true},
    {1, 1100, 1, 8, false, false}, {1, 40, 1, 1030, true, false}, {1, 400, 1, 64, true, false}};

/* Numbers that bf16 and f16 both hold, in all three formats. */
typedef struct Inputs {
    Attention a; /* in fp32 */
    size_t rows, C;
    float *qkv;
    uint16_t *bf16, *f16;
    int32_t *mask;
} Inputs;

static Inputs inputs_new(const Shape *s)
{
    Inputs in = {.rows = s->B * s->T, .C = s->H * s->D};
    size_t n = in.rows * 3 * in.C;
    const Kernels *k = kernels_for("generic");
    in.qkv = xmalloc(n * sizeof(float));
    in.bf16 = xmalloc(n * sizeof(uint16_t));
    in.f16 = xmalloc(n * sizeof(uint16_t));
    in.mask = xmalloc(in.rows * sizeof(int32_t));
    k->normal(in.qkv, n, 3, s->T, 0, 0, 1);
    for (size_t i = 0; i < n; i++)
        in.qkv[i] = fabsf(in.qkv[i]) < 1e-3f ? 0 : rounded(DT_BF16, in.qkv[i]);
    k->narrow(DT_BF16, in.qkv, in.bf16, n);
    k->narrow(DT_F16, in.qkv, in.f16, n);
    for (size_t i = 0; i < in.rows; i++)
        in.mask[i] = rng_uniform(5, s->T, i) < 0.6;
    in.a = (Attention){.B = s->B,
                       .T = s->T,
                       .H = s->H,
                       .D = s->D,
                       .q = in.qkv,
                       .k = in.qkv + in.C,
                       .v = in.qkv + 2 * in.C,
                       .qkv_stride = 3 * in.C,
                       .key_mask = s->masked ? in.mask : NULL,
                       .causal = s->causal,
                       .scale = 1.0f / sqrtf((float)s->D)};
    return in;
}

static void inputs_free(Inputs *in)
{
    free(in->qkv);
    free(in->bf16);
    free(in->f16);
    free(in->mask);
}

/* The same numbers, stored in a format. */
static Attention stored_as(const Inputs *in, DType type)
{
    Attention a = in->a;
    const uint16_t *half = type == DT_BF16 ? in->bf16 : in->f16;
    a.type = type;
    if (type == DT_F32)
        return a;
    a.q = half;
    a.k = half + in->C;
    a.v = half + 2 * in->C;
    return a;
}

/* Writes into out, which is NaN before. */
static void run(Attention a, const Inputs *in, int threads, void *out)
{
    size_t bytes = attention_scratch_bytes(&a, threads, false);
    char *scratch = scratch_new(bytes);
    memset(out, 0xff, in->rows * in->C * dtype_size(a.out_type));
    a.out = out;
    attention_forward(&a, threads, scratch);
    scratch_free(scratch, bytes);
}

/* Numbers of bf16. */
static float *dout_new(size_t n)
{
    float *dout = xmalloc(n * sizeof(float));
    kernels_for("generic")->normal(dout, n, 7, 0, 0, 0, 1);
    for (size_t i = 0; i < n; i++)
        dout[i] = rounded(DT_BF16, dout[i]);
    return dout;
}

/* dqkv, after a forward pass in the same product. */
static void run_backward(Attention a, const Inputs *in, int threads, const float *dout, float *dqkv)
{
    const size_t n = in->rows * in->C, bytes = attention_scratch_bytes(&a, threads, true);
    float *out = xmalloc(n * sizeof(float)), *lse = xmalloc(in->rows * a.H * sizeof(float));
    a.lse = lse;
    run(a, in, threads, out);
    memset(dqkv, 0xff, 3 * n * sizeof(float));
    char *scratch = scratch_new(bytes);
    attention_backward(&a, dout, dqkv, dqkv + in->C, dqkv + 2 * in->C, threads, scratch);
    scratch_free(scratch, bytes);
    free(out);
    free(lse);
}

/* Distance of one of dq, dk and dv from that in doubles, over its length. */
static double distance_of(const Inputs *in, const float *dqkv, size_t which, const double *exact)
{
    double error = 0, length = 0;
    for (size_t i = 0; i < in->rows; i++)
        for (size_t c = 0; c < in->C; c++) {
            double wanted = exact[i * in->C + c];
            double e = dqkv[(3 * i + which) * in->C + c] - wanted;
            error += e * e;
            length += wanted * wanted;
        }
    return error == 0 ? 0 : sqrt(error / length);
}

/* Each probability and each gradient of a score is rounded to 8 bits. */
static void check_backward_bf16(const Shape *s, const Way *way)
{
    Inputs in = inputs_new(s);
    const size_t n = in.rows * in.C;
    float *dout = dout_new(n), *dqkv = xmalloc(3 * n * sizeof(float));
    float *again = xmalloc(3 * n * sizeof(float));
    double *exact = xcalloc(3 * n, 8);
    Attention a = in.a;
    a.product = DT_BF16;
    run_backward(a, &in, 1, dout, dqkv);
    ref_attention_backward(&in.a, dout, exact, exact + n, exact + 2 * n);
    for (size_t which = 0; which < 3; which++) /* largest seen: 2.4e-3 */
        cr_assert_leq(distance_of(&in, dqkv, which, exact + which * n), 0x1p-8,
                      "%s -%s amx %d, T%zu D%zu: %zu is off by %g", way->isa, way->hidden, way->amx,
                      s->T, s->D, which, distance_of(&in, dqkv, which, exact + which * n));
    a = stored_as(&in, DT_BF16);
    a.product = DT_BF16;
    for (int threads = 1; threads <= 3; threads++) {
        run_backward(a, &in, threads, dout, again);
        cr_assert_eq(memcmp(dqkv, again, 3 * n * sizeof(float)), 0, "small, %d threads", threads);
    }
    free(dout);
    free(dqkv);
    free(again);
    free(exact);
    inputs_free(&in);
}

/* Each weight is rounded to 8 bits: an output moves by 2^-8 of the mean |v| at most, but for fp32's
 * rounding. */
static void check_bf16(const Shape *s, const Way *way)
{
    Inputs in = inputs_new(s);
    size_t n = in.rows * in.C;
    float *out = xmalloc(n * sizeof(float)), *again = xmalloc(n * sizeof(float));
    double *exact = xcalloc(n, 8), *sizes = xcalloc(n, 8), *lse = xcalloc(in.rows * s->H, 8);
    Attention a = in.a;
    a.product = DT_BF16;
    run(a, &in, 1, out);
    ref_attention(&in.a, exact, lse);
    for (size_t i = 0; i < in.rows; i++)
        for (size_t c = 0; c < in.C; c++)
            in.qkv[(3 * i + 2) * in.C + c] = fabsf(in.qkv[(3 * i + 2) * in.C + c]);
    ref_attention(&in.a, sizes, lse);
    for (size_t i = 0; i < n; i++)
        cr_assert_leq(fabs(out[i] - exact[i]), sizes[i] * 0x1p-8 + 3e-6,
                      "%s -%s amx %d, T%zu D%zu: element %zu is %g for %g", way->isa, way->hidden,
                      way->amx, s->T, s->D, i, out[i], exact[i]);

    a = stored_as(&in, DT_BF16);
    a.product = DT_BF16;
    for (int threads = 1; threads <= 3; threads++) {
        run(a, &in, threads, again);
        cr_assert_eq(memcmp(out, again, n * sizeof(float)), 0, "stored small, %d threads", threads);
    }
    free(out);
    free(again);
    free(exact);
    free(sizes);
    free(lse);
    inputs_free(&in);
}

Test(attention_small, products_of_bf16)
{
    FOR_EACH_WAY_OF_BF16(way)
    for (size_t i = 0; i < COUNT_OF(shapes); i++)
        check_bf16(&shapes[i], way);
}

Test(attention_small, gradients_by_products_of_bf16)
{
    FOR_EACH_WAY_OF_BF16(way)
    for (size_t i = 0; i < COUNT_OF(shapes); i++)
        check_backward_bf16(&shapes[i], way);
}

/* As if each query head had keys and values of its own, whose gradients are summed. */
Test(attention_small, heads_that_share_keys_add_to_their_gradients_in_bf16)
{
    static const Shape apart = {2, 70, 6, 24, true, false};
    enum { KV = 2, SHARED = 3 };
    FOR_EACH_WAY_OF_BF16(way)
    {
        Inputs in = inputs_new(&apart);
        const size_t D = apart.D, n = in.rows * in.C, width = in.C + 2 * KV * D;
        float *dout = dout_new(n), *wanted = xmalloc(3 * n * sizeof(float));
        float *packed = xmalloc(n * 3 * sizeof(float)), *got = xmalloc(3 * n * sizeof(float));
        for (size_t i = 0; i < in.rows; i++) {
            float *row = in.qkv + i * 3 * in.C, *to = packed + i * width;
            memcpy(to, row, in.C * sizeof(float));
            for (size_t h = 0; h < 2 * apart.H; h++) {
                float *head = row + in.C + h / SHARED * SHARED * D;
                memcpy(to + in.C + h / SHARED * D, head, D * sizeof(float));
                memmove(row + in.C + h * D, head, D * sizeof(float));
            }
        }
        Attention a = in.a;
        a.product = DT_BF16;
        run_backward(a, &in, 1, dout, wanted);
        a.KV = KV;
        a.q = packed;
        a.k = packed + in.C;
        a.v = packed + in.C + KV * D;
        a.qkv_stride = width;
        float *out = xmalloc(n * sizeof(float)), *lse = xmalloc(in.rows * a.H * sizeof(float));
        a.lse = lse;
        run(a, &in, 2, out);
        size_t bytes = attention_scratch_bytes(&a, 2, true);
        char *scratch = scratch_new(bytes);
        attention_backward(&a, dout, got, got + in.C, got + in.C + KV * D, 2, scratch);
        scratch_free(scratch, bytes);
        for (size_t i = 0; i < in.rows; i++)
            for (size_t c = 0; c < width; c++) {
                float sum = 0, *row = wanted + i * 3 * in.C;
                size_t h = c < in.C ? 0 : (c - in.C) / D;
                for (size_t j = 0; c >= in.C && j < SHARED; j++)
                    sum += row[in.C + (h * SHARED + j) * D + (c - in.C) % D];
                cr_assert_float_eq(got[i * width + c], c < in.C ? row[c] : sum, 2e-5);
            }
        free(dout);
        free(wanted);
        free(packed);
        free(got);
        free(out);
        free(lse);
        inputs_free(&in);
    }
}

/* Fewer heads than threads, and enough work for all threads. */
Test(attention_small, sequences_of_any_lengths_give_the_bits_of_each_alone)
{
    static const int32_t starts[] = {0, 0, 200, 200, 231, 232, 500};
    static const Shape all = {1, 500, 1, 40, false, false};
    FOR_EACH_WAY_OF_BF16(way)
    for (int causal = 0; causal <= 1; causal++) {
        Inputs in = inputs_new(&all);
        size_t n = in.rows * in.C;
        float *together = xmalloc(n * sizeof(float)), *apart = xmalloc(n * sizeof(float));
        float *dout = dout_new(n), *grads = xmalloc(3 * n * sizeof(float));
        float *grads_apart = xmalloc(3 * n * sizeof(float));
        Attention a = in.a;
        a.product = DT_BF16;
        a.causal = causal;
        a.B = COUNT_OF(starts) - 1;
        a.T = 268;
        a.starts = starts;
        for (size_t b = 0; b < a.B; b++) {
            Range rows = sequence_rows(starts, 0, b);
            Attention alone = a;
            Inputs part = in;
            alone.B = 1;
            alone.T = part.rows = rows.to - rows.from;
            alone.starts = NULL;
            alone.q = in.qkv + rows.from * 3 * in.C;
            alone.k = in.qkv + rows.from * 3 * in.C + in.C;
            alone.v = in.qkv + rows.from * 3 * in.C + 2 * in.C;
            run(alone, &part, 1, apart + rows.from * in.C);
            if (part.rows > 0)
                run_backward(alone, &part, 1, dout + rows.from * in.C,
                             grads_apart + 3 * rows.from * in.C);
        }
        for (int threads = 1; threads <= 3; threads++) {
            run(a, &in, threads, together);
            cr_assert_eq(memcmp(together, apart, n * sizeof(float)), 0, "%d threads", threads);
            run_backward(a, &in, threads, dout, grads);
            cr_assert_eq(memcmp(grads, grads_apart, 3 * n * sizeof(float)), 0, "%d threads",
                         threads);
        }
        free(together);
        free(apart);
        free(dout);
        free(grads);
        free(grads_apart);
        inputs_free(&in);
    }
}

/* Operands that are not of the format are rounded to it. */
Test(attention_small, products_of_bf16_round_their_operands)
{
    FOR_EACH_WAY_OF_BF16(way)
    {
        Inputs in = inputs_new(&shapes[3]);
        size_t n = in.rows * in.C, all = 3 * n;
        float *out = xmalloc(n * sizeof(float)), *wanted = xmalloc(n * sizeof(float));
        Attention a = in.a;
        a.product = DT_BF16;
        run(a, &in, 1, wanted);
        /* By half of the way, at most, to where another number is nearer. */
        for (size_t i = 0; i < all; i++)
            in.qkv[i] *= 1 + 0x1p-10f;
        run(a, &in, 1, out);
        cr_assert_eq(memcmp(out, wanted, n * sizeof(float)), 0);
        free(out);
        free(wanted);
        inputs_free(&in);
    }
}

Test(attention_small, formats_of_memory)
{
    static const DType types[] = {DT_F32, DT_BF16, DT_F16};
    FOR_EACH_WAY(way)
    for (size_t i = 0; i < COUNT_OF(shapes); i++) {
        Inputs in = inputs_new(&shapes[i]);
        size_t n = in.rows * in.C;
        float *wanted = xmalloc(n * sizeof(float));
        char *out = xmalloc(n * sizeof(float)), *small = xmalloc(n * sizeof(float));
        run(in.a, &in, 1, wanted);
        for (size_t t = 0; t < COUNT_OF(types); t++)
            for (size_t to = 0; to < COUNT_OF(types); to++) {
                Attention a = stored_as(&in, types[t]);
                a.out_type = types[to];
                run(a, &in, 2, out);
                kernels_for("generic")->narrow(types[to], wanted, small, n);
                cr_assert_eq(memcmp(out, small, n * dtype_size(types[to])), 0,
                             "%s to %s, shape %zu", dtype_name(types[t]), dtype_name(types[to]), i);
            }
        free(wanted);
        free(out);
        free(small);
        inputs_free(&in);
    }
}

/* Gradients of small q, k and v are those of the same numbers in fp32. */
Test(attention_small, backward_widens_its_inputs)
{
    static const DType types[] = {DT_BF16, DT_F16};
    FOR_EACH_WAY(way)
    for (size_t i = 0; i < COUNT_OF(shapes) * COUNT_OF(types); i++) {
        Inputs in = inputs_new(&shapes[i / 2]);
        size_t n = in.rows * in.C, bytes;
        float *out = xmalloc(n * sizeof(float)), *lse = xmalloc(in.rows * in.a.H * sizeof(float));
        float *dout = xmalloc(n * sizeof(float)), *wanted = xcalloc(6 * n, sizeof(float));
        float *grads = wanted + 3 * n;
        kernels()->normal(dout, n, 7, 0, 0, 0, 1);
        in.a.lse = lse;
        run(in.a, &in, 1, out);
        Attention small = stored_as(&in, types[i % 2]);
        bytes = attention_scratch_bytes(&small, 2, true);
        char *scratch = scratch_new(bytes);
        attention_backward(&in.a, dout, wanted, wanted + in.C, wanted + 2 * in.C, 2, scratch);
        attention_backward(&small, dout, grads, grads + in.C, grads + 2 * in.C, 2, scratch);
        cr_assert_eq(memcmp(wanted, grads, 3 * n * sizeof(float)), 0, "%s",
                     dtype_name(types[i % 2]));
        scratch_free(scratch, bytes);
        free(out);
        free(lse);
        free(dout);
        free(wanted);
        inputs_free(&in);
    }
}
