/* test_low_packed: what a packed matrix holds: the rounded columns, the same whether it came whole,
 * in slices or already quantised, and the same products whether all of it is used or a part. */
#include "tests/support/ref.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static const char *const isas[] = {"generic", "avx2", "avx512"};
static const DType formats[] = {DT_F32, DT_BF16, DT_F16, DT_I8};
static const size_t depths[] = {1, 2, 3, 5, 64, 1031};

enum { N = 450, MAX_K = 1031 };

#define FOR_EACH_PACKING(format, k)                                                                \
    for (size_t isa_ = 0; isa_ < COUNT_OF(isas); isa_++)                                           \
        if (choose(isas[isa_]))                                                                    \
            for (const DType *format = formats; format < formats + COUNT_OF(formats); format++)    \
                for (const size_t *k = depths; k < depths + COUNT_OF(depths); k++)

static bool choose(const char *isa)
{
    Err err;
    return kernels_for(isa) && kernels_select(isa, &err) == 0;
}

static void *aligned(size_t bytes)
{
    void *p = aligned_alloc(64, (bytes + 63) / 64 * 64);
    cr_assert_not_null(p);
    memset(p, 0x55, bytes);
    return p;
}

static float weights[N * MAX_K];

static void random_weights(void)
{
    kernels_for("generic")->normal(weights, N * MAX_K, 5, 1, 0, 0, 1);
}

/* Column j, which is row j of the weight, as the format holds it. */
static void rounded_row(DType format, const float *w, size_t k, float *out)
{
    const Kernels *generic = kernels_for("generic");
    static float half[MAX_K];
    static int8_t level[MAX_K];
    if (format == DT_I8) {
        float scale = generic->quantize_scale(w, k);
        generic->quantize(w, scale, level, k);
        for (size_t p = 0; p < k; p++)
            out[p] = (float)level[p] * scale;
    } else {
        generic->narrow(format, w, half, k);
        generic->widen(format, half, out, k);
    }
}

Test(low_packed, a_column_is_the_rounded_row_of_the_weight)
{
    static float expected[MAX_K], got[MAX_K + 1];
    random_weights();
    FOR_EACH_PACKING(format, k)
    {
        void *memory = aligned(gemm_packed_bytes(*format, *k, N));
        const PackedB *p = gemm_pack(*format, *k, N, weights, 1, *k, 2, memory);
        cr_assert_eq(gemm_packed_type(p), *format);
        got[*k] = 99;
        for (size_t j = 0; j < N; j++) {
            rounded_row(*format, weights + j * *k, *k, expected);
            gemm_packed_column(p, j, got);
            cr_assert_eq(memcmp(got, expected, *k * sizeof(*got)), 0, "%s %s k %zu column %zu",
                         kernels()->isa, dtype_name(*format), *k, j);
        }
        cr_assert_eq(got[*k], 99);
        free(memory);
    }
}

/* The last panel of f32 begins early where it would be too narrow. */
Test(low_packed, every_column_of_f32_is_found)
{
    enum { LEAST = 370, K = 3 };
    float got[K];
    size_t cut = 0;
    random_weights();
    for (size_t isa = 0; isa < COUNT_OF(isas); isa++)
        for (size_t n = choose(isas[isa]) ? LEAST : N; n < N; n++) {
            void *memory = aligned(gemm_packed_bytes(DT_F32, K, n));
            const PackedB *p = gemm_pack(DT_F32, K, n, weights, 1, K, 1, memory);
            for (size_t j = 0; j < n; j++) {
                gemm_packed_column(p, j, got);
                cr_assert_eq(memcmp(got, weights + j * K, sizeof got), 0, "%s: %zu of %zu",
                             kernels()->isa, j, n);
            }
            cut += gemm_cuts_panel(n, 2 * GEMM_COLUMNS);
            free(memory);
        }
    cr_expect(cut > 0 || !kernels_for("avx512"), "no panel was cut");
}

static void expect_equal_columns(const PackedB *p, const PackedB *q, size_t k, const char *what)
{
    static float x[MAX_K], y[MAX_K];
    for (size_t j = 0; j < N; j++) {
        gemm_packed_column(p, j, x);
        gemm_packed_column(q, j, y);
        cr_assert_eq(memcmp(x, y, k * sizeof(*x)), 0, "%s: %s %s k %zu column %zu", what,
                     kernels()->isa, dtype_name(gemm_packed_type(p)), k, j);
    }
}

static void transpose(const float *x, size_t rows, size_t columns, float *y)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++)
            y[j * rows + i] = x[i * columns + j];
}

/* Whole, in slices, in slices the other way round in memory. */
Test(low_packed, slices_are_the_whole)
{
    static float across[N * MAX_K];
    random_weights();
    FOR_EACH_PACKING(format, k)
    {
        size_t bytes = gemm_packed_bytes(*format, *k, N);
        void *memory[3] = {aligned(bytes), aligned(bytes), aligned(bytes)};
        const PackedB *whole = gemm_pack(*format, *k, N, weights, 1, *k, 1, memory[0]);
        PackedB *slices = gemm_pack_begin(*format, *k, N, memory[1]);
        PackedB *turned = gemm_pack_begin(*format, *k, N, memory[2]);
        transpose(weights, N, *k, across);
        for (size_t from = 0; from < N; from += GEMM_COLUMNS) {
            size_t to = from + GEMM_COLUMNS < N ? from + GEMM_COLUMNS : N;
            gemm_pack_columns(slices, from, to, weights + from * *k, 1, *k, 2);
            gemm_pack_columns(turned, from, to, across + from, N, 1, 2);
        }
        cr_assert_eq(memcmp((char *)whole + 64, (char *)slices + 64, bytes - 64), 0, "%s %s k %zu",
                     kernels()->isa, dtype_name(*format), *k);
        expect_equal_columns(whole, turned, *k, "other order");
        for (int i = 0; i < 3; i++)
            free(memory[i]);
    }
}

Test(low_packed, levels_of_a_file_are_kept)
{
    static int8_t level[N * MAX_K];
    static float scale[N];
    random_weights();
    for (size_t i = 0; i < COUNT_OF(isas) * COUNT_OF(depths); i++) {
        size_t k = depths[i % COUNT_OF(depths)], bytes = gemm_packed_bytes(DT_I8, k, N);
        if (!choose(isas[i / COUNT_OF(depths)]))
            continue;
        void *memory[2] = {aligned(bytes), aligned(bytes)};
        const PackedB *packed = gemm_pack(DT_I8, k, N, weights, 1, k, 1, memory[0]);
        for (size_t j = 0; j < N; j++) {
            scale[j] = kernels()->quantize_scale(weights + j * k, k);
            kernels()->quantize(weights + j * k, scale[j], level + j * k, k);
        }
        PackedB *kept = gemm_pack_begin(DT_I8, k, N, memory[1]);
        gemm_pack_columns_i8(kept, 0, 384, level, 1, k, scale, 2);
        gemm_pack_columns_i8(kept, 384, N, level + 384 * k, 1, k, scale + 384, 2);
        cr_assert_eq(memcmp((char *)packed + 64, (char *)kept + 64, bytes - 64), 0, "%s k %zu",
                     kernels()->isa, k);
        free(memory[0]);
        free(memory[1]);
    }
}

/* Products of column ranges of one packed matrix, side by side, equal the whole product. */
static void check_parts(DType format, size_t n, size_t k)
{
    enum { M = 10 };
    static const size_t cuts[] = {0, 192, 384, 576};
    static float a[M * MAX_K], whole[M * N], parts[M * N];
    kernels()->normal(a, M * k, 5, 2, 0, 0, 1);
    void *memory = aligned(gemm_packed_bytes(format, k, n)),
         *scratch = aligned(gemm_scratch_bytes(2));
    Gemm g = {.m = M, .n = n, .k = k, .a = a, .a_row = k, .a_col = 1, .c = whole, .c_row = n};
    g.b = weights;
    g.b_row = 1;
    g.b_col = k;
    g.epi.bias = weights;
    g.packed = gemm_pack(format, k, n, weights, 1, k, 1, memory);
    gemm_run(&g, 1, scratch);
    for (size_t i = 0; cuts[i] < n; i++) {
        size_t end = cuts[i + 1] < n ? cuts[i + 1] : n;
        g.packed_from = cuts[i];
        g.n = end - cuts[i];
        g.b = weights + cuts[i] * k;
        g.epi.bias = weights + cuts[i];
        g.c = parts + cuts[i];
        gemm_run(&g, 2, scratch);
    }
    cr_assert_eq(memcmp(whole, parts, M * n * sizeof(*whole)), 0, "%s %s n %zu k %zu",
                 kernels()->isa, dtype_name(format), n, k);
    free(memory);
    free(scratch);
}

Test(low_packed, parts_of_a_packed_matrix)
{
    static const size_t columns[] = {1, 16, 192, 193, 200, 208, 209, 384, 385, 450};
    random_weights();
    FOR_EACH_PACKING(format, k)
    {
        for (size_t i = 0; i < COUNT_OF(columns); i++) {
            check_parts(*format, columns[i], *k);
            check_parts(DT_F32, columns[i], *k);
        }
    }
}
