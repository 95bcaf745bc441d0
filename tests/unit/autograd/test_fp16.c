/* test_fp16: the kernel of fp16_tile.c, emulated everywhere and, where there is AVX512_FP16, by the
 * processor: single tiles, sums beyond f16, the choice, and how far its products are from exact
 * ones. test_low.c and test_low_sums.c multiply whole matrices by it. */
#include "tests/support/low_ways.h"
#include "tests/support/fp16_instructions.h"

#include "autograd/kernels/simd/fp16_tile.h"

#include <math.h>

enum { MOST_WIDTH = 3 * FP16_LANES, A_GAP = 5 };

/* ---- the emulation ---- */

/* All pairs of some numbers, and a third: the sum of small multiples of 2^-24 is exact in int64, so
 * that it can be rounded there. */
static int64_t units_of_last_place(float x)
{
    return (int64_t)ldexp((double)x, 24);
}

/* n 2^-48 as the nearest f16. */
static float nearest_f16(__int128 n)
{
    __int128 size = n < 0 ? -n : n;
    int shift = 24; /* of the last place, down to which subnormals go */
    while (size >> (shift + 11))
        shift++;
    __int128 half = (__int128)1 << (shift - 1), low = size & (2 * half - 1), high = size >> shift;
    high += low > half || (low == half && (high & 1));
    double value = ldexp((double)high, shift - 48);
    return (float)(n < 0 ? -value : value > 65504 ? INFINITY : value);
}

static float random_f16(uint64_t i)
{
    uint16_t half = (uint16_t)(rng_u64(5, 1, i) & 0xbfff); /* below 2 */
    float x;
    kernels_for("generic")->widen(DT_F16, &half, &x, 1);
    return x;
}

/* Sums that lie in the middle of two f16, or next to it, among them: the third operand is half the
 * last place of the product, or any number. */
Test(fp16, the_emulated_instruction_rounds_once)
{
    for (uint64_t i = 0; i < 200000; i++) {
        float a = random_f16(3 * i), b = random_f16(3 * i + 1), c = random_f16(3 * i + 2);
        if (i % 2)
            c = ldexpf(i % 4 == 1 ? 1 : -1, -(int)(rng_u64(5, 2, i) % 25));
        __int128 exact = (__int128)units_of_last_place(a) * units_of_last_place(b) +
                         (__int128)units_of_last_place(c) * (1 << 24);
        __m512h x = {{a}}, y = {{b}}, z = {{c}};
        float got = _mm512_fmadd_ph(x, y, z).lane[0], wanted = nearest_f16(exact);
        cr_assert_eq(got, wanted, "%a * %a + %a is %a, not %a", a, b, c, got, wanted);
    }
    cr_expect_eq(fp16_rounded(65519), 65504);
    cr_expect_eq(fp16_rounded(65520), INFINITY);
    cr_expect_eq(fp16_rounded(-70000), -INFINITY);
    cr_expect(isnan(fp16_rounded(NAN)) && fp16_rounded(-INFINITY) == -INFINITY);
}

/* ---- one tile ---- */

/* Element e of unit u: small integers, of which no sum of a chain is beyond 2^11. */
static int element(uint64_t stream, size_t u, size_t e)
{
    return (int)(rng_u64(17, stream, 2 * u + e) % 15) - 7;
}

/* Exactly as large as the tile says, so that the address sanitizer sees a read beyond it. */
static uint32_t *units(uint64_t stream, size_t n)
{
    uint32_t *u = malloc(n * sizeof(*u) + (n == 0));
    cr_assert_not_null(u);
    for (size_t i = 0; i < n; i++) {
        float pair[2] = {(float)element(stream, i, 0), (float)element(stream, i, 1)};
        kernels_for("generic")->narrow(DT_F16, pair, &u[i], 2);
    }
    return u;
}

static float reference(const LowTile *t, size_t row, size_t column)
{
    int sum = 0;
    for (size_t s = 0; s < t->steps; s++)
        for (size_t e = 0; e < 2; e++)
            sum += element(1, row * t->a_row + s, e) *
                   element(2, s * t->vectors * FP16_LANES + column, e);
    return (float)sum;
}

static void check_tile(const LowKernel *kernel, LowTile t)
{
    size_t width = t.vectors * FP16_LANES, n = t.rows * width;
    t.a_row = t.steps + A_GAP;
    t.a_unit = 1;
    uint32_t *a = units(1, (t.rows - 1) * t.a_row + t.steps), *b = units(2, t.steps * width);
    float *sums = xmalloc(n * sizeof(*sums));
    for (size_t i = 0; i < n; i++)
        sums[i] = (float)i - 99;
    t.a = a;
    t.b = b;
    t.sums = sums;
    kernel->tile(&t);
    for (size_t i = 0; i < n; i++) {
        float wanted = reference(&t, i / width, i % width) + (t.add ? (float)i - 99 : 0);
        cr_assert_eq(sums[i], wanted,
                     "%s: %zu rows, %zu vectors, %zu steps, add %d: row %zu, "
                     "column %zu is %g, not %g",
                     kernel->instruction, t.rows, t.vectors, t.steps, t.add, i / width, i % width,
                     sums[i], wanted);
    }
    free(a);
    free(b);
    free(sums);
}

static void check_tiles(const LowKernel *kernel)
{
    static const size_t steps[] = {0,  1,  2,  FP16_CHAIN - 1, FP16_CHAIN, FP16_CHAIN + 1, 63,
                                   64, 65, 100};
    for (size_t rows = 1; rows <= FP16_ROWS; rows++)
        for (size_t vectors = 1; vectors <= 3; vectors++)
            for (size_t i = 0; i < 2 * COUNT_OF(steps); i++)
                check_tile(kernel, (LowTile){.rows = rows,
                                             .vectors = vectors,
                                             .steps = steps[i / 2],
                                             .add = i % 2 == 1});
}

/* The processor's kernel, or NULL. */
static const LowKernel *real(void)
{
    const LowKernel *kernel = low_kernel(isa_best(), DT_F16);
    return kernel->scales ? kernel : NULL;
}

Test(fp16, tiles)
{
    check_tiles(&fp16_emulated);
    if (real())
        check_tiles(real());
}

Test(fp16, the_peak_loop_counts_its_operations)
{
    cr_expect_eq(fp16_emulated.peak_loop(3), 3.0 * 24 * 2 * 32);
}

/* ---- sums that f16 does not hold ---- */

typedef struct Product {
    size_t m, n, k;
    DType a_type, c_type;
    const float *a, *b; /* [m, k], [n, k] */
} Product;

static void run(const Product *p, float *c)
{
    void *memory = aligned(gemm_packed_bytes(DT_F16, p->k, p->n));
    void *scratch = aligned(gemm_scratch_bytes(1));
    void *a = xmalloc(p->m * p->k * sizeof(float)), *out = xmalloc(p->m * p->n * sizeof(float));
    kernels()->narrow(p->a_type, p->a, a, p->m * p->k);
    gemm_run(&(Gemm){.m = p->m,
                     .n = p->n,
                     .k = p->k,
                     .a = a,
                     .a_type = p->a_type,
                     .a_row = p->k,
                     .a_col = 1,
                     .packed = gemm_pack(DT_F16, p->k, p->n, p->b, 1, p->k, 1, memory),
                     .c = out,
                     .c_type = p->c_type,
                     .c_row = p->n},
             1, scratch);
    kernels()->widen(p->c_type, out, c, p->m * p->n);
    free(memory);
    free(scratch);
    free(a);
    free(out);
}

static bool emulate(void)
{
    for (const Way *way = ways; way < ways + COUNT_OF(ways); way++)
        if (way->amx == EMULATED)
            return way_choose(way);
    return false;
}

/* Rows of any magnitude that f32 has: row r of ones is 2^power[r]. */
Test(fp16, no_row_is_too_small_or_too_large)
{
    enum { M = 7, N = 17, K = 300 };
    static const int power[M] = {-120, -60, -24, 0, 14, 60, 110};
    static float a[M * K], b[N * K], c[M * N];
    for (size_t i = 0; i < M * K; i++)
        a[i] = ldexpf(1, power[i / K]);
    for (size_t i = 0; i < N * K; i++)
        b[i] = 1;
    if (!emulate())
        return;
    run(&(Product){M, N, K, DT_F32, DT_F32, a, b}, c);
    for (size_t i = 0; i < M * N; i++)
        cr_expect_eq(c[i], ldexpf(K, power[i / N]), "row %zu: %a", i / N, c[i]);
}

/* Beside each other: a chain that overflows, and its neighbours with the bits that they have
 * alone. */
Test(fp16, a_chain_that_overflows_is_multiplied_again)
{
    enum { M = 9, N = 40, K = 200, LARGE = 30000 };
    static float a[M * K], b[N * K], with[M * N], without[M * N];
    kernels_for("generic")->normal(a, M * K, 5, 1, 0, 0, 1);
    kernels_for("generic")->normal(b, N * K, 5, 2, 0, 0, 1);
    if (!emulate())
        return;
    run(&(Product){M, N, K, DT_F32, DT_F32, a, b}, without);
    for (size_t k = 0; k < K; k++)
        b[20 * K + k] = LARGE;
    run(&(Product){M, N, K, DT_F32, DT_F32, a, b}, with);
    for (size_t i = 0; i < M * N; i++) {
        double sum = 0, size = 0;
        for (size_t k = 0; k < K && i % N == 20; k++) {
            sum += (double)rounded(DT_F16, a[i / N * K + k]) * LARGE;
            size += fabs((double)a[i / N * K + k]) * LARGE;
        }
        if (i % N == 20)
            cr_expect(fabs(with[i] - sum) < 1e-3 * size, "%g, not %g", with[i], sum);
        else if (i % N < 16 || i % N >= 32)
            cr_expect_eq(with[i], without[i], "row %zu, column %zu", i / N, i % N);
    }
}

/* ---- how exact it is ---- */

/* Root of the mean square of c's distance from the exact product, over that of the product. */
static double error_of(const Product *p, const double *exact, const float *c)
{
    double error = 0, size = 0;
    for (size_t i = 0; i < p->m * p->n; i++) {
        error += (c[i] - exact[i]) * (c[i] - exact[i]);
        size += exact[i] * exact[i];
    }
    return sqrt(error / size);
}

/* In bf16, each operand rounded and nothing else. */
static double bf16_error(const Product *p, const double *exact)
{
    float *c = xmalloc(p->m * p->n * sizeof(*c));
    for (size_t i = 0; i < p->m * p->n; i++) {
        double sum = 0;
        for (size_t k = 0; k < p->k; k++)
            sum += (double)rounded(DT_BF16, p->a[i / p->n * p->k + k]) *
                   rounded(DT_BF16, p->b[i % p->n * p->k + k]);
        c[i] = (float)sum;
    }
    double error = error_of(p, exact, c);
    free(c);
    return error;
}

/* Of each row, columns are multiplied by `outlier` at every 50th, and all elements by `size`. */
static void activations(float *a, size_t m, size_t k, float outlier, float size)
{
    kernels_for("generic")->normal(a, m * k, 9, 1, 0, 0, size);
    for (size_t i = 0; i < m * k; i++)
        a[i] *= i % k % 50 == 7 ? outlier : 1;
}

Test(fp16, at_most_half_the_error_of_bf16)
{
    enum { M = 16, N = 48, K = 1200 };
    static const struct {
        float outlier, size, mean; /* mean: of the weights, which are N(mean, 0.02) */
    } cases[] = {{1, 1, 0},     {50, 1, 0},      {100, 1, 0},   {1, 1e-3f, 0},
                 {1, 1e-7f, 0}, {100, 1e-4f, 0}, {100, 300, 0}, {1, 1, 0.05f}};
    static float a[M * K], b[N * K], c[M * N];
    static double exact[M * N];
    if (!emulate())
        return;
    for (size_t t = 0; t < COUNT_OF(cases); t++) {
        activations(a, M, K, cases[t].outlier, cases[t].size);
        kernels_for("generic")->normal(b, N * K, 9, 2, 0, cases[t].mean, 0.02f);
        Product p = {M, N, K, DT_F32, DT_F32, a, b};
        ref_gemm(M, N, K, a, K, 1, b, 1, K, NULL, exact);
        run(&p, c);
        double own = error_of(&p, exact, c), theirs = bf16_error(&p, exact);
        cr_expect_lt(own, 0.5 * theirs, "case %zu: %.2e, bf16 %.2e", t, own, theirs);
        cr_expect_gt(own, 0.01 * theirs, "case %zu: %.2e, bf16 %.2e: is it f16?", t, own, theirs);
    }
}

Test(fp16, a_packed_column_is_the_rounded_one)
{
    enum { N = 70, K = 131 };
    static float b[N * K], column[K];
    if (!emulate())
        return;
    kernels()->normal(b, N * K, 9, 4, 0, 0, 1);
    for (int by_rows = 0; by_rows <= 1; by_rows++) {
        size_t b_row = by_rows ? N : 1, b_col = by_rows ? 1 : K;
        void *memory = aligned(gemm_packed_bytes(DT_F16, K, N));
        const PackedB *p = gemm_pack(DT_F16, K, N, b, b_row, b_col, 1, memory);
        for (size_t j = 0; j < N; j++) {
            gemm_packed_column(p, j, column);
            for (size_t k = 0; k < K; k++)
                cr_assert_eq(column[k], rounded(DT_F16, b[k * b_row + j * b_col]), "%zu, %zu", j,
                             k);
        }
        free(memory);
    }
}

/* Rows of a small format, in which no scale may change a number. */
Test(fp16, rows_of_small_formats)
{
    enum { M = 5, N = 20, K = 130 };
    static float a[M * K], b[N * K], c[M * N], d[M * N];
    if (!emulate())
        return;
    activations(a, M, K, 30, 0.1f);
    kernels()->normal(b, N * K, 9, 3, 0, 0, 0.1f);
    for (DType type = DT_BF16; type <= DT_F16; type++) {
        for (size_t i = 0; i < M * K; i++)
            a[i] = rounded(type, a[i]);
        run(&(Product){M, N, K, DT_F32, DT_F32, a, b}, c);
        run(&(Product){M, N, K, type, DT_F32, a, b}, d);
        cr_expect_eq(memcmp(c, d, sizeof(c)), 0, "%s", dtype_name(type));
    }
}

/* ---- the choice ---- */

/* Right but for the last sum of a whole tile that adds. */
static void wrong_tile(const LowTile *t)
{
    fp16_emulated.tile(t);
    if (t->rows == FP16_ROWS && t->add)
        t->sums[t->rows * t->vectors * FP16_LANES - 1] += 1;
}

Test(fp16, a_wrong_kernel_is_not_taken)
{
    static const LowKernel wrong = {
        .instruction = "wrong", .scales = true, .rows = FP16_ROWS, .tile = wrong_tile};
    cr_assert(low_kernel_is_right(DT_F16, &fp16_emulated, 16));
    cr_assert(!low_kernel_is_right(DT_F16, &wrong, 16));
    if (!way_choose(&(Way){"avx512", "-avx512_fp16", NO_AMX}))
        return;
    low_kernel_force(DT_F16, &wrong);
    cr_expect_str_eq(product_instruction(DT_F16), "vfmadd231ps after vcvtph2ps");
    low_kernel_force(DT_F16, &fp16_emulated);
    cr_expect_str_eq(product_instruction(DT_F16), fp16_emulated.instruction);
    low_kernel_force(DT_F16, NULL);
    cr_expect_str_eq(product_instruction(DT_F16), "vfmadd231ps after vcvtph2ps");
}

/* Panels of the other sets are narrower; a hidden feature is not used. */
Test(fp16, only_with_avx512_and_where_it_is_not_hidden)
{
    static const char *const others[] = {"generic", "avx2"};
    low_kernel_force(DT_F16, &fp16_emulated);
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        Err err;
        if (kernels_for(others[i]) && kernels_select(others[i], &err) == 0)
            cr_expect_str_neq(product_instruction(DT_F16), fp16_emulated.instruction);
    }
    low_kernel_force(DT_F16, NULL);
    if (way_choose(&(Way){"avx512", "-avx512_fp16", NO_AMX}))
        cr_expect_str_eq(product_instruction(DT_F16), "vfmadd231ps after vcvtph2ps");
    bool has = way_choose(&(Way){"avx512", "", NO_AMX}) && cpu_features()->avx512_fp16;
    if (has)
        cr_expect_str_eq(product_instruction(DT_F16), "vfmadd231ph");
}
