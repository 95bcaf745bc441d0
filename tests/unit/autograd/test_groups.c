/* test_groups: q8_0 and q4_0: groups to and from fp32, and products on every path, equal to a slow
 * and obvious reference to the last bit: whatever the instruction set, the instruction, the rows,
 * the blocks and the threads. */
#include "tests/support/low_ways.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static const DType grouped[] = {DT_Q8_0, DT_Q4_0};

static float *normal(size_t n, uint64_t stream)
{
    float *x = xmalloc((n + 1) * sizeof(*x));
    kernels_for("generic")->normal(x, n, 13, stream, 0, 0, 1);
    return x;
}

/* ---- the reference: one group in plain C ---- */

/* Levels as whole numbers, and the scale as stored. */
typedef struct Group {
    int level[QUANT_GROUP];
    float scale;
} Group;

static float half_rounded(float x)
{
    return rounded(DT_F16, x);
}

static Group group_q8_0(const float *x)
{
    Group g;
    float largest = 0;
    for (int i = 0; i < QUANT_GROUP; i++)
        largest = fmaxf(largest, fabsf(x[i]));
    float scale = largest / 127, per = scale > 0 ? 1 / scale : 0;
    for (int i = 0; i < QUANT_GROUP; i++) {
        volatile float level = x[i] * per;
        g.level[i] = (int)roundf(level);
    }
    g.scale = half_rounded(scale);
    return g;
}

static Group group_q4_0(const float *x)
{
    Group g;
    float largest = 0;
    for (int i = 0; i < QUANT_GROUP; i++)
        if (fabsf(x[i]) > fabsf(largest))
            largest = x[i];
    float scale = largest / -8, per = scale != 0 ? 1 / scale : 0;
    for (int i = 0; i < QUANT_GROUP; i++) {
        volatile float level = x[i] * per; /* two roundings */
        volatile float above = level + 8.5f;
        g.level[i] = (above > 15 ? 15 : (int)above) - 8;
    }
    g.scale = half_rounded(scale);
    return g;
}

static Group group_of(DType type, const float *x)
{
    return type == DT_Q8_0 ? group_q8_0(x) : group_q4_0(x);
}

/* Of a row of A: 8 bits, an fp32 scale, ties to even. */
static Group group_of_a(const float *x)
{
    Group g;
    float largest = 0;
    for (int i = 0; i < QUANT_GROUP; i++)
        largest = fmaxf(largest, fabsf(x[i]));
    g.scale = largest / 127;
    for (int i = 0; i < QUANT_GROUP; i++)
        g.level[i] = g.scale > 0 ? (int)nearbyintf(x[i] / g.scale) : 0;
    return g;
}

static float reference_dot(DType type, const float *a, const float *b, size_t k)
{
    float sum = 0;
    for (size_t p = 0; p < k; p += QUANT_GROUP) {
        Group x = group_of_a(a + p), y = group_of(type, b + p);
        int exact = 0;
        for (int i = 0; i < QUANT_GROUP; i++)
            exact += x.level[i] * y.level[i];
        float scale = x.scale * y.scale;
        sum = fmaf((float)exact, scale, sum);
    }
    return sum;
}

/* ---- groups ---- */

enum { SOME = 64 * QUANT_GROUP };

/* Normal numbers of all sizes that f16 scales reach, zeros, and groups of one value. */
static float *some_numbers(void)
{
    float *x = normal(SOME, 1);
    for (size_t i = 0; i < SOME; i++)
        x[i] = ldexpf(x[i], (int)(i / QUANT_GROUP) - 50);
    memset(x + 3 * QUANT_GROUP, 0, QUANT_GROUP * sizeof(*x));
    for (size_t i = 0; i < QUANT_GROUP; i++) {
        x[7 * QUANT_GROUP + i] = -0.37f;
        x[40 * QUANT_GROUP + i] = (float)i - 16; /* halves between levels */
        x[41 * QUANT_GROUP + i] = i % 2 ? 3.0f : -3.0f;
        x[42 * QUANT_GROUP + i] = i == 0 ? 127 : (float)i - 0.5f;
        x[43 * QUANT_GROUP + i] = i == 0 ? -8 : (float)i / 4 - 4.5f;
    }
    return x;
}

Test(groups, values_are_those_of_the_format)
{
    float *x = some_numbers(), got[SOME];
    char memory[2 * SOME];
    FOR_EACH_WAY(way)
    for (size_t t = 0; t < COUNT_OF(grouped); t++) {
        kernels()->narrow(grouped[t], x, memory, SOME);
        kernels()->widen(grouped[t], memory, got, SOME);
        for (size_t i = 0; i < SOME; i++) {
            Group g = group_of(grouped[t], x + i / QUANT_GROUP * QUANT_GROUP);
            float expected = g.scale * (float)g.level[i % QUANT_GROUP];
            cr_assert_eq(got[i], expected, "%s %s element %zu: %a, not %a", way->isa,
                         dtype_name(grouped[t]), i, (double)got[i], (double)expected);
        }
    }
    free(x);
}

/* The layout itself, byte by byte. */
Test(groups, bytes_are_those_of_the_format)
{
    float x[QUANT_GROUP];
    unsigned char group[Q8_0_BYTES];
    for (int i = 0; i < QUANT_GROUP; i++)
        x[i] = (float)(i % 16 - 8) / 4;
    FOR_EACH_WAY(way)
    {
        kernels()->narrow(DT_Q4_0, x, group, QUANT_GROUP); /* scale -2 / -8 = 0x1p-2 = 0x3400 */
        cr_assert(group[0] == 0x00 && group[1] == 0x34, "%s", way->isa);
        for (int i = 0; i < 16; i++)
            cr_assert_eq(group[2 + i], i | i << 4, "%s byte %d", way->isa, i);
        x[5] = 127;
        kernels()->narrow(DT_Q8_0, x, group, QUANT_GROUP); /* scale 1 = 0x3c00 */
        cr_assert(group[0] == 0x00 && group[1] == 0x3c, "%s", way->isa);
        cr_assert(group[2] == 0xfe && group[2 + 5] == 127, "%s", way->isa);
        x[5] = -0.75f;
    }
}

Test(groups, a_number_that_is_not_finite_shows)
{
    const float bad[] = {NAN, INFINITY, -INFINITY};
    float x[2 * QUANT_GROUP], y[2 * QUANT_GROUP];
    char memory[2 * Q8_0_BYTES];
    FOR_EACH_WAY(way)
    for (size_t t = 0; t < COUNT_OF(grouped); t++)
        for (size_t b = 0; b < COUNT_OF(bad); b++) {
            for (size_t i = 0; i < COUNT_OF(x); i++)
                x[i] = 1;
            x[QUANT_GROUP + 9] = bad[b];
            kernels()->narrow(grouped[t], x, memory, COUNT_OF(x));
            kernels()->widen(grouped[t], memory, y, COUNT_OF(x));
            for (size_t i = 0; i < COUNT_OF(x); i++)
                cr_assert_eq(isnan(y[i]) != 0, i >= QUANT_GROUP, "%s %s %zu: %g", way->isa,
                             dtype_name(grouped[t]), i, (double)y[i]);
        }
}

Test(groups, sizes)
{
    cr_expect_eq(dtype_bytes(DT_Q8_0, 64), 68);
    cr_expect_eq(dtype_bytes(DT_Q4_0, 64), 36);
    cr_expect_eq(dtype_bytes(DT_BF16, 64), 128);
    cr_expect_str_eq(dtype_name(DT_Q8_0), "q8_0");
    cr_expect_str_eq(dtype_name(DT_Q4_0), "q4_0");
    cr_expect(dtype_is_grouped(DT_Q4_0) && !dtype_is_grouped(DT_I8));
}

/* ---- products ---- */

typedef struct Product {
    DType type, c_type;
    size_t m, n, k;
    int threads;
    const float *a, *b;
} Product;

/* C [m, n] as fp32 of columns [from, n) of the matrix. */
static void multiply(const Product *t, const PackedB *packed, size_t from, float *c)
{
    size_t bytes = gemm_scratch_bytes(t->threads), n = t->n - from;
    char *scratch = scratch_new(bytes);
    void *stored = xmalloc(t->m * n * sizeof(float));
    Gemm g = {.m = t->m,
              .n = n,
              .k = t->k,
              .a = t->a,
              .a_row = t->k,
              .a_col = 1,
              .packed = packed,
              .packed_from = from,
              .c = stored,
              .c_type = t->c_type,
              .c_row = n};
    gemm_run(&g, t->threads, scratch);
    kernels()->widen(t->c_type, stored, c, t->m * n);
    scratch_free(scratch, bytes);
    free(stored);
}

static void expect_product(const Product *t, const Way *way, const float *expected)
{
    float *c = xmalloc(t->m * t->n * sizeof(*c));
    void *memory = aligned(gemm_packed_bytes(t->type, t->k, t->n));
    const PackedB *p = gemm_pack(t->type, t->k, t->n, t->b, 1, t->k, t->threads, memory);
    multiply(t, p, 0, c);
    for (size_t i = 0; i < t->m * t->n; i++) {
        float right = t->c_type == DT_F32 ? expected[i] : rounded(t->c_type, expected[i]);
        cr_assert_eq(c[i], right, "%s %s, %s into %s, m%zu n%zu k%zu, %d threads, %zu: %a, not %a",
                     way->isa, way->hidden, dtype_name(t->type), dtype_name(t->c_type), t->m, t->n,
                     t->k, t->threads, i, (double)c[i], (double)right);
    }
    free(memory);
    free(c);
}

/* Few and many rows, narrow panels, one block over k and several. */
static const size_t shapes[][3] = {{1, 1, 32},     {1, 50, 64},   {1, 500, 576}, {2, 17, 96},
                                   {3, 33, 32},    {4, 97, 160},  {5, 48, 320},  {8, 193, 576},
                                   {16, 31, 96},   {17, 49, 64},  {33, 65, 224}, {70, 20, 3296},
                                   {20, 60, 6592}, {150, 97, 576}};

Test(groups, products_are_the_references_bits)
{
    for (size_t s = 0; s < COUNT_OF(shapes); s++)
        for (size_t t = 0; t < COUNT_OF(grouped); t++) {
            Product p = {.type = grouped[t], .m = shapes[s][0], .n = shapes[s][1]};
            p.k = shapes[s][2];
            float *a = normal(p.m * p.k, 2), *b = normal(p.n * p.k, 3);
            float *expected = xmalloc(p.m * p.n * sizeof(*expected));
            for (size_t i = 0; i < p.m * p.n; i++)
                expected[i] = reference_dot(p.type, a + i / p.n * p.k, b + i % p.n * p.k, p.k);
            p.a = a;
            p.b = b;
            FOR_EACH_WAY(way)
            for (p.threads = 1; p.threads <= 3; p.threads++) {
                p.c_type = (DType[]){DT_F32, DT_BF16, DT_F16}[(s + (size_t)p.threads) % 3];
                expect_product(&p, way, expected);
            }
            free(a);
            free(b);
            free(expected);
        }
}

/* Rows of A whose levels are all 127 or -127 against a file's extreme levels: the largest sums that
 * any kernel has to hold. */
Test(groups, extreme_levels_do_not_overflow)
{
    enum { K = 64, N = 40 };
    static float a[2 * K], c[2 * N];
    char rows[N * K / QUANT_GROUP * Q8_0_BYTES];
    const uint16_t one = 0x3c00;
    for (size_t i = 0; i < COUNT_OF(a); i++)
        a[i] = i < K ? 127 : -127;
    FOR_EACH_WAY(way)
    for (size_t t = 0; t < COUNT_OF(grouped); t++) {
        size_t bytes = dtype_bytes(grouped[t], QUANT_GROUP);
        for (int level = 0; level < 2; level++) {
            for (size_t g = 0; g < N * K / QUANT_GROUP; g++) {
                memset(rows + g * bytes,
                       grouped[t] == DT_Q8_0 ? (level ? 127 : -128) : (level ? 0xff : 0), bytes);
                memcpy(rows + g * bytes, &one, sizeof(one));
            }
            int largest = grouped[t] == DT_Q8_0 ? (level ? 127 : -128) : (level ? 7 : -8);
            PackedB *p =
                gemm_pack_begin(grouped[t], K, N, aligned(gemm_packed_bytes(grouped[t], K, N)));
            gemm_pack_columns_groups(p, 0, N, rows, 1);
            Product product = {grouped[t], DT_F32, 2, N, K, 1, a, NULL};
            multiply(&product, p, 0, c);
            for (size_t i = 0; i < 2 * N; i++) {
                float expected = (float)(largest * 127 * K * (i < N ? 1 : -1));
                cr_assert_eq(c[i], expected, "%s %s %s: %g, not %g", way->isa, way->hidden,
                             dtype_name(grouped[t]), (double)c[i], (double)expected);
            }
            free(p);
        }
    }
}

/* A row's result depends neither on the rows beside it nor on where in them it is; nor does a
 * column's on whether all of the matrix is multiplied. */
Test(groups, rows_and_columns_are_independent)
{
    enum { M = 37, N = 450, K = 4000 / 32 * 32, CUT = 2 * GEMM_COLUMNS };
    static float all[M * N], one[N], right_part[M * (N - CUT)];
    float *a = normal(M * K, 4), *b = normal(N * K, 5);
    FOR_EACH_WAY(way)
    for (size_t t = 0; t < COUNT_OF(grouped); t++) {
        Product p = {grouped[t], DT_F32, M, N, K, 2, a, b};
        void *memory = aligned(gemm_packed_bytes(p.type, K, N));
        const PackedB *packed = gemm_pack(p.type, K, N, b, 1, K, 2, memory);
        multiply(&p, packed, 0, all);
        multiply(&p, packed, CUT, right_part);
        for (size_t i = 0; i < M; i++)
            cr_assert_eq(
                memcmp(right_part + i * (N - CUT), all + i * N + CUT, (N - CUT) * sizeof(*all)), 0,
                "%s %s: a slice differs", way->isa, dtype_name(p.type));
        p.m = 1;
        for (size_t i = 0; i < M; i += 9) {
            p.a = a + i * K;
            p.threads = 1 + (int)(i % 3);
            multiply(&p, packed, 0, one);
            cr_assert_eq(memcmp(one, all + i * N, sizeof(one)), 0, "%s %s: row %zu differs alone",
                         way->isa, dtype_name(p.type), i);
        }
        free(memory);
    }
    free(a);
    free(b);
}

/* Bias, activation, residual and adding to C come after the same sums. */
Test(groups, the_epilogue_is_that_of_every_product)
{
    enum { M = 6, N = 70, K = 96 };
    static float plain[M * N], c[M * N], expected[M * N];
    float *a = normal(M * K, 6), *b = normal(N * K, 7), *bias = normal(N, 8);
    float *before = normal(M * N, 9), *residual = normal(M * N, 10);
    void *scratch = aligned(gemm_scratch_bytes(1));
    FOR_EACH_WAY(way)
    for (size_t t = 0; t < COUNT_OF(grouped); t++) {
        void *memory = aligned(gemm_packed_bytes(grouped[t], K, N));
        Product p = {grouped[t], DT_F32, M, N, K, 1, a, b};
        Gemm g = {.m = M, .n = N, .k = K, .a = a, .a_row = K, .a_col = 1, .c = c, .c_row = N};
        g.packed = gemm_pack(grouped[t], K, N, b, 1, K, 1, memory);
        multiply(&p, g.packed, 0, plain);
        memcpy(c, before, sizeof(c));
        g.accumulate = true;
        g.epi = (Epilogue){.bias = bias, .act = ACT_RELU, .residual = residual};
        gemm_run(&g, 1, scratch);
        for (size_t i = 0; i < M * N; i++) {
            float z = (before[i] + plain[i]) + bias[i % N];
            expected[i] = (z > 0 ? z : 0) + residual[i];
            cr_assert_eq(c[i], expected[i], "%s %zu: %a, not %a", way->isa, i, (double)c[i],
                         (double)expected[i]);
        }
        free(memory);
    }
    free(a);
    free(b);
    free(bias);
    free(before);
    free(residual);
    free(scratch);
}

Test(groups, a_column_is_the_rounded_row_however_it_came)
{
    enum { N = 450, K = 1056 + 32 };
    float *b = normal(N * K, 11), *transposed = xmalloc(N * K * sizeof(*b)), got[K], expected[K];
    for (size_t i = 0; i < N * K; i++)
        transposed[i % K * N + i / K] = b[i];
    FOR_EACH_WAY(way)
    for (size_t t = 0; t < COUNT_OF(grouped); t++) {
        DType type = grouped[t];
        size_t bytes = gemm_packed_bytes(type, K, N), row = dtype_bytes(type, K);
        char *rows = xmalloc(N * row);
        PackedB *p[] = {gemm_pack_begin(type, K, N, aligned(bytes)),
                        gemm_pack_begin(type, K, N, aligned(bytes)),
                        gemm_pack_begin(type, K, N, aligned(bytes))};
        for (size_t j = 0; j < N; j++)
            kernels()->narrow(type, b + j * K, rows + j * row, K);
        gemm_pack_columns(p[0], 0, N, b, 1, K, 2);
        gemm_pack_columns(p[1], 0, N, transposed, N, 1, 2);
        gemm_pack_columns_groups(p[2], 0, GEMM_COLUMNS, rows, 2);
        gemm_pack_columns_groups(p[2], GEMM_COLUMNS, N, rows + GEMM_COLUMNS * row, 1);
        for (size_t j = 0; j < N; j++) {
            kernels()->widen(type, rows + j * row, expected, K);
            for (size_t i = 0; i < COUNT_OF(p); i++) {
                gemm_packed_column(p[i], j, got);
                cr_assert_eq(memcmp(got, expected, sizeof(got)), 0, "%s %s: column %zu, way %zu",
                             way->isa, dtype_name(type), j, i);
            }
        }
        for (size_t i = 0; i < COUNT_OF(p); i++)
            free(p[i]);
        free(rows);
    }
    free(b);
    free(transposed);
}

Test(groups, what_is_not_finite_in_a_row_shows_in_its_results)
{
    enum { N = 20, K = 64 };
    const float bad[] = {NAN, INFINITY};
    static float c[2 * N];
    float *a = normal(2 * K, 12), *b = normal(N * K, 13);
    FOR_EACH_WAY(way)
    for (size_t t = 0; t < COUNT_OF(grouped) * COUNT_OF(bad); t++) {
        Product p = {grouped[t % 2], DT_F32, 2, N, K, 1, a, b};
        void *memory = aligned(gemm_packed_bytes(p.type, K, N));
        a[K + 40] = bad[t / 2];
        multiply(&p, gemm_pack(p.type, K, N, b, 1, K, 1, memory), 0, c);
        for (size_t i = 0; i < 2 * N; i++)
            cr_assert_eq(isfinite(c[i]) != 0, i < N, "%s: %g", way->isa, (double)c[i]);
        free(memory);
    }
    free(a);
    free(b);
}

Test(groups, a_depth_of_no_whole_groups_is_our_bug, .signal = SIGABRT)
{
    float b[48] = {0};
    gemm_pack(DT_Q8_0, 48, 1, b, 1, 48, 1, aligned(gemm_packed_bytes(DT_Q8_0, 48, 1)));
}

/* ---- what the processor has ---- */

Test(groups, support_follows_the_features)
{
    FOR_EACH_WAY(way)
    for (size_t t = 0; t < COUNT_OF(grouped) && way->amx != EMULATED; t++) {
        bool vnni = (strcmp(way->isa, "avx512") == 0 && cpu_features()->avx512_vnni) ||
                    (strcmp(way->isa, "avx2") == 0 && cpu_features()->avx_vnni);
        bool generic = strcmp(way->isa, "generic") == 0;
        bool amx = strcmp(way->isa, "avx512") == 0 && cpu_features()->amx_int8;
        cr_expect_eq(product_support(grouped[t]), generic ? SUPPORT_EMULATED : SUPPORT_NATIVE);
        cr_expect_str_eq(product_instruction(grouped[t]), amx       ? "tdpbssd"
                                                          : vnni    ? "vpdpbusd"
                                                          : generic ? "int32 multiply and add"
                                                                    : "vpmaddubsw");
    }
}

/* Right but for the last sum of a tile that adds. */
static void wrong_tile(const LowTile *t)
{
    amx_emulated_q8_0.tile(t);
    if (t->add)
        t->sums[t->rows * t->vectors * 16 - 1] += 1;
}

Test(groups, a_wrong_kernel_is_not_taken)
{
    LowKernel wrong = amx_emulated_q8_0;
    wrong.instruction = "wrong";
    wrong.tile = wrong_tile;
    if (!way_choose(&(Way){"avx512", "-amx_bf16,-amx_int8", NO_AMX}))
        return;
    cr_assert(low_kernel_is_right(DT_Q8_0, &amx_emulated_q8_0, 16));
    cr_assert(low_kernel_is_right(DT_Q4_0, &amx_emulated_q4_0, 16));
    cr_assert(!low_kernel_is_right(DT_Q8_0, &wrong, 16));
    const char *next = product_instruction(DT_Q8_0);
    low_kernel_force(DT_Q8_0, &wrong);
    cr_expect_str_eq(product_instruction(DT_Q8_0), next);
    low_kernel_force(DT_Q8_0, NULL);
}

/* Peaks are of the best kernels, whatever the environment forces. */
Test(groups, a_kernel_is_tried_whatever_set_is_in_use)
{
    static const char *const sets[] = {"generic", "avx2", "avx512"};
    for (size_t i = 0; i < COUNT_OF(sets); i++) {
        if (!way_choose(&(Way){sets[i], "", NO_AMX}))
            continue;
        cr_expect(low_kernel_is_right(DT_Q8_0, &amx_emulated_q8_0, 16), "%s", sets[i]);
        cr_expect(low_kernel_is_right(DT_Q4_0, &amx_emulated_q4_0, 16), "%s", sets[i]);
        cr_expect(low_kernel(isa_best(), DT_Q8_0)->tile != NULL);
    }
}

static int calls;

static void counting_tile(const LowTile *t)
{
    calls++;
    amx_emulated_q8_0.tile(t);
}

/* Products of few rows go past a kernel that wants many. */
Test(groups, few_rows_take_another_kernel)
{
    enum { N = 20, K = 64, LEAST = 5 };
    static float a[LEAST * K], b[N * K], c[LEAST * N];
    LowKernel counting = amx_emulated_q8_0;
    counting.tile = counting_tile;
    counting.least_rows = LEAST;
    if (!way_choose(&(Way){"avx512", "-amx_bf16,-amx_int8", NO_AMX}))
        return;
    low_kernel_force(DT_Q8_0, &counting);
    cr_assert_str_eq(product_instruction(DT_Q8_0), counting.instruction);
    void *memory = aligned(gemm_packed_bytes(DT_Q8_0, K, N));
    const PackedB *p = gemm_pack(DT_Q8_0, K, N, b, 1, K, 1, memory);
    calls = 0;
    multiply(&(Product){DT_Q8_0, DT_F32, LEAST - 1, N, K, 1, a, b}, p, 0, c);
    cr_expect_eq(calls, 0);
    multiply(&(Product){DT_Q8_0, DT_F32, LEAST, N, K, 1, a, b}, p, 0, c);
    cr_expect_eq(calls, 1);
    low_kernel_force(DT_Q8_0, NULL);
    free(memory);
}
