/* test_low: products of bf16, f16 and i8 on every path against doubles: instruction sets with and
 * without the instruction that multiplies the format, layouts, formats of A, B and C, packed and
 * not, epilogues.
 *
 * Small integers are exact in every format and their sums in fp32, so that comparisons are for
 * equality; int8 rows and columns contain 127, which makes their scales 1. */
#include "tests/support/low_ways.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* n numbers as the format holds them in memory; caller frees. */
static void *stored(DType type, const float *x, size_t n)
{
    void *memory = xmalloc(n * sizeof(*x) + 1);
    kernels_for("generic")->narrow(type, x, memory, n);
    return memory;
}

typedef struct Case {
    DType product, a_type, b_type, c_type;
    size_t m, n, k, pad;
    bool packed, a_transposed, b_transposed, accumulate, bias, residual, z;
    Act act;
} Case;

/* The values of one product, as fp32 whatever memory holds. */
typedef struct Values {
    float *a, *b, *c, *bias, *residual;
    size_t a_size, b_size, c_size;
} Values;

static float *integers(size_t n, uint64_t stream, int range)
{
    float *x = xmalloc((n + 1) * sizeof(*x));
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(int)(rng_u64(7, stream, i) % (2 * (uint64_t)range + 1)) - (float)range;
    return x;
}

static Gemm describe(const Case *t)
{
    size_t lda = (t->a_transposed ? t->m : t->k) + t->pad;
    size_t ldb = (t->b_transposed ? t->k : t->n) + t->pad;
    return (Gemm){
        .m = t->m,
        .n = t->n,
        .k = t->k,
        .a_type = t->a_type,
        .a_row = t->a_transposed ? 1 : lda,
        .a_col = t->a_transposed ? lda : 1,
        .b_type = t->b_type,
        .b_row = t->b_transposed ? 1 : ldb,
        .b_col = t->b_transposed ? ldb : 1,
        .c_type = t->c_type,
        .c_row = t->n + t->pad,
        .accumulate = t->accumulate,
        .product = t->packed ? DT_F32 : t->product,
    };
}

static Values values_new(const Case *t, const Gemm *g)
{
    int range = t->product == DT_I8 ? 127 : 3;
    Values v = {.a_size = (t->a_transposed ? t->k : t->m) * (g->a_row == 1 ? g->a_col : g->a_row),
                .b_size = (t->b_transposed ? t->n : t->k) * (g->b_row == 1 ? g->b_col : g->b_row),
                .c_size = t->m * g->c_row};
    v.a = integers(v.a_size, 1, range);
    v.b = integers(v.b_size, 2, range);
    v.c = integers(v.c_size, 3, 9);
    v.bias = t->bias ? integers(t->n, 4, 5) : NULL;
    v.residual = t->residual ? integers(v.c_size, 5, 5) : NULL;
    for (size_t i = 0; i < t->m && t->product == DT_I8 && t->k; i++)
        v.a[i * g->a_row] = 127;
    for (size_t j = 0; j < t->n && t->product == DT_I8 && t->k; j++)
        v.b[j * g->b_col] = -127;
    return v;
}

static void values_free(Values *v)
{
    free(v->a);
    free(v->b);
    free(v->c);
    free(v->bias);
    free(v->residual);
}

/* [m, n]: what is rounded into C, and z before the activation. */
static void expect(const Case *t, const Gemm *g, const Values *v, double *c, double *z)
{
    ref_gemm(t->m, t->n, t->k, v->a, g->a_row, g->a_col, v->b, g->b_row, g->b_col, NULL, z);
    for (size_t i = 0; i < t->m; i++)
        for (size_t j = 0; j < t->n; j++) {
            double *sum = z + i * t->n + j;
            size_t at = i * g->c_row + j;
            *sum += (t->accumulate ? v->c[at] : 0) + (v->bias ? v->bias[j] : 0);
            c[i * t->n + j] = ref_act(t->act, *sum) + (v->residual ? v->residual[at] : 0);
        }
}

/* C beyond its columns is as it was. */
static void check_around(const Case *t, const Gemm *g, const float *before, const float *after)
{
    for (size_t i = 0; i < t->m; i++)
        for (size_t j = t->n; j < g->c_row; j++)
            cr_assert_eq(after[i * g->c_row + j], before[i * g->c_row + j], "the padding of C");
}

static void report(const Case *t, const Way *way, int threads, double error)
{
    cr_assert_fail(
        "%s %s, %s: %s by %s into %s, m%zu n%zu k%zu pad%zu packed%d at%d bt%d acc%d bias%d "
        "res%d z%d act%d, %d threads: %g",
        way->isa, way->hidden, dtype_name(t->product), dtype_name(t->a_type), dtype_name(t->b_type),
        dtype_name(t->c_type), t->m, t->n, t->k, t->pad, t->packed, t->a_transposed,
        t->b_transposed, t->accumulate, t->bias, t->residual, t->z, t->act, threads, error);
}

/* Small integers throughout: equality, since C is rounded once. */
static void check_exact(const Case *t, const Way *way, int threads)
{
    Gemm g = describe(t);
    Values v = values_new(t, &g);
    size_t mn = t->m * t->n;
    double *expected = xcalloc(mn + 1, sizeof(double)),
           *expected_z = xcalloc(mn + 1, sizeof(double));
    expect(t, &g, &v, expected, expected_z);
    void *scratch = aligned(gemm_scratch_bytes(threads)), *memory = NULL;
    void *a = stored(t->a_type, v.a, v.a_size), *b = stored(t->b_type, v.b, v.b_size);
    void *c = stored(t->c_type, v.c, v.c_size);
    void *residual = v.residual ? stored(t->c_type, v.residual, v.c_size) : NULL;
    float *z = xcalloc(v.c_size + 1, sizeof(*z)), *got = xcalloc(v.c_size + 1, sizeof(*got));
    g.a = a;
    g.b = b;
    g.c = c;
    g.epi = (Epilogue){.bias = v.bias, .z = t->z ? z : NULL, .act = t->act, .residual = residual};
    if (t->packed) {
        memory = aligned(gemm_packed_bytes(t->product, t->k, t->n));
        g.packed = gemm_pack(t->product, t->k, t->n, v.b, g.b_row, g.b_col, threads, memory);
        g.b = NULL;
    }
    gemm_run(&g, threads, scratch);
    kernels()->widen(t->c_type, c, got, v.c_size);
    check_around(t, &g, v.c, got);
    for (size_t i = 0; i < mn; i++) {
        size_t at = i / t->n * g.c_row + i % t->n;
        float right = rounded(t->c_type, (float)expected[i]);
        if (got[at] != right || (t->z && z[at] != expected_z[i]))
            report(t, way, threads, got[at] - right);
    }
    values_free(&v);
    free(a);
    free(b);
    free(c);
    free(residual);
    free(z);
    free(got);
    free(expected);
    free(expected_z);
    free(scratch);
    free(memory);
}

/* A case from random bits, restricted to what kernels.h allows. */
static Case case_of(DType product, size_t m, size_t n, size_t k, uint64_t bits)
{
    static const DType types[] = {DT_F32, DT_F32, DT_BF16, DT_F16};
    Case t = {.product = product, .m = m, .n = n, .k = k};
    t.pad = bits & 1 ? 3 : 0;
    t.b_transposed = bits >> 1 & 1;
    t.accumulate = bits >> 2 & 1;
    t.bias = bits >> 3 & 1;
    t.residual = bits >> 4 & 1;
    t.act = bits >> 5 & 1 ? ACT_RELU : ACT_NONE;
    t.c_type = types[bits >> 6 & 3];
    t.z = bits >> 8 & 1 && t.c_type != DT_F16;
    t.packed = bits >> 9 & 1 || product == DT_I8;
    t.a_transposed = bits >> 10 & 1 && product != DT_I8;
    t.a_type = product == DT_I8 ? DT_F32 : types[bits >> 11 & 3];
    if (t.a_transposed && (t.a_type == DT_F16 || product != DT_BF16))
        t.a_type = DT_F32;
    t.b_type = bits >> 13 & 1 && product == DT_BF16 && !t.packed ? DT_BF16 : DT_F32;
    return t;
}

static const size_t sizes[] = {1,  2,  3,  4,  5,  6,  7,  8,  9,  15, 16,  17,
                               31, 32, 33, 47, 48, 49, 63, 64, 65, 97, 113, 193};

static void check_shapes(DType product)
{
    FOR_EACH_WAY(way)
    {
        for (unsigned i = 0; i < 800; i++) {
            size_t m = sizes[rng_u64(1, 1, i) % COUNT_OF(sizes)];
            size_t n = sizes[rng_u64(1, 2, i) % COUNT_OF(sizes)];
            size_t k = sizes[rng_u64(1, 3, i) % COUNT_OF(sizes)];
            Case t = case_of(product, m, n, k, rng_u64(1, 4, i));
            check_exact(&t, way, 1);
        }
    }
}

Test(low, bf16_exact_on_small_integers)
{
    check_shapes(DT_BF16);
}

Test(low, f16_exact_on_small_integers)
{
    check_shapes(DT_F16);
}

Test(low, i8_exact)
{
    check_shapes(DT_I8);
}

/* More rows, columns and depth than one block. */
Test(low, exact_across_blocks_and_threads)
{
    static const size_t shapes[][3] = {{1030, 60, 5},   {97, 200, 2300}, {9, 1100, 1025},
                                       {70, 49, 4500},  {3, 2000, 200},  {300, 900, 1100},
                                       {200, 50, 10300}};
    static const int threads[] = {1, 2, 3, 5};
    FOR_EACH_WAY(way)
    {
        for (size_t i = 0; i < COUNT_OF(shapes) * COUNT_OF(products); i++) {
            const size_t *s = shapes[i / COUNT_OF(products)];
            DType product = products[i % COUNT_OF(products)];
            /* Sums of int8 are exact in fp32 below 2^24 only; test_low_sums has deeper ones. */
            size_t k = product == DT_I8 && s[2] > 1100 ? 1100 : s[2];
            Case t = case_of(product, s[0], s[1], k, rng_u64(2, 1, i));
            check_exact(&t, way, threads[i % COUNT_OF(threads)]);
        }
    }
}

/* As backward of a large batch has them: rows for more than a block, depth for several. */
Test(low, exact_where_b_lies_in_rows)
{
    static const size_t shapes[][3] = {{768, 50, 4200}, {900, 70, 2300}, {1100, 60, 1050}};
    FOR_EACH_WAY(way)
    {
        for (size_t i = 0; i < 4 * COUNT_OF(shapes); i++) {
            const size_t *s = shapes[i / 4];
            Case t = {.product = DT_BF16,
                      .a_type = i & 1 ? DT_BF16 : DT_F32,
                      .b_type = i & 1 ? DT_F32 : DT_BF16,
                      .m = s[0],
                      .n = s[1],
                      .k = s[2],
                      .pad = i,
                      .a_transposed = i >> 1 & 1,
                      .accumulate = i % 3 == 0};
            check_exact(&t, way, 1 + (int)i % 3);
        }
    }
}

Test(low, nothing_to_multiply)
{
    FOR_EACH_WAY(way)
    {
        for (size_t i = 0; i < 64 * COUNT_OF(products); i++) {
            Case t = case_of(products[i % COUNT_OF(products)], 5, 20, 0, rng_u64(3, 1, i));
            check_exact(&t, way, 1);
            t.m = 0;
            t.k = 3;
            check_exact(&t, way, 1);
        }
    }
}

/* ---- the GELU of rounded operands ---- */

typedef struct GeluCase {
    Act act;
    DType product, c_type;
    double rounding; /* of what is stored, relative to it */
} GeluCase;

/* y = gelu(x 1) of m numbers x of bf16. */
static void gelu_of(const GeluCase *t, const float *x, size_t m, void *y, float *z)
{
    const float one = 1;
    void *scratch = aligned(gemm_scratch_bytes(1)),
         *memory = aligned(gemm_packed_bytes(DT_I8, 1, 1));
    Gemm g = {.m = m,
              .n = 1,
              .k = 1,
              .a = x,
              .a_row = 1,
              .a_col = 1,
              .b = &one,
              .b_row = 1,
              .b_col = 1,
              .product = t->product,
              .c = y,
              .c_type = t->c_type,
              .c_row = 1,
              .epi = {.act = t->act, .z = z}};
    if (t->product == DT_I8)
        g.packed = gemm_pack(DT_I8, 1, 1, &one, 1, 1, 1, memory);
    gemm_run(&g, 1, scratch);
    free(scratch);
    free(memory);
}

static void check_gelu(const GeluCase *t, const float *x, const float *y, size_t n)
{
    const double largest = t->c_type == DT_F16 ? 65504 : 3e38;
    for (size_t i = 0; i < n; i++) {
        double wanted = ref_act(t->act, x[i]);
        if (isnan(wanted))
            cr_assert(isnan(y[i]), "gelu %d (%g) = %g", t->act, (double)x[i], (double)y[i]);
        else if (fabs(wanted) < largest)
            cr_assert_leq(fabs(y[i] - wanted), 1e-6 + (4e-7 + t->rounding) * fabs(wanted),
                          "%s into %s: gelu %d (%g) = %g", dtype_name(t->product),
                          dtype_name(t->c_type), t->act, (double)x[i], (double)y[i]);
    }
}

Test(low, gelu_is_near_everywhere_and_exact_where_it_is_made_again)
{
    enum { M = 65536 };
    /* Scales of an i8 product are rounded: 3e-7 of z. */
    static const GeluCase cases[] = {
        {ACT_GELU_ERF, DT_BF16, DT_F32, 0},       {ACT_GELU_ERF, DT_BF16, DT_BF16, 0x1p-8},
        {ACT_GELU_ERF, DT_BF16, DT_F16, 0x1p-11}, {ACT_GELU_ERF, DT_I8, DT_F32, 3e-7},
        {ACT_GELU_TANH, DT_BF16, DT_F32, 0},      {ACT_GELU_TANH, DT_I8, DT_F32, 3e-7}};
    static float x[M], y[M], z[M], again[M];
    static char stored[M * sizeof(float)];
    for (uint32_t i = 0; i < M; i++) {
        uint32_t bits = i << 16;
        memcpy(&x[i], &bits, sizeof(bits));
    }
    FOR_EACH_WAY(way)
    {
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
            gelu_of(&cases[i], x, M, stored, NULL);
            kernels()->widen(cases[i].c_type, stored, y, M);
            check_gelu(&cases[i], x, y, M);
        }
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
            if (cases[i].c_type != DT_F32 || cases[i].product != DT_BF16)
                continue;
            gelu_of(&cases[i], x, M, y, z);
            kernels()->act_forward(cases[i].act, z, again, M);
            for (size_t k = 0; k < M; k++)
                cr_assert(y[k] == again[k] || (isnan(y[k]) && isnan(again[k])));
        }
    }
}
