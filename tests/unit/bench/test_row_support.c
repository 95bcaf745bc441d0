/* test_row_support: rows of every precision: which run here, why others do not, what they say of
 * themselves, and what they are judged by. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/sweep/estimate.h"
#include "bench/row/result.h"
#include "bench/row/support.h"
#include "bench/row/run.h"
#include "tests/support/tiny_row.h"

static RowConfig tiny(const char *precision)
{
    RowConfig c = tiny_row();
    text_set(c.precision, precision);
    c.vocab_size = 401;
    c.num_warmups = 1;
    c.num_trials = 2;
    c.forward_only = true;
    return c;
}

/* The kernels of this set, with features hidden from them; false where the CPU lacks the set. */
static bool use_kernels(const char *isa, const char *hidden)
{
    Err err;
    setenv("TARE_CPU", hidden, 1);
    return kernels_for(isa) && kernels_select(isa, &err) == 0;
}

/* ---- which rows run ---- */

static void expect_unsupported(const RowConfig *c, const char *why)
{
    TimeModel time;
    RowResult r;
    Samples s;
    Err err;
    time_model_init(&time, NAN, 1);
    row_result_init(&r);
    r.config = *c;
    row_estimate(&r, INT64_MAX, &time);
    cr_expect(!row_admit(&r, INT64_MAX, INFINITY));
    cr_expect_str_eq(r.status, "unsupported");
    cr_expect(strstr(r.status_reason, why), "no '%s' in '%s'", why, r.status_reason);
    cr_expect(r.num_params > 0 && r.model_flops > 0 && r.product_support[0]);
    samples_init(&s);
    cr_expect(row_run(&r, &s, &(RowExtras){0}, &err) == -1 && strstr(err.msg, why));
    samples_release(&s);
}

static void expect_admitted(const RowConfig *c)
{
    TimeModel time;
    RowResult r;
    time_model_init(&time, NAN, 1);
    row_result_init(&r);
    r.config = *c;
    row_estimate(&r, INT64_MAX, &time);
    cr_expect(row_admit(&r, INT64_MAX, INFINITY), "%s: %s", c->precision, r.status_reason);
    cr_expect(r.predicted_peak_bytes > 0 && r.predicted_time_s > 0);
}

/* Unknown is not zero: no row is left out for it. Zero is zero. */
Test(row_precision, memory_that_is_not_known_admits)
{
    const struct {
        int64_t limit;
        bool admitted;
    } cases[] = {{INT_MISSING, true}, {0, false}, {INT64_MAX, true}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        TimeModel time;
        RowResult r;
        time_model_init(&time, NAN, 1);
        row_result_init(&r);
        r.config = tiny("fp32");
        row_estimate(&r, cases[i].limit, &time);
        cr_expect_eq(row_admit(&r, cases[i].limit, INFINITY), cases[i].admitted, "%s",
                     r.status_reason);
    }
}

Test(row_precision, small_formats_have_no_backward)
{
    const char *const small[] = {"fp16", "bf16", "int8"}, *const others[] = {"fp32", "mixed"};
    char why[64];
    for (size_t i = 0; i < COUNT_OF(small); i++) {
        RowConfig c = tiny(small[i]);
        c.forward_only = false;
        snprintf(why, sizeof why, "%s has no backward pass, only forward_only = true runs",
                 small[i]);
        expect_unsupported(&c, why);
    }
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        RowConfig c = tiny(others[i]);
        c.forward_only = false;
        c.include_emulated = true;
        expect_admitted(&c);
    }
}

Test(row_precision, a_blas_multiplies_fp32)
{
    RowConfig c = tiny("mixed");
    text_set(c.gemm, "openblas");
    expect_unsupported(&c, "openblas multiplies fp32 only, not mixed");
    text_set(c.precision, "fp32");
    expect_admitted(&c);
}

Test(row_precision, emulated_rows_are_left_out_unless_asked_for)
{
    const char *const none = "-avx_vnni,-avx512_bf16,-avx512_fp16,-avx512_vnni,-amx_bf16,-amx_int8";
    const char *const isas[] = {"generic", "avx2", "avx512"};
    for (size_t i = 0; i < COUNT_OF(isas); i++) {
        if (!use_kernels(isas[i], none))
            continue;
        RowConfig c = tiny("mixed");
        expect_unsupported(&c, "mixed would be emulated");
        expect_unsupported(&c, "have no vdpbf16ps (AVX512_BF16)");
        c.include_emulated = true;
        expect_admitted(&c);
        c = tiny("bf16");
        expect_admitted(&c);
        c = tiny("int8");
        if (i > 0)
            expect_admitted(&c);
    }
    use_kernels("generic", "");
    RowConfig c = tiny("int8");
    expect_unsupported(&c, "int8 would be emulated");
    expect_unsupported(&c, "have no vpmaddwd (AVX2)");
    c.include_emulated = true;
    expect_admitted(&c);
    c = tiny("fp16");
    expect_unsupported(&c, "the generic kernels on");
    expect_unsupported(&c, "have no vcvtph2ps (F16C)");
}

Test(row_precision, a_layer_too_wide_for_int8_is_refused)
{
    RowConfig c = tiny("int8");
    c.include_emulated = true;
    c.d_model = 133144 / 4; /* d_ff is four times as much: the most that an int32 holds */
    expect_admitted(&c);
    c.d_model += 2;
    expect_unsupported(&c, "int8 takes at most 133144 inputs of a layer, this model has 133152");
    text_set(c.precision, "bf16");
    expect_admitted(&c);
}

/* ---- what they say ---- */

static RowResult result_of(const RowConfig *c)
{
    Samples s;
    RowResult r = run_row(c, &s);
    samples_release(&s);
    return r;
}

Test(row_precision, every_precision_runs_and_names_its_instruction)
{
    RowConfig c = tiny("fp32");
    RowResult fp32 = result_of(&c);
    for (int p = 0; p < NUM_PRECISIONS; p++) {
        c = tiny(precision_name((Precision)p));
        c.include_emulated = true;
        RowResult r = result_of(&c);
        cr_expect_str_eq(r.status, "ok");
        cr_expect_str_eq(r.product_support, support_name(precision_support((Precision)p)));
        cr_expect(r.product_instruction[0]);
        /* the distance itself is test_precision's business; observed at most 2e-3, of int8 */
        cr_expect(fabs(r.loss - fp32.loss) < 6e-3, "%s: loss %.9g, fp32's %.9g", c.precision,
                  r.loss, fp32.loss);
    }
}

Test(row_precision, mixed_trains)
{
    RowConfig c = tiny("mixed");
    c.include_emulated = true;
    c.forward_only = false;
    text_set(c.optimizer, "adamw");
    c.num_trials = 8;
    RowResult r = result_of(&c);
    c.num_trials = 1;
    RowResult first = result_of(&c);
    cr_expect(r.loss < first.loss - 0.1, "from %g to %g", first.loss, r.loss);
    cr_expect(r.backward_ms > 0 && r.optimizer_ms > 0);
}

Test(row_precision, memory_is_predicted)
{
#ifdef __SANITIZE_ADDRESS__
    cr_skip_test("the sanitizer takes memory of its own");
#endif
    const char *const precisions[] = {"int8", "bf16", "mixed"}; /* by memory: the peak only grows */
    for (size_t i = 0; i < COUNT_OF(precisions); i++) {
        RowConfig c = tiny(precisions[i]);
        c.include_emulated = true;
        c.d_model = 1024;
        c.num_layers = 6;
        c.num_heads = 16;
        c.vocab_size = 50257;
        c.num_trials = 1;
        RowResult r = result_of(&c);
        double ratio = (double)r.peak_rss_bytes / (double)r.predicted_peak_bytes;
        cr_log_info("%s: %.3f", c.precision, ratio);
        cr_expect(ratio > 0.9 && ratio < 1.1, "%s: measured / predicted = %.3f", c.precision,
                  ratio);
    }
}

Test(row_precision, memory_of_every_arch_is_predicted)
{
#ifdef __SANITIZE_ADDRESS__
    cr_skip_test("the sanitizer takes memory of its own");
#endif
    const char *const archs[] = {"llama", "cs336"};
    for (size_t i = 0; i < COUNT_OF(archs); i++) {
        RowConfig c = tiny("fp32");
        text_set(c.arch, archs[i]);
        text_set(c.optimizer, "adamw");
        c.d_model = 512;
        c.num_layers = 4 + 2 * (int64_t)i; /* the peak only grows */
        c.num_heads = 8;
        c.num_kv_heads = 4;
        c.d_ff = 1408;
        c.vocab_size = 10000;
        c.context_length = 64;
        c.forward_only = false;
        c.num_trials = 1;
        RowResult r = result_of(&c);
        double ratio = (double)r.peak_rss_bytes / (double)r.predicted_peak_bytes;
        cr_log_info("%s: %.3f", c.arch, ratio);
        cr_expect(ratio > 0.9 && ratio < 1.1, "%s: measured / predicted = %.3f", c.arch, ratio);
        cr_expect(fabs(r.loss - log(10000)) < 4, "%s: an untrained loss of %g", c.arch, r.loss);
    }
}

/* ---- what they are judged by ---- */

static Peaks known;

static int measure_known(int64_t threads, Peaks *p, Err *err)
{
    (void)threads;
    (void)err;
    *p = known;
    return 0;
}

static void expect_judged(const char *precision, double gflops, double peak, const char *status)
{
    known = (Peaks){.threads = 1,
                    .fma = 100,
                    .gemm = 80,
                    .bandwidth = 10,
                    .theoretical = 110,
                    .bf16 = 200,
                    .f16 = 90,
                    .i8 = 400};
    Err err;
    Guard g;
    guard_init(&g);
    g.measure = measure_known;
    RowResult r;
    row_result_init(&r);
    r.config = tiny(precision);
    r.gflops_per_s = gflops;
    text_set(r.status, "ok");
    cr_assert_eq(result_judge(&r, &g, &err), 0, "%s", err.msg);
    guard_release(&g);
    cr_expect(r.peak_gflops_per_s == peak, "%s by %g", precision, r.peak_gflops_per_s);
    cr_expect_str_eq(r.status, status, "%s at %g: %s", precision, gflops, r.status_reason);
}

Test(row_precision, a_row_is_judged_by_the_peak_of_its_format)
{
    expect_judged("int8", 450, 400, "ok");
    expect_judged("int8", 463, 400, "implausible");
    expect_judged("bf16", 225, 200, "ok");
    expect_judged("mixed", 225, 200, "ok");
    expect_judged("mixed", 235, 200, "implausible");
    expect_judged("fp16", 115, 100, "ok");
    expect_judged("fp32", 117, 100, "implausible");
}

/* No instruction does more than AMX: eight times the products of a 512-bit multiply-add in bf16,
 * sixteen times in int8. Without it, twice and four times; twice that again is left to noise. */
Test(row_precision, peaks_of_the_formats)
{
#ifdef __SANITIZE_ADDRESS__
    cr_skip_test("the sanitizer slows some loops down, not those of tile registers");
#endif
    Peaks p;
    peaks_measure(1, &p);
    double amx = precision_support(PRECISION_BF16) == SUPPORT_NATIVE &&
                         strstr(product_instruction(DT_BF16), "tdp")
                     ? 8
                     : 1;
    cr_expect(p.f16 > 0.25 * p.fma && p.f16 < 4 * p.fma, "f16: %g of %g", p.f16, p.fma);
    cr_expect(p.bf16 > 0.25 * p.fma && p.bf16 < 4 * amx * p.fma, "bf16: %g of %g", p.bf16, p.fma);
    cr_expect(p.i8 > 0.25 * p.fma && p.i8 < 8 * amx * p.fma, "i8: %g of %g", p.i8, p.fma);
}
