/* test_amx: the kernels of amx_tile.c, emulated everywhere and, where the processor has AMX, by the
 * processor; when low_kernel chooses them. test_low.c and test_low_sums.c multiply whole matrices
 * by them. */
#include "tests/support/low_ways.h"

#include "autograd/kernels/simd/amx_tile.h"

#include <string.h>

enum { MOST_STEPS = 67, MOST_WIDTH = 48, A_GAP = 5 };

static const LowKernel *emulated(DType product)
{
    return product == DT_BF16 ? &amx_emulated_bf16 : &amx_emulated_i8;
}

/* ---- one tile ---- */

static uint16_t bf16_bits(int x)
{
    float value = (float)x;
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return (uint16_t)(bits >> 16);
}

/* Element e of unit u: small integers of bf16, whose sums are exact, or all levels. */
static int element(DType product, uint64_t stream, size_t u, size_t e)
{
    uint64_t bits = rng_u64(17, stream, 4 * u + e);
    if (product == DT_BF16)
        return (int)(bits % 31) - 15;
    return stream == 1 ? (int)(bits % 256) : (int)(bits % 256) - 128;
}

static uint32_t unit(DType product, uint64_t stream, size_t u)
{
    uint32_t word = 0;
    for (size_t e = 0; e < 2 && product == DT_BF16; e++)
        word |= (uint32_t)bf16_bits(element(product, stream, u, e)) << 16 * e;
    for (size_t e = 0; e < 4 && product == DT_I8; e++)
        word |= (uint32_t)(uint8_t)element(product, stream, u, e) << 8 * e;
    return word;
}

/* Exactly as large as the tile says, so that the address sanitizer sees a read beyond it. */
static uint32_t *units(DType product, uint64_t stream, size_t n)
{
    uint32_t *u = malloc(n * sizeof(*u) + (n == 0));
    cr_assert_not_null(u);
    for (size_t i = 0; i < n; i++)
        u[i] = unit(product, stream, i);
    return u;
}

static int reference(DType product, const LowTile *t, size_t row, size_t column)
{
    int sum = 0;
    for (size_t s = 0; s < t->steps; s++)
        for (size_t e = 0; e < (product == DT_BF16 ? 2 : 4); e++)
            sum += element(product, 1, row * t->a_row + s, e) *
                   element(product, 2, s * t->vectors * 16 + column, e);
    return sum;
}

static void set_sum(DType product, float *sum, int value)
{
    int32_t integer = value;
    *sum = (float)value;
    if (product == DT_I8)
        memcpy(sum, &integer, sizeof(integer));
}

static void check_tile(const LowKernel *kernel, DType product, LowTile t)
{
    size_t width = t.vectors * 16, n = t.rows * width;
    t.a_row = t.steps + A_GAP;
    t.a_unit = 1;
    uint32_t *a = units(product, 1, (t.rows - 1) * t.a_row + t.steps);
    uint32_t *b = units(product, 2, t.steps * width);
    float *sums = xmalloc(n * sizeof(*sums));
    for (size_t i = 0; i < n; i++)
        set_sum(product, &sums[i], (int)i - 99);
    t.a = a;
    t.b = b;
    t.sums = sums;
    kernel->tile(&t);
    for (size_t i = 0; i < n; i++) {
        float expected;
        set_sum(product, &expected,
                reference(product, &t, i / width, i % width) + (t.add ? (int)i - 99 : 0));
        cr_assert_eq(memcmp(&sums[i], &expected, sizeof(expected)), 0,
                     "%s: %zu rows, %zu vectors, %zu steps, add %d: row %zu, column %zu",
                     kernel->instruction, t.rows, t.vectors, t.steps, t.add, i / width, i % width);
    }
    free(a);
    free(b);
    free(sums);
}

static void check_tiles(const LowKernel *kernel, DType product)
{
    static const size_t steps[] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11,
                                   12, 13, 14, 15, 16, 17, 31, 32, 33, 48, 63, MOST_STEPS};
    for (size_t rows = 1; rows <= AMX_ROWS; rows++)
        for (size_t vectors = 1; vectors <= 3; vectors++)
            for (size_t i = 0; i < 2 * COUNT_OF(steps); i++)
                check_tile(kernel, product,
                           (LowTile){.rows = rows,
                                     .vectors = vectors,
                                     .steps = steps[i / 2],
                                     .add = i % 2 == 1});
}

Test(amx, tiles_of_bf16)
{
    check_tiles(&amx_emulated_bf16, DT_BF16);
}

Test(amx, tiles_of_i8)
{
    check_tiles(&amx_emulated_i8, DT_I8);
}

Test(amx, tiles_by_the_processor_itself)
{
    static const DType formats[] = {DT_BF16, DT_I8};
    for (size_t i = 0; i < COUNT_OF(formats); i++) {
        const LowKernel *kernel = low_kernel(isa_best(), formats[i]);
        if (kernel->rows == AMX_ROWS)
            check_tiles(kernel, formats[i]);
    }
}

/* What the manual says of TDPBF16PS: a denormal counts as zero, in A, in B, in C and in the
 * result. */
Test(amx, denormals_of_bf16_are_zero)
{
    enum { DENORMAL = 0x0040, TINY = 0x0080, HALF = 0x3f00, HUGE = 0x7e80 };
    static const uint32_t pairs[][2] = {{DENORMAL, HUGE}, {HUGE, DENORMAL}, {TINY, HALF}};
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        uint32_t b[16];
        float sums[16];
        for (size_t j = 0; j < COUNT_OF(b); j++) {
            b[j] = pairs[i][1];
            sums[j] = 1e-39f;
        }
        amx_emulated_bf16.tile(&(LowTile){.rows = 1,
                                          .vectors = 1,
                                          .steps = 1,
                                          .a = pairs[i],
                                          .a_row = 1,
                                          .a_unit = 1,
                                          .b = b,
                                          .sums = sums,
                                          .add = true});
        for (size_t j = 0; j < COUNT_OF(b); j++)
            cr_expect_eq(sums[j], 0, "pair %zu: %g", i, sums[j]);
    }
}

Test(amx, peak_loops_count_their_operations)
{
    cr_expect_eq(amx_emulated_bf16.peak_loop(3), 3.0 * 6 * 2 * 16 * 16 * 32);
    cr_expect_eq(amx_emulated_i8.peak_loop(3), 3.0 * 6 * 2 * 16 * 16 * 64);
}

/* ---- the choice ---- */

static int calls;

static void counting_tile(const LowTile *t)
{
    calls++;
    amx_emulated_bf16.tile(t);
}

/* Right but for the last sum of a whole tile that adds. */
static void wrong_tile(const LowTile *t)
{
    emulated(DT_I8)->tile(t);
    if (t->rows == AMX_ROWS && t->add)
        set_sum(DT_I8, &t->sums[t->rows * t->vectors * 16 - 1], 12345);
}

static bool choose(const char *isa, const char *hidden)
{
    return way_choose(&(Way){isa, hidden, NO_AMX});
}

Test(amx, a_wrong_kernel_is_not_taken)
{
    static const LowKernel wrong = {.instruction = "wrong", .rows = AMX_ROWS, .tile = wrong_tile};
    cr_assert(low_kernel_is_right(DT_BF16, &amx_emulated_bf16, 16));
    cr_assert(low_kernel_is_right(DT_I8, &amx_emulated_i8, 16));
    cr_assert(!low_kernel_is_right(DT_I8, &wrong, 16));
    if (!choose("avx512", "-amx_bf16,-amx_int8"))
        return;
    const char *next = product_instruction(DT_I8);
    low_kernel_force(DT_I8, &wrong);
    cr_expect_str_eq(product_instruction(DT_I8), next);
    low_kernel_force(DT_I8, &amx_emulated_i8);
    cr_expect_str_eq(product_instruction(DT_I8), amx_emulated_i8.instruction);
    low_kernel_force(DT_I8, NULL);
    cr_expect_str_eq(product_instruction(DT_I8), next);
}

/* Panels of the other sets are narrower than a tile register. */
Test(amx, only_with_avx512)
{
    static const char *const others[] = {"generic", "avx2"};
    low_kernel_force(DT_BF16, &amx_emulated_bf16);
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        Err err;
        if (kernels_for(others[i]) && kernels_select(others[i], &err) == 0)
            cr_expect_str_neq(product_instruction(DT_BF16), amx_emulated_bf16.instruction);
    }
}

Test(amx, hidden_it_is_not_taken)
{
    static const char *const words[] = {"-amx_bf16,-amx_int8", "-avx512_bf16,-avx512_vnni"};
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (!choose("avx512", words[i]))
            continue;
        cr_expect_null(strstr(product_instruction(DT_BF16), "tdp"), "%s", words[i]);
        cr_expect_null(strstr(product_instruction(DT_I8), "tdp"), "%s", words[i]);
    }
}

/* ---- finishing ---- */

enum { M = 70, N = 100, K = 75 };

typedef struct Finish {
    Act act;
    DType c_type;
    bool keeps_z, accumulates;
} Finish;

/* C, then z. */
static void multiply(const Finish *f, const LowKernel *kernel, float out[2 * M * N])
{
    static float a[M * K], b[K * N], bias[N], before[M * N];
    kernels()->normal(a, M * K, 1, 0, 0, 0, 1);
    kernels()->normal(b, K * N, 2, 0, 0, 0, 0.3f);
    kernels()->normal(bias, N, 3, 0, 0, 0, 1);
    kernels()->normal(before, M * N, 4, 0, 0, 0, 1);
    void *scratch = aligned(gemm_scratch_bytes(1));
    memset(out, 0, 2 * M * N * sizeof(*out));
    kernels()->narrow(f->c_type, before, out, M * N);
    low_kernel_force(DT_BF16, kernel);
    Gemm g = gemm_of_rows(M, N, K, a, b, out);
    g.c_type = f->c_type;
    g.product = DT_BF16;
    g.accumulate = f->accumulates;
    g.epi = (Epilogue){.bias = bias, .act = f->act, .z = f->keeps_z ? out + M * N : NULL};
    gemm_run(&g, 1, scratch);
    free(scratch);
}

Test(amx, what_is_finished_between_steps_is_the_same)
{
    static const Act acts[] = {ACT_NONE, ACT_GELU_TANH, ACT_GELU_ERF, ACT_RELU};
    static float left[2 * M * N], at_once[2 * M * N];
    LowKernel plain = amx_emulated_bf16;
    plain.finishes = plain.finishes_any = false;
    if (!choose("avx512", ""))
        return;
    for (unsigned i = 0; i < 8 * COUNT_OF(acts); i++) {
        const Finish f = {acts[i / 8], i & 1 ? DT_BF16 : DT_F32, i >> 1 & 1, i >> 2 & 1};
        multiply(&f, &amx_emulated_bf16, left);
        multiply(&f, &plain, at_once);
        cr_expect(memcmp(left, at_once, sizeof(left)) == 0, "activation %d, %s, z %d, added %d",
                  f.act, dtype_name(f.c_type), f.keeps_z, f.accumulates);
    }
}

/* ---- whole products ---- */

static void run(size_t m, size_t n, size_t k, bool by_columns)
{
    float *a = xcalloc(m * k, sizeof(*a)), *b = xcalloc(k * n, sizeof(*b));
    float *c = xcalloc(m * n, sizeof(*c));
    void *scratch = aligned(gemm_scratch_bytes(1));
    Gemm g = gemm_of_rows(m, n, k, a, b, c);
    g.product = DT_BF16;
    if (by_columns) {
        g.a_row = 1;
        g.a_col = m;
    }
    gemm_run(&g, 1, scratch);
    free(a);
    free(b);
    free(c);
    free(scratch);
}

Test(amx, strips_of_two_registers)
{
    static const LowKernel counting = {
        .instruction = "counting", .rows = AMX_ROWS, .tile = counting_tile};
    if (!choose("avx512", ""))
        return;
    low_kernel_force(DT_BF16, &counting);
    cr_assert_str_eq(product_instruction(DT_BF16), "counting");
    calls = 0;
    run(33, 100, 40, false);
    cr_expect_eq(calls, 2 * 3, "%d calls for 2 strips and 3 panels", calls);
    calls = 0;
    run(33, 100, 40, true);
    cr_expect_eq(calls, 2 * 3, "%d calls for an A in columns", calls);
}
