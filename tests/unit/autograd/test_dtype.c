/* test_dtype: bf16, f16 and int8 of every instruction set against arithmetic in doubles; all 65,536
 * patterns of the 16-bit formats, and every tie between two of them. */
#include "tests/support/ref.h"
#include "autograd/kernels/cpu.h"
#include "autograd/kernels/peak.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const isas[] = {"generic", "avx2", "avx512"};

#define FOR_EACH_ISA(k)                                                                            \
    for (size_t isa_ = 0; isa_ < COUNT_OF(isas); isa_++)                                           \
        for (const Kernels *k = kernels_for(isas[isa_]); k; k = NULL)

enum { PATTERNS = 1 << 16 };

typedef struct Format {
    DType type;
    int fraction_bits, bias, infinity; /* infinity: the pattern */
} Format;

static const Format formats[] = {{DT_BF16, 7, 127, 0x7f80}, {DT_F16, 10, 15, 0x7c00}};

static double value_of(const Format *f, int pattern)
{
    int size = pattern & 0x7fff, exponent = size >> f->fraction_bits;
    double fraction = size & ((1 << f->fraction_bits) - 1), sign = pattern & 0x8000 ? -1 : 1;
    if (size >= f->infinity)
        return size == f->infinity ? sign * INFINITY : NAN;
    double whole = exponent ? ldexp(1, f->fraction_bits) : 0;
    int power = (exponent ? exponent : 1) - f->bias - f->fraction_bits;
    return sign * ldexp(whole + fraction, power);
}

static void all_patterns(uint16_t *half)
{
    for (int i = 0; i < PATTERNS; i++)
        half[i] = (uint16_t)i;
}

Test(dtype, widening_is_exact_and_narrowing_undoes_it)
{
    static uint16_t half[PATTERNS], again[PATTERNS];
    static float wide[PATTERNS];
    all_patterns(half);
    FOR_EACH_ISA(k)
    {
        for (const Format *f = formats; f < formats + COUNT_OF(formats); f++) {
            k->widen(f->type, half, wide, PATTERNS);
            k->narrow(f->type, wide, again, PATTERNS);
            for (int i = 0; i < PATTERNS; i++) {
                double expected = value_of(f, i);
                if (isnan(expected)) {
                    cr_assert(isnan(wide[i]) && isnan(value_of(f, again[i])), "%s %04x", k->isa, i);
                    cr_assert_eq(again[i] >> 15, i >> 15, "the sign of a NaN");
                    continue;
                }
                cr_assert_eq(wide[i], expected, "%s %s %04x", k->isa, dtype_name(f->type), i);
                cr_assert_eq(again[i], i, "%s %s %04x", k->isa, dtype_name(f->type), i);
            }
        }
    }
}

/* Between every two neighbours, the largest and infinity among them: the middle goes to the even
 * one, the next fp32 on either side to the nearer one. */
Test(dtype, narrowing_goes_to_nearest_even)
{
    static float x[PATTERNS];
    static uint16_t y[PATTERNS];
    FOR_EACH_ISA(k)
    {
        for (const Format *f = formats; f < formats + COUNT_OF(formats); f++)
            for (int side = -1; side <= 1; side++) {
                for (int i = 0; i < f->infinity; i++) {
                    /* As if the exponents went on where infinity is. */
                    double next = i + 1 == f->infinity ? ldexp(1, f->bias + 1) : value_of(f, i + 1);
                    float middle = (float)((value_of(f, i) + next) / 2);
                    x[i] = side ? nextafterf(middle, side * INFINITY) : middle;
                }
                k->narrow(f->type, x, y, (size_t)f->infinity);
                for (int i = 0; i < f->infinity; i++) {
                    int expected = side < 0 ? i : side > 0 ? i + 1 : i + (i & 1);
                    cr_assert_eq(y[i], expected, "%s %s %04x side %d: %04x", k->isa,
                                 dtype_name(f->type), i, side, y[i]);
                }
            }
    }
}

Test(dtype, instruction_sets_agree_on_any_bits)
{
    enum { N = 200000 };
    static uint32_t bits[N];
    static uint16_t expected[N], y[N];
    for (size_t i = 0; i < N; i++)
        bits[i] = (uint32_t)rng_u64(1, 1, i);
    for (const Format *f = formats; f < formats + COUNT_OF(formats); f++) {
        kernels_for("generic")->narrow(f->type, (const float *)bits, expected, N);
        FOR_EACH_ISA(k)
        {
            k->narrow(f->type, (const float *)bits, y, N);
            cr_assert_eq(memcmp(y, expected, sizeof(y)), 0, "%s", k->isa);
        }
    }
}

Test(dtype, narrowing_in_place)
{
    enum { N = 77, BEFORE = 13 };
    FOR_EACH_ISA(k)
    {
        for (size_t n = 0; n <= N; n++) {
            float row[BEFORE + N];
            uint16_t expected[BEFORE + N];
            k->normal(row, BEFORE + N, 7, 0, n, 0, 1);
            k->narrow(DT_BF16, row, expected, BEFORE + n);
            k->narrow(DT_BF16, row, row, BEFORE);
            k->narrow(DT_BF16, row + BEFORE, (uint16_t *)row + BEFORE, n);
            cr_assert_eq(memcmp(row, expected, (BEFORE + n) * sizeof(*expected)), 0, "%s, %zu",
                         k->isa, n);
        }
    }
}

Test(dtype, rows_of_any_length_and_nothing_behind_them)
{
    FOR_EACH_ISA(k)
    {
        for (size_t n = 0; n <= 40; n++) {
            float x[41], back[41] = {0};
            uint16_t half[41];
            k->normal(x, 41, 3, n, 0, 0, 1);
            half[n] = 0x1234;
            back[n] = 7;
            for (const Format *f = formats; f < formats + COUNT_OF(formats); f++) {
                k->narrow(f->type, x, half, n);
                k->widen(f->type, half, back, n);
                for (size_t i = 0; i < n; i++)
                    cr_assert_leq(fabsf(back[i] - x[i]), ldexpf(fabsf(x[i]), -8));
                cr_assert(half[n] == 0x1234 && back[n] == 7, "%s n %zu", k->isa, n);
            }
            k->narrow(DT_F32, x, back, n);
            cr_assert(memcmp(x, back, n * sizeof(*x)) == 0 && back[n] == 7);
        }
    }
}

/* ---- int8 ---- */

Test(dtype, quantized_as_defined)
{
    enum { N = 1000 };
    static float x[N];
    static int8_t q[N + 1];
    FOR_EACH_ISA(k)
    {
        for (size_t n = 1; n <= N; n += n < 40 ? 1 : 137) {
            static const float sizes[] = {1, 0x1p-59f, 0x1p-70f, 0x1p-120f, 0x1p60f, 0x1p100f};
            k->normal(x, N, 4, n, 0, 0, sizes[n % COUNT_OF(sizes)]);
            float largest = 0;
            for (size_t i = 0; i < n; i++)
                largest = fmaxf(largest, fabsf(x[i]));
            float scale = k->quantize_scale(x, n);
            cr_assert_eq(scale, largest / 127);
            q[n] = 99;
            k->quantize(x, scale, q, n);
            for (size_t i = 0; i < n; i++)
                cr_assert_eq(q[i], nearbyintf(x[i] / scale), "%s %zu of %zu", k->isa, i, n);
            cr_assert_eq(q[n], 99);
        }
    }
}

Test(dtype, quantized_ties_zeros_and_what_is_no_number)
{
    FOR_EACH_ISA(k)
    {
        float ties[] = {127, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -127};
        static const int8_t even[] = {127, 0, 2, 2, 0, -2, -127};
        int8_t q[COUNT_OF(ties)];
        cr_assert_eq(k->quantize_scale(ties, COUNT_OF(ties)), 1);
        k->quantize(ties, 1, q, COUNT_OF(ties));
        cr_assert_eq(memcmp(q, even, sizeof(q)), 0, "%s", k->isa);

        float zeros[] = {0, -0.0f, 0}, tiny[] = {1e-45f, -3e-45f, 0};
        cr_assert_eq(k->quantize_scale(zeros, 3), 0);
        k->quantize(zeros, 0, q, 3);
        cr_assert(q[0] == 0 && q[1] == 0 && q[2] == 0);
        cr_assert_eq(k->quantize_scale(tiny, 3), 0, "a scale below the smallest number");
        k->quantize(tiny, 0, q, 3);
        cr_assert(q[0] == 0 && q[1] == 0 && q[2] == 0);

        float wrong[] = {1, -INFINITY, 2, 3}, worse[] = {1, NAN, INFINITY, 2};
        cr_assert_eq(k->quantize_scale(wrong, 4), INFINITY);
        cr_assert(isnan(k->quantize_scale(worse, 4)));
    }
}

Test(dtype, names_and_sizes)
{
    static const DType types[] = {DT_F32, DT_BF16, DT_F16, DT_I8, DT_I32};
    static const char *const names[] = {"f32", "bf16", "f16", "i8", "i32"};
    static const size_t sizes[] = {4, 2, 2, 1, 4};
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        cr_expect_str_eq(dtype_name(types[i]), names[i]);
        cr_expect_eq(dtype_size(types[i]), sizes[i]);
    }
}

/* ---- what the processor has ---- */

Test(dtype, names_of_support)
{
    cr_expect_str_eq(support_name(SUPPORT_NATIVE), "native");
    cr_expect_str_eq(support_name(SUPPORT_CONVERT), "convert");
    cr_expect_str_eq(support_name(SUPPORT_EMULATED), "emulated");
}

/* Multiply-adds of the instruction over those of an fp32 one of the same vector: a dot product of
 * two bf16, two 16-bit levels or four int8, twice as many lanes of f16; AMX's 16 x 16 tiles take 16
 * cycles for 32 or 64 along k, where two fp32 units do 32 multiply-adds a cycle (Intel,
 * Optimization Reference Manual, chapter 20). */
static double most_over_fp32(const char *instruction)
{
    const struct {
        const char *name;
        double ratio;
    } ratios[] = {{"tdpbf16ps", 16},  {"tdpbusd", 32}, {"vdpbf16ps", 2},
                  {"vfmadd231ph", 2}, {"vpdpbusd", 4}, {"vpmaddwd", 2}};
    for (size_t i = 0; i < COUNT_OF(ratios); i++)
        if (strcmp(instruction, ratios[i].name) == 0)
            return ratios[i].ratio;
    return 1; /* widened into fp32 arithmetic, or emulated */
}

/* A peak is that of the best kernels of this CPU, whatever the environment forces. */
static void forget_forced_isa(void)
{
    Err err;
    unsetenv("TARE_ISA");
    unsetenv("TARE_CPU");
    cr_assert_eq(kernels_select(NULL, &err), 0);
}

/* The bound leaves a quarter for a machine whose speed changes between two measurements. */
Test(dtype, peaks_of_products, .init = forget_forced_isa)
{
#ifdef __SANITIZE_ADDRESS__
    cr_skip_test("the sanitizer slows some loops down, not those of tile registers");
#endif
    double fp32 = peak_product_gflops(DT_F32, 1);
    cr_expect_gt(fp32, 0.5);
    const DType products[] = {DT_BF16, DT_F16, DT_I8};
    for (size_t i = 0; i < COUNT_OF(products); i++) {
        double rate = peak_product_gflops(products[i], 1), least = 0.5;
        const char *instruction = product_instruction(products[i]);
        if (product_support(products[i]) == SUPPORT_NATIVE)
            least = 0.8 * fp32;
        cr_expect(rate > least && rate < 1.25 * most_over_fp32(instruction) * fp32,
                  "%s by %s: %g, fp32 %g", dtype_name(products[i]), instruction, rate, fp32);
    }
}

static int select_hiding(const char *isa, const char *hidden, Err *err)
{
    setenv("TARE_CPU", hidden, 1);
    int status = kernels_select(isa, err);
    unsetenv("TARE_CPU");
    return status;
}

Test(dtype, support_follows_the_features)
{
    Err err;
    char text[128];
    cr_assert_eq(select_hiding("generic", "", &err), 0);
    cr_expect_eq(product_support(DT_F32), SUPPORT_NATIVE);
    cr_expect_eq(product_support(DT_BF16), SUPPORT_CONVERT);
    cr_expect_eq(product_support(DT_F16), SUPPORT_EMULATED);
    cr_expect_eq(product_support(DT_I8), SUPPORT_EMULATED);
    if (kernels_for("avx2")) {
        cr_assert_eq(select_hiding("avx2", "", &err), 0);
        bool vnni = cpu_features()->avx_vnni;
        cr_expect_eq(product_support(DT_I8), SUPPORT_NATIVE);
        cr_expect_str_eq(product_instruction(DT_I8), vnni ? "vpdpbusd" : "vpmaddwd");
        cr_assert_eq(select_hiding("avx2", "-avx_vnni", &err), 0);
        cr_expect_eq(product_support(DT_BF16), SUPPORT_CONVERT);
        cr_expect_eq(product_support(DT_F16), SUPPORT_CONVERT);
        cr_expect_eq(product_support(DT_I8), SUPPORT_NATIVE);
        cr_expect_str_eq(product_instruction(DT_I8), "vpmaddwd");
        cr_expect_str_eq(product_instruction(DT_F16), "vfmadd231ps after vcvtph2ps");
    }
    if (!kernels_for("avx512"))
        return;
    cr_assert_eq(select_hiding("avx512", "", &err), 0);
    bool bf16 = cpu_features()->avx512_bf16, vnni = cpu_features()->avx512_vnni;
    cr_expect_eq(product_support(DT_BF16), bf16 ? SUPPORT_NATIVE : SUPPORT_CONVERT);
    cr_expect(cpu_features()->avx512_fp16 || product_support(DT_F16) == SUPPORT_CONVERT);
    cr_expect(product_support(DT_F16) == SUPPORT_CONVERT ||
              strcmp(product_instruction(DT_F16), "vfmadd231ph") == 0);
    cr_expect_eq(product_support(DT_I8), SUPPORT_NATIVE);
    cr_assert_eq(select_hiding("avx512", "-amx_bf16, -amx_int8", &err), 0);
    cr_expect(!bf16 || strcmp(product_instruction(DT_BF16), "vdpbf16ps") == 0);
    cr_expect_str_eq(product_instruction(DT_I8), vnni ? "vpdpbusd" : "vpmaddwd");

    cr_assert_eq(
        select_hiding("avx512", "-avx512_bf16, -avx512_fp16, -avx512_vnni, -avx_vnni", &err), 0);
    cr_expect_eq(product_support(DT_BF16), SUPPORT_CONVERT);
    cr_expect_eq(product_support(DT_F16), SUPPORT_CONVERT);
    cr_expect_eq(product_support(DT_I8), SUPPORT_NATIVE);
    cr_expect_str_eq(product_instruction(DT_I8), "vpmaddwd");
    cpu_features_text(text, sizeof(text));
    cr_expect(strstr(text, "avx512") && !strstr(text, "bf16") && !strstr(text, "vnni"), "%s", text);

    cr_assert_eq(select_hiding("avx512", "", &err), 0);
    cr_expect_eq(cpu_features()->avx512_bf16, bf16, "nothing stays hidden");
}

Test(dtype, hidden_features, .init = forget_forced_isa)
{
    Err err;
    cr_assert_eq(select_hiding(NULL, "-avx2", &err), 0);
    cr_expect_str_eq(kernels()->isa, "generic");
    cr_expect(!cpu_features()->avx512_vnni && !cpu_features()->avx_vnni,
              "what needs AVX2 is hidden with it");
    cr_assert_eq(select_hiding("avx2", "-avx2", &err), -1);
    static const char *const streams[] = {"-stream_prefetch", "-asked_streams"}; /* the old word */
    for (size_t i = 0; i < COUNT_OF(streams); i++) {
        cr_assert_eq(select_hiding(NULL, "", &err), 0);
        cr_assert_eq(select_hiding(NULL, streams[i], &err), 0);
        cr_expect(!cpu_features()->stream_prefetch, "%s", streams[i]);
    }
    static const char *const wrong[] = {"-avx512_fp8",        "avx512",          "-",
                                        "-avx512_bf16;-avx2", "stream_prefetch", "-asked"};
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        cr_assert_eq(select_hiding(NULL, wrong[i], &err), -1, "%s", wrong[i]);
        cr_expect(strstr(err.msg, wrong[i]) && strstr(err.msg, "TARE_CPU"), "%s", err.msg);
        cr_expect(strstr(err.msg, "-avx2, -avx_vnni, -avx512,") &&
                      strstr(err.msg, "-stream_prefetch are"),
                  "%s", err.msg);
    }
    cr_assert_eq(select_hiding(NULL, "", &err), 0);
}
