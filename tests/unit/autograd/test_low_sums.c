/* test_low_sums: products of random numbers in bf16, f16 and i8: how far fp32 sums are from the
 * exact ones of rounded operands, and what must be equal to the last bit. */
#include "tests/support/low_ways.h"

#include <math.h>
#include <string.h>

static float *normal(size_t n, uint64_t stream)
{
    float *x = xmalloc(n * sizeof(*x));
    kernels_for("generic")->normal(x, n, 11, stream, 0, 0, 1);
    return x;
}

typedef struct Epilogued {
    DType product, c_type;
    size_t n, k;
    const float *a, *b;
    Epilogue epi;
} Epilogued;

/* Rows [first, first + m) into their places of c. */
static void run_rows(const Epilogued *t, size_t first, size_t m, int threads, void *c)
{
    void *memory = aligned(gemm_packed_bytes(t->product, t->k, t->n));
    void *scratch = aligned(gemm_scratch_bytes(threads));
    size_t before = first * t->n * dtype_size(t->c_type);
    Gemm g = {.m = m,
              .n = t->n,
              .k = t->k,
              .a = t->a + first * t->k,
              .a_row = t->k,
              .a_col = 1,
              .packed = gemm_pack(t->product, t->k, t->n, t->b, 1, t->k, threads, memory),
              .c = (char *)c + before,
              .c_type = t->c_type,
              .c_row = t->n,
              .epi = t->epi};
    if (g.epi.residual)
        g.epi.residual = (const char *)g.epi.residual + before;
    gemm_run(&g, threads, scratch);
    free(memory);
    free(scratch);
}

static void run_forward(DType product, size_t m, size_t n, size_t k, const float *a, const float *b,
                        int threads, float *c)
{
    run_rows(&(Epilogued){product, DT_F32, n, k, a, b, {0}}, 0, m, threads, c);
}

/* Of an fp32 sum of 3000 products of numbers from N(0,1); or, before it, of chains of f16. */
static double most_error(DType product)
{
    if (product == DT_F16 && low_kernel(isa_in_use(), DT_F16)->scales)
        return 0.35; /* 0.17 seen at most, of sums whose root mean square is 55 */
    /* 9.8e-5 seen at most in bf16, 1.9e-4 in f16, whose products have more bits to round. */
    return product == DT_BF16 ? 2e-4 : 4e-4;
}

Test(low_sums, only_operands_are_rounded)
{
    enum { M = 21, N = 130, K = 3001 };
    static float c[M * N];
    static double expected[M * N];
    for (size_t p = 0; p < 2; p++) {
        float *a = normal(M * K, 1), *b = normal(N * K, 2);
        float *round_a = xmalloc(M * K * sizeof(float)), *round_b = xmalloc(N * K * sizeof(float));
        for (size_t i = 0; i < M * K; i++)
            round_a[i] = rounded(products[p], a[i]);
        for (size_t i = 0; i < N * K; i++)
            round_b[i] = rounded(products[p], b[i]);
        ref_gemm(M, N, K, round_a, K, 1, round_b, 1, K, NULL, expected);
        FOR_EACH_WAY(way)
        {
            run_forward(products[p], M, N, K, a, b, 1, c);
            double error = ref_max_error(c, expected, M * N, 1);
            cr_expect_lt(error, most_error(products[p]), "%s %s %s: %g", way->isa, way->hidden,
                         dtype_name(products[p]), error);
        }
        free(a);
        free(b);
        free(round_a);
        free(round_b);
    }
}

/* Deep enough for sums beyond 2^24: the integer is exact, then converted and scaled in fp32. */
Test(low_sums, i8_is_the_same_bits_everywhere)
{
    enum { M = 13, N = 67, K = 4999 };
    static float c[M * N];
    static int8_t qa[M * K], qb[N * K];
    float *a = normal(M * K, 1), *b = normal(N * K, 2), scale_a[M], scale_b[N];
    const Kernels *k = kernels_for("generic");
    for (size_t i = 0; i < M; i++) {
        scale_a[i] = k->quantize_scale(a + i * K, K);
        k->quantize(a + i * K, scale_a[i], qa + i * K, K);
    }
    for (size_t j = 0; j < N; j++) {
        for (size_t p = 0; p < K; p++)
            b[j * K + p] = fabsf(b[j * K + p]);
        scale_b[j] = k->quantize_scale(b + j * K, K);
        k->quantize(b + j * K, scale_b[j], qb + j * K, K);
    }
    FOR_EACH_WAY(way)
    {
        run_forward(DT_I8, M, N, K, a, b, 1, c);
        for (size_t i = 0; i < M * N; i++) {
            const int8_t *x = qa + i / N * K, *y = qb + i % N * K;
            int32_t sum = 0;
            for (size_t p = 0; p < K; p++)
                sum += x[p] * y[p];
            float expected = (float)sum * (scale_a[i / N] * scale_b[i % N]);
            cr_assert_eq(c[i], expected, "%s %s: %a, not %a", way->isa, way->hidden, c[i],
                         expected);
        }
    }
    free(a);
    free(b);
}

Test(low_sums, the_same_bits_for_any_number_of_threads)
{
    enum { M = 130, N = 500, K = 2100 };
    static float one[M * N], many[M * N];
    static const int threads[] = {2, 3, 5};
    float *a = normal(M * K, 1), *b = normal(N * K, 2);
    FOR_EACH_WAY(way)
    {
        for (size_t p = 0; p < COUNT_OF(products); p++) {
            run_forward(products[p], M, N, K, a, b, 1, one);
            for (size_t t = 0; t < COUNT_OF(threads); t++) {
                run_forward(products[p], M, N, K, a, b, threads[t], many);
                cr_assert_eq(memcmp(one, many, sizeof(one)), 0, "%s %s, %d threads", way->isa,
                             dtype_name(products[p]), threads[t]);
            }
            run_forward(products[p], 1, N, K, a + 77 * K, b, 1, many);
            cr_assert_eq(memcmp(one + 77 * N, many, N * sizeof(*one)), 0, "a row by itself");
        }
    }
    free(a);
    free(b);
}

/* ---- a row by itself, which is finished as a whole and not between the steps of the next ---- */

static void check_rows_alone(const Epilogued *t, size_t m, const Way *way)
{
    size_t bytes = m * t->n * dtype_size(t->c_type);
    char *all = xcalloc(bytes, 1), *alone = xcalloc(bytes, 1);
    run_rows(t, 0, m, 1, all);
    for (size_t i = 0; i < m; i++)
        run_rows(t, i, 1, 1, alone);
    cr_assert_eq(memcmp(all, alone, bytes), 0,
                 "%s %s %s into %s, k %zu, act %d, bias %d, residual %d", way->isa, way->hidden,
                 dtype_name(t->product), dtype_name(t->c_type), t->k, t->epi.act,
                 t->epi.bias != NULL, t->epi.residual != NULL);
    free(all);
    free(alone);
}

Test(low_sums, a_row_by_itself_has_the_bits_of_all)
{
    enum { M = 26, N = 150, K = 70 };
    static const size_t depths[] = {1, K};
    static uint16_t small[M * N];
    float *a = normal(M * K, 1), *b = normal(N * K, 2), *bias = normal(N, 3);
    float *residual = normal(M * N, 4);
    kernels_for("generic")->narrow(DT_BF16, residual, small, M * N);
    FOR_EACH_WAY(way)
    for (size_t p = 0; p < COUNT_OF(products); p++)
        for (DType c_type = DT_F32; c_type <= DT_BF16; c_type++)
            for (Act act = ACT_NONE; act <= ACT_TANH; act++)
                for (size_t i = 0; i < 4 * COUNT_OF(depths); i++) {
                    const void *added = c_type == DT_F32 ? (const void *)residual : small;
                    Epilogued t = {products[p], c_type, N, depths[i / 4], a, b, {.act = act}};
                    t.epi.bias = i % 2 ? bias : NULL;
                    t.epi.residual = i & 2 && act != ACT_TANH ? added : NULL;
                    check_rows_alone(&t, M, way);
                }
    free(a);
    free(b);
    free(bias);
    free(residual);
}

/* C in a small format is the fp32 result rounded once, whatever the blocks. */
Test(low_sums, a_small_result_is_rounded_once)
{
    enum { M = 20, N = 100, K = 4200 };
    static float wide[M * N];
    static uint16_t small[M * N], expected[M * N];
    float *a = normal(M * K, 1), *b = normal(N * K, 2), *bias = normal(N, 3);
    FOR_EACH_WAY(way)
    for (size_t p = 0; p < COUNT_OF(products); p++) {
        Epilogued t = {products[p], DT_F32, N, K, a, b, {.bias = bias}};
        run_rows(&t, 0, M, 1, wide);
        kernels()->narrow(DT_BF16, wide, expected, M * N);
        t.c_type = DT_BF16;
        run_rows(&t, 0, M, 1, small);
        cr_assert_eq(memcmp(small, expected, sizeof(small)), 0, "%s %s %s", way->isa, way->hidden,
                     dtype_name(products[p]));
    }
    free(a);
    free(b);
    free(bias);
}

Test(low_sums, a_number_that_is_none_shows)
{
    enum { M = 9, N = 50, K = 21 };
    static float a[M * K], b[K * N], c[M * N];
    FOR_EACH_WAY(way)
    {
        for (size_t p = 0; p < COUNT_OF(products); p++) {
            for (size_t i = 0; i < M * K; i++)
                a[i] = 1;
            for (size_t i = 0; i < K * N; i++)
                b[i] = 1;
            a[3 * K + 20] = NAN;
            a[5 * K + 1] = INFINITY;
            run_forward(products[p], M, N, K, a, b, 1, c);
            for (size_t i = 0; i < M * N; i++) {
                size_t row = i / N;
                cr_assert(row == 3   ? isnan(c[i])
                          : row == 5 ? !isfinite(c[i])
                                     : fabsf(c[i] - K) < 1e-5,
                          "%s %s %s row %zu: %g", way->isa, way->hidden, dtype_name(products[p]),
                          row, c[i]);
            }
        }
    }
}
