/* test_gemm: every path of the matrix product against doubles: instruction sets, backends, layouts,
 * packed and not, accumulation, epilogues, numbers of threads. Small integers make sums exact, so
 * most comparisons are for equality. */
#include "tests/support/ref.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const isas[] = {"generic", "avx2", "avx512"};

typedef struct Case {
    size_t m, n, k;
    bool a_transposed, b_transposed, packed, accumulate;
    Epilogue epi; /* pointers stand for "wanted"; only act is used as it is */
    size_t pad;   /* extra columns in every row of memory */
} Case;

/* All matrices of one product, with `guard` floats behind C that must survive. */
typedef struct Product {
    Gemm g;
    float *a, *b, *c, *bias, *z, *residual;
    void *memory, *scratch;
    size_t c_floats;
    double *expected;
} Product;

enum { GUARD = 64, THREADS = 5 };
static const float sentinel = 12345.0f;

static float *random_integers(size_t n, uint64_t stream, int range)
{
    float *x = xmalloc((n + 1) * sizeof(*x));
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(int)(rng_u64(7, stream, i) % (2 * (uint64_t)range + 1)) - (float)range;
    return x;
}

static void *aligned(size_t bytes)
{
    void *p = aligned_alloc(64, (bytes + 63) / 64 * 64);
    cr_assert_not_null(p);
    return p;
}

static double expected_element(const Case *t, const Product *p, double sum, size_t i, size_t j)
{
    if (p->bias)
        sum += p->bias[j];
    double y = ref_act(t->epi.act, sum);
    return p->residual ? y + p->residual[i * p->g.c_row + j] : y;
}

static void product_expect(const Case *t, Product *p)
{
    const Gemm *g = &p->g;
    double *c0 = xcalloc(g->m * g->n + 1, sizeof(*c0));
    for (size_t i = 0; i < g->m && t->accumulate; i++)
        for (size_t j = 0; j < g->n; j++)
            c0[i * g->n + j] = p->c[i * g->c_row + j];
    p->expected = xcalloc(g->m * g->n + 1, sizeof(*p->expected));
    ref_gemm(g->m, g->n, g->k, p->a, g->a_row, g->a_col, p->b, g->b_row, g->b_col, c0, p->expected);
    for (size_t i = 0; i < g->m; i++)
        for (size_t j = 0; j < g->n; j++)
            p->expected[i * g->n + j] = expected_element(t, p, p->expected[i * g->n + j], i, j);
    free(c0);
}

static Product product_new(const Case *t)
{
    size_t m = t->m, n = t->n, k = t->k, lda = (t->a_transposed ? m : k) + t->pad;
    size_t ldb = (t->b_transposed ? k : n) + t->pad, ldc = n + t->pad;
    Product p = {.c_floats = m * ldc};
    p.a = random_integers((t->a_transposed ? k : m) * lda, 1, 3);
    p.b = random_integers((t->b_transposed ? n : k) * ldb, 2, 3);
    p.c = random_integers(p.c_floats + GUARD, 3, 9);
    for (size_t i = 0; i < GUARD; i++)
        p.c[p.c_floats + i] = sentinel;
    p.bias = t->epi.bias ? random_integers(n, 4, 5) : NULL;
    p.z = t->epi.z ? random_integers(p.c_floats, 5, 1) : NULL;
    p.residual = t->epi.residual ? random_integers(p.c_floats, 6, 5) : NULL;
    p.memory = aligned(gemm_packed_bytes(DT_F32, k, n));
    p.scratch = aligned(gemm_scratch_bytes(THREADS));
    p.g = (Gemm){
        .m = m,
        .n = n,
        .k = k,
        .a = p.a,
        .a_row = t->a_transposed ? 1 : lda,
        .a_col = t->a_transposed ? lda : 1,
        .b = p.b,
        .b_row = t->b_transposed ? 1 : ldb,
        .b_col = t->b_transposed ? ldb : 1,
        .c = p.c,
        .c_row = ldc,
        .accumulate = t->accumulate,
        .epi = {.bias = p.bias, .z = p.z, .act = t->epi.act, .residual = p.residual},
    };
    if (t->packed)
        p.g.packed = gemm_pack(DT_F32, k, n, p.b, p.g.b_row, p.g.b_col, THREADS, p.memory);
    product_expect(t, &p);
    return p;
}

static void product_free(Product *p)
{
    free(p->a);
    free(p->b);
    free(p->c);
    free(p->bias);
    free(p->z);
    free(p->residual);
    free(p->memory);
    free(p->scratch);
    free(p->expected);
}

/* Runs the case and returns the largest difference; checks what lies around C. */
static double run_case(const Case *t, int threads)
{
    Product p = product_new(t);
    float *before = xmalloc((p.c_floats + 1) * sizeof(*before));
    memcpy(before, p.c, p.c_floats * sizeof(*before));
    gemm_run(&p.g, threads, p.scratch);
    double worst = 0;
    for (size_t i = 0; i < t->m; i++) {
        double e = ref_max_error(p.c + i * p.g.c_row, p.expected + i * t->n, t->n, 1);
        worst = e > worst ? e : worst;
        for (size_t j = t->n; j < p.g.c_row; j++)
            cr_assert_eq(p.c[i * p.g.c_row + j], before[i * p.g.c_row + j], "padding of C");
    }
    for (size_t i = 0; i < GUARD; i++)
        cr_assert_eq(p.c[p.c_floats + i], sentinel, "written behind C");
    free(before);
    product_free(&p);
    return worst;
}

static bool choose(const char *isa, const char *backend)
{
    Err err;
    cr_assert_eq(gemm_select(backend, &err), 0, "%s", err.msg);
    return kernels_for(isa) && kernels_select(isa, &err) == 0;
}

static void check_exact(const Case *t, const char *isa, int threads)
{
    double error = run_case(t, threads);
    cr_assert_eq(error, 0,
                 "%s %s m%zu n%zu k%zu at%d bt%d packed%d acc%d bias%d res%d pad%zu threads %d: %g",
                 gemm_backend(), isa, t->m, t->n, t->k, t->a_transposed, t->b_transposed, t->packed,
                 t->accumulate, t->epi.bias != NULL, t->epi.residual != NULL, t->pad, threads,
                 error);
}

static const float wanted;

/* Every layout and flag, encoded in the bits of `flags`. */
static Case case_of(size_t m, size_t n, size_t k, unsigned flags)
{
    return (Case){
        .m = m,
        .n = n,
        .k = k,
        .a_transposed = flags & 1,
        .b_transposed = flags >> 1 & 1,
        .packed = flags >> 2 & 1,
        .accumulate = flags >> 3 & 1,
        .epi = {.bias = flags >> 4 & 1 ? &wanted : NULL,
                .residual = flags >> 5 & 1 ? &wanted : NULL},
        .pad = flags >> 6 & 1 ? 3 : 0,
    };
}

enum { ALL_FLAGS = 1 << 7 };

static void check_shapes(const char *isa, const char *backend)
{
    static const size_t sizes[] = {1,  2,  5,  6,  7,  8,  9,  15, 16, 17,
                                   31, 32, 33, 47, 48, 49, 64, 65, 97};
    if (!choose(isa, backend))
        return;
    for (unsigned i = 0; i < 1200; i++) {
        size_t m = sizes[rng_u64(1, 1, i) % COUNT_OF(sizes)];
        size_t n = sizes[rng_u64(1, 2, i) % COUNT_OF(sizes)];
        size_t k = sizes[rng_u64(1, 3, i) % COUNT_OF(sizes)];
        Case t = case_of(m, n, k, i % ALL_FLAGS);
        check_exact(&t, isa, 1);
    }
}

Test(gemm, exact_on_small_integers)
{
    for (size_t i = 0; i < COUNT_OF(isas); i++)
        check_shapes(isas[i], "packed");
}

Test(gemm, exact_on_small_integers_by_blas)
{
    check_shapes("generic", "openblas");
}

Test(gemm, exact_across_cache_blocks_and_threads)
{
    static const size_t shapes[][3] = {
        {97, 200, 385}, {9, 1100, 769}, {70, 49, 3000}, {3, 5000, 200}};
    static const int threads[] = {1, 2, 3, 5};
    for (size_t i = 0; i < COUNT_OF(isas); i++) {
        if (!choose(isas[i], "packed"))
            continue;
        for (size_t s = 0; s < COUNT_OF(shapes); s++)
            for (unsigned flags = 0; flags < 8; flags++) {
                Case t = case_of(shapes[s][0], shapes[s][1], shapes[s][2], flags | 1u << 4);
                check_exact(&t, isas[i], threads[(s + flags) % COUNT_OF(threads)]);
            }
    }
}

Test(gemm, exact_for_more_rows_than_stay_in_the_cache)
{
    for (size_t i = 0; i < COUNT_OF(isas); i++) {
        if (!choose(isas[i], "packed"))
            continue;
        for (unsigned flags = 0; flags < ALL_FLAGS; flags++) {
            Case t = case_of(259, 97, 400, flags);
            check_exact(&t, isas[i], 1 + (int)(flags % 2));
        }
    }
}

Test(gemm, nothing_to_multiply)
{
    for (size_t i = 0; i < COUNT_OF(isas); i++) {
        if (!choose(isas[i], "packed"))
            continue;
        for (unsigned flags = 0; flags < ALL_FLAGS; flags++) {
            Case no_k = case_of(5, 20, 0, flags), no_m = case_of(0, 5, 3, flags);
            check_exact(&no_k, isas[i], 1);
            check_exact(&no_m, isas[i], 1);
        }
    }
}

static float *normal_numbers(size_t n, uint64_t stream)
{
    float *x = xmalloc(n * sizeof(*x));
    kernels()->normal(x, n, 11, stream, 0, 0, 1);
    return x;
}

/* What one fp32 chain over k, from either end, may miss a sum by. Each rounding is at most u times
 * the partial sum S: by Hoeffding the error is above 7 u sqrt(sum of S^2) once in 2e10 sums. The
 * bias is one step more. */
static double chain_bound(size_t k, const float *a, const float *b, double bias)
{
    const double u = 0x1p-24;
    double sum = 0, all = 0, forward = 0, backward = 0;
    for (size_t p = 0; p < k; p++)
        all += (double)a[p] * b[p];
    for (size_t p = 0; p < k; p++) {
        backward += (all - sum) * (all - sum);
        sum += (double)a[p] * b[p];
        forward += sum * sum;
    }
    double worse = forward > backward ? forward : backward;
    return 7 * u * sqrt(worse + (all + bias) * (all + bias));
}

/* The product of random numbers with everything in the epilogue, by some threads. Our own
 * sums of k = 400 products of N(0,1): 3.7e-5 seen at most on every path. A BLAS may sum in one
 * chain. No activation is steeper than 1.13, and the residual adds one rounding. */
static void full_epilogue(Act act, bool blas, int threads, size_t m, size_t n, size_t k, float *c,
                          float *z)
{
    float *a = normal_numbers(m * k, 1), *b = normal_numbers(n * k, 2);
    float *bias = normal_numbers(n, 3), *residual = normal_numbers(m * n, 4);
    void *scratch = aligned(gemm_scratch_bytes(threads));
    Gemm g = {.m = m,
              .n = n,
              .k = k,
              .a = a,
              .a_row = k,
              .a_col = 1,
              .b = b,
              .b_row = 1,
              .b_col = k,
              .c = c,
              .c_row = n,
              .epi = {.bias = bias, .z = z, .act = act, .residual = residual}};
    gemm_run(&g, threads, scratch);

    double *sum = xcalloc(m * n, sizeof(*sum)), *y = xcalloc(m * n, sizeof(*y));
    ref_gemm(m, n, k, a, k, 1, b, 1, k, NULL, sum);
    for (size_t i = 0; i < m * n; i++) {
        sum[i] += bias[i % n];
        y[i] = ref_act(act, sum[i]) + residual[i];
    }
    for (size_t i = 0; i < m * n; i++) {
        double bound = blas ? chain_bound(k, a + i / n * k, b + i % n * k, bias[i % n]) : 6e-5;
        cr_assert_lt(fabs(z[i] - sum[i]), bound);
        cr_assert_lt(fabs(c[i] - y[i]), blas ? 1.13 * bound + 0x1p-23 * fabs(y[i]) : bound);
    }
    free(a);
    free(b);
    free(bias);
    free(residual);
    free(scratch);
    free(sum);
    free(y);
}

Test(gemm, epilogue_and_the_same_bits_for_any_number_of_threads)
{
    enum { M = 130, N = 210, K = 400 };
    static const Act acts[] = {ACT_NONE, ACT_GELU_TANH, ACT_GELU_ERF, ACT_RELU, ACT_TANH};
    static const int threads[] = {2, 3, 5};
    static const char *const backends[] = {"packed", "openblas"};
    static float c1[M * N], z1[M * N], c[M * N], z[M * N];
    for (size_t i = 0; i < 2 * COUNT_OF(isas); i++) {
        if (!choose(isas[i / 2], backends[i % 2]))
            continue;
        for (size_t act = 0; act < COUNT_OF(acts); act++) {
            full_epilogue(acts[act], i % 2 == 1, 1, M, N, K, c1, z1);
            for (size_t t = 0; t < COUNT_OF(threads) && i % 2 == 0; t++) {
                full_epilogue(acts[act], false, threads[t], M, N, K, c, z);
                cr_assert_eq(memcmp(c1, c, sizeof(c)), 0, "%s, %d threads", isas[i / 2],
                             threads[t]);
                cr_assert_eq(memcmp(z1, z, sizeof(z)), 0);
            }
        }
    }
}

Test(gemm, a_row_does_not_depend_on_the_other_rows)
{
    enum { M = 37, N = 100, K = 500 };
    static float all[M * N], one[N];
    for (size_t i = 0; i < COUNT_OF(isas); i++) {
        if (!choose(isas[i], "packed"))
            continue;
        float *a = normal_numbers(M * K, 1), *b = normal_numbers(N * K, 2);
        void *scratch = aligned(gemm_scratch_bytes(1));
        Gemm g = gemm_of_rows(M, N, K, a, b, all);
        gemm_run(&g, 1, scratch);
        for (size_t r = 0; r < M; r++) {
            g.m = 1;
            g.a = a + r * K;
            g.c = one;
            gemm_run(&g, 1, scratch);
            cr_assert_eq(memcmp(one, all + r * N, sizeof(one)), 0, "%s row %zu", isas[i], r);
        }
        free(a);
        free(b);
        free(scratch);
    }
}

Test(gemm, residual_may_be_the_result)
{
    enum { M = 11, N = 70, K = 500 };
    static float c[M * N];
    static double c0[M * N], expected[M * N];
    for (size_t i = 0; i < 2 * COUNT_OF(isas); i++) {
        if (!choose(isas[i / 2], i % 2 ? "openblas" : "packed"))
            continue;
        float *a = random_integers(M * K, 1, 3), *b = random_integers(N * K, 2, 3);
        void *scratch = aligned(gemm_scratch_bytes(1));
        for (size_t j = 0; j < M * N; j++)
            c0[j] = c[j] = (float)(j % 13);
        Gemm g = {.m = M,
                  .n = N,
                  .k = K,
                  .a = a,
                  .a_row = K,
                  .a_col = 1,
                  .b = b,
                  .b_row = 1,
                  .b_col = K,
                  .c = c,
                  .c_row = N,
                  .epi = {.residual = c}};
        gemm_run(&g, 1, scratch);
        ref_gemm(M, N, K, a, K, 1, b, 1, K, c0, expected);
        cr_assert_eq(ref_max_error(c, expected, M * N, 1), 0);
        free(a);
        free(b);
        free(scratch);
    }
}

Test(gemm, nan_and_infinity_stay_in_their_row_and_column)
{
    enum { M = 9, N = 50, K = 20 };
    static float a[M * K], b[K * N], c[M * N];
    for (size_t i = 0; i < COUNT_OF(isas); i++) {
        if (!choose(isas[i], "packed"))
            continue;
        void *scratch = aligned(gemm_scratch_bytes(1));
        for (size_t j = 0; j < M * K; j++)
            a[j] = 1;
        for (size_t j = 0; j < K * N; j++)
            b[j] = 1;
        a[3 * K + 5] = NAN;
        b[7 * N + 49] = INFINITY;
        Gemm g = {.m = M,
                  .n = N,
                  .k = K,
                  .a = a,
                  .a_row = K,
                  .a_col = 1,
                  .b = b,
                  .b_row = N,
                  .b_col = 1,
                  .c = c,
                  .c_row = N};
        gemm_run(&g, 1, scratch);
        for (size_t r = 0; r < M; r++)
            for (size_t j = 0; j < N; j++) {
                float y = c[r * N + j];
                cr_assert(r == 3 ? isnan(y) : j == 49 ? y == INFINITY : y == K);
            }
        free(scratch);
    }
}

Test(gemm, backend_names)
{
    Err err;
    cr_assert_eq(gemm_select("openblas", &err), 0);
    cr_assert_str_eq(gemm_backend(), "openblas");
    cr_assert_eq(gemm_select("packed", &err), 0);
    cr_assert_str_eq(gemm_backend(), "packed");
    cr_assert_eq(gemm_select("opnblas", &err), -1);
    cr_assert_not_null(strstr(err.msg, "'opnblas'"));
    cr_assert_str_eq(gemm_backend(), "packed", "a refused name changes nothing");
    setenv("TARE_GEMM", "openblas", 1);
    cr_assert_eq(gemm_select(NULL, &err), 0);
    cr_assert_str_eq(gemm_backend(), "openblas");
    cr_assert_gt(strlen(gemm_blas_description()), 0);
}
