/* Attention studies: both implementations against doubles, memory, columns and configs. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/attention/layer.h"
#include "bench/attention/run.h"
#include "bench/attention/study.h"
#include "tests/support/low_ways.h"

static Attention shape_of(size_t B, size_t T, size_t H, size_t D, bool causal, DType type)
{
    return (Attention){.B = B,
                       .T = T,
                       .H = H,
                       .D = D,
                       .qkv_stride = 3 * H * D,
                       .causal = causal,
                       .scale = 1.0f / sqrtf((float)D),
                       .type = type,
                       .out_type = type,
                       .product = type == DT_F32 ? DT_F32 : attention_product()};
}

/* Of gradients of q, k or v, [B*T, H*D] in rows of 3 H D. */
static double gradient_error(const AttentionLayer *l, size_t which, const double *wanted)
{
    const size_t C = l->a.H * l->a.D;
    double worst = 0;
    for (size_t i = 0; i < l->a.B * l->a.T; i++)
        worst = fmax(worst, ref_max_error(l->dqkv + i * 3 * C + which * C, wanted + i * C, C, 1));
    return worst;
}

/* The worst error of out and of the gradients, against doubles; inputs are N(0, 1). */
static double error_of(const Attention *shape, const AttentionImpl *impl, int threads)
{
    AttentionLayer l;
    Err err;
    const size_t n = shape->B * shape->T * shape->H * shape->D;
    cr_assert(attention_layer_init(&l, shape, impl, threads, 1, &err) == 0, "%s", err.msg);
    float *qkv = xmalloc(3 * n * sizeof *qkv), *out = xmalloc(n * sizeof *out);
    double *wanted = xcalloc(4 * n, sizeof *wanted), *lse = xcalloc(n, sizeof *lse);
    kernels()->widen(shape->type, l.a.q, qkv, 3 * n);
    Attention wide = *shape;
    wide.q = qkv;
    wide.k = qkv + shape->H * shape->D;
    wide.v = qkv + 2 * shape->H * shape->D;
    ref_attention(&wide, wanted, lse);
    ref_attention_backward(&wide, l.dout, wanted + n, wanted + 2 * n, wanted + 3 * n);
    impl->forward(&l);
    impl->backward(&l);
    kernels()->widen(shape->out_type, l.a.out, out, n);
    double worst = ref_max_error(out, wanted, n, 1);
    for (size_t which = 0; which < 3; which++)
        worst = fmax(worst, gradient_error(&l, which, wanted + (1 + which) * n));
    attention_layer_release(&l);
    free(qkv);
    free(out);
    free(wanted);
    free(lse);
    return worst;
}

static const AttentionImpl *const impls[] = {&attention_flash, &attention_plain};

/* Observed on every instruction set: 1.9e-6 in fp32, 8.3e-3 in bf16; values go up to 4. */
Test(attention_study, both_implementations_compute_attention)
{
    static const size_t shapes[][4] = {
        {1, 1, 1, 1}, {2, 7, 3, 5}, {1, 33, 2, 16}, {2, 65, 1, 64}, {1, 130, 2, 128}};
    static const DType types[] = {DT_F32, DT_BF16};
    static const double most[] = {5e-6, 2e-2};
    for (size_t i = 0; i < COUNT_OF(shapes) * 8; i++) {
        const size_t *s = shapes[i / 8];
        const Attention a = shape_of(s[0], s[1], s[2], s[3], i & 1, types[i >> 1 & 1]);
        double error = error_of(&a, impls[i >> 2 & 1], 1);
        cr_expect(error <= most[i >> 1 & 1], "%s, T %zu, D %zu, causal %d, %s: off by %g",
                  impls[i >> 2 & 1]->name, s[1], s[3], (int)(i & 1), dtype_name(a.type), error);
    }
}

/* What a forward and a backward pass multiply. */
static void expect_products(const Attention *shape, const AttentionImpl *impl, unsigned wanted)
{
    AttentionLayer l;
    Err err;
    cr_assert(attention_layer_init(&l, shape, impl, 2, 1, &err) == 0, "%s", err.msg);
    products_taken();
    impl->forward(&l);
    cr_expect(eq(uint, products_taken(), wanted), "%s forward", impl->name);
    impl->backward(&l);
    cr_expect(eq(uint, products_taken(), wanted), "%s backward", impl->name);
    attention_layer_release(&l);
}

Test(attention_study, both_passes_multiply_bf16_where_the_cpu_does)
{
    static const size_t shapes[][4] = {{2, 7, 3, 5}, {1, 130, 2, 128}, {1, 400, 1, 64}};
    FOR_EACH_WAY_OF_BF16(way)
    for (size_t i = 0; i < COUNT_OF(shapes) * COUNT_OF(impls); i++) {
        const size_t *s = shapes[i / 2];
        const AttentionImpl *impl = impls[i % 2];
        const Attention a = attention_layer_shape(s[0], s[1], s[2], s[3], true, DT_BF16);
        expect_products(&a, impl, 1u << DT_BF16);
        double error = error_of(&a, impl, 2);
        cr_expect(error <= 2e-2, "%s, T %zu: off by %g", impl->name, s[1], error);
    }
}

Test(attention_study, products_are_fp32_where_the_cpu_has_no_bf16)
{
    static const Way none = {"generic", "", NO_AMX};
    cr_assert(way_choose(&none));
    const Attention a = attention_layer_shape(1, 40, 2, 16, true, DT_BF16);
    for (size_t i = 0; i < COUNT_OF(impls); i++)
        expect_products(&a, impls[i], 1u << DT_F32);
}

Test(attention_study, threads_change_no_bit)
{
    for (size_t i = 0; i < COUNT_OF(impls); i++) {
        const Attention a = shape_of(1, 200, 2, 32, true, DT_F32);
        AttentionLayer one, three;
        Err err;
        cr_assert(attention_layer_init(&one, &a, impls[i], 1, 1, &err) == 0);
        cr_assert(attention_layer_init(&three, &a, impls[i], 3, 1, &err) == 0);
        cr_expect(eq(dbl, attention_difference(&one, &three), 0));
        attention_layer_release(&one);
        attention_layer_release(&three);
    }
}

/* A comparison that cannot fail would be none. */
Test(attention_study, another_input_is_a_difference)
{
    const Attention a = shape_of(1, 40, 1, 16, false, DT_F32);
    AttentionLayer x, y;
    Err err;
    cr_assert(attention_layer_init(&x, &a, &attention_flash, 1, 1, &err) == 0);
    cr_assert(attention_layer_init(&y, &a, &attention_plain, 1, 2, &err) == 0);
    cr_expect(attention_difference(&x, &y) > 0.1);
    attention_layer_release(&x);
    attention_layer_release(&y);
}

/* ---- memory ---- */

static double bytes_of(const AttentionImpl *impl, size_t T, size_t D)
{
    const Attention a = shape_of(1, T, 1, D, true, DT_F32);
    return attention_process_bytes(&a, impl, 2);
}

Test(attention_study, flash_grows_with_the_context_and_plain_with_its_square)
{
    static const size_t channels[] = {16, 32, 64, 128};
    for (size_t i = 0; i < COUNT_OF(channels); i++) {
        size_t D = channels[i];
        double step = bytes_of(&attention_flash, 4096, D) - bytes_of(&attention_flash, 2048, D);
        for (size_t T = 4096; T <= 65536; T *= 2) {
            double growth = bytes_of(&attention_flash, 2 * T, D) - bytes_of(&attention_flash, T, D);
            cr_expect(growth <= step * (double)(T / 2048) * 1.001, "T %zu D %zu: %g", T, D, growth);
        }
        cr_expect(bytes_of(&attention_flash, 65536, D) < 0x1p30);
        cr_expect(bytes_of(&attention_plain, 65536, D) > 0x1p34);
    }
}

Test(attention_study, saved_bytes_are_what_backward_reads)
{
    const Attention a = shape_of(8, 1024, 1, 64, false, DT_F32),
                    b = shape_of(8, 1024, 1, 64, false, DT_BF16);
    double qkv = 8 * 1024 * 3 * 64, lse = 8 * 1024, scores = 8.0 * 1024 * 1024;
    cr_expect(eq(dbl, attention_saved_bytes(&a, &attention_flash), 4 * (qkv + lse)));
    cr_expect(eq(dbl, attention_saved_bytes(&b, &attention_flash), 2 * qkv + 4 * lse));
    cr_expect(eq(dbl, attention_saved_bytes(&a, &attention_plain), 4 * (qkv + scores)));
    cr_expect(eq(dbl, attention_saved_bytes(&b, &attention_plain), 2 * (qkv + scores)));
}

/* ---- rows ---- */

/* Of a row of bf16, on a CPU that multiplies it, by the instruction that it names. */
Test(attention_study, a_row_names_what_it_multiplied_by)
{
    FOR_EACH_WAY_OF_BF16(way)
    for (size_t i = 0; i < COUNT_OF(impls); i++) {
        AttentionRow r;
        Samples samples;
        Err err;
        grid_row_init(attention_schema(), &r);
        samples_init(&samples);
        text_set(r.impl, impls[i]->name);
        text_set(r.base.config.precision, "bf16");
        r.base.config.context_length = 300;
        r.base.config.threads = 2;
        r.base.config.num_trials = 1;
        cr_assert(attention_parity(&r, INT_MISSING, &err) == 0, "%s", err.msg);
        cr_expect(r.parity_error > 0);
        cr_assert(attention_run(&r, &samples, &err) == 0, "%s", err.msg);
        cr_expect(eq(str, r.base.product_instruction, (char *)product_instruction(DT_BF16)));
        samples_release(&samples);
    }
}

Test(attention_study, parity_is_shown_at_a_context_that_fits)
{
    AttentionRow r;
    Err err;
    grid_row_init(attention_schema(), &r);
    r.base.config.context_length = 1000;
    r.base.config.threads = 1;
    cr_assert(attention_parity(&r, INT_MISSING, &err) == 0, "%s", err.msg);
    cr_expect(eq(i64, r.parity_context, 1000));
    cr_expect(eq(str, r.parity, "flash and plain, this shape"));
    cr_expect(r.parity_error > 0 && r.parity_error < 1e-5);
    cr_assert(attention_parity(&r, 24 << 20, &err) == 0, "%s", err.msg);
    cr_expect(r.parity_context < 1000 && 1000 % r.parity_context == 0);
    cr_expect(eq(str, r.parity, "flash and plain, a shorter context"));
}

Test(attention_study, the_first_columns_are_fixed)
{
    static const char *const first[] = {
        "impl",        "batch_size",     "num_heads",    "context_length", "head_dim",
        "causal",      "precision",      "forward_ms",   "backward_ms",    "both_ms",
        "saved_bytes", "peak_rss_bytes", "gflops_per_s", "status"};
    const Schema *s = attention_schema();
    for (size_t i = 0; i < COUNT_OF(first); i++)
        cr_expect(eq(str, (char *)s->fields[i].name, (char *)first[i]));
    for (size_t i = 0; i < s->count; i++)
        cr_expect(s->fields[i].doc && s->fields[i].unit, "%s", s->fields[i].name);
}

Test(attention_study, lists_multiply)
{
    const char *settings[] = {"defaults.batch_size=8", "impl=['plain', 'flash']", "causal=false",
                              "head_dim=[16, 32]", "threads=[1, 2]"};
    const ConfigCommand command = {.path = "/dev/null", .settings = {settings, COUNT_OF(settings)}};
    GridStudy s;
    Err err;
    cr_assert(grid_study_init(&s, &attention_verb, &command, &err) == 0, "%s", err.msg);
    AttentionRow *rows = s.rows;
    cr_assert(eq(sz, s.count, 8));
    cr_expect(eq(str, rows[0].base.row_id, "plain/b8/h1/t1024/d16/full/fp32/threads=1"));
    cr_expect(eq(str, rows[1].base.row_id, "plain/b8/h1/t1024/d16/full/fp32/threads=2"));
    cr_expect(eq(str, rows[2].base.row_id, "plain/b8/h1/t1024/d32/full/fp32/threads=1"));
    cr_expect(eq(str, rows[4].base.row_id, "flash/b8/h1/t1024/d16/full/fp32/threads=1"));
    cr_expect(eq(dbl, rows[0].base.model_flops, 12.0 * 8 * 1024 * 1024 * 16));
    grid_study_release(&s);
}

Test(attention_study, a_wrong_config_is_refused)
{
    static const char *const wrong[][2] = {
        {"[sweep]\nhead_dims = [16]\n",
         "a.toml:2: unknown key 'head_dims'; did you mean 'head_dim'?"},
        {"[defaults]\nhead_dim = [16]\n", "a.toml:2: head_dim is a list; lists belong in [sweep]"},
        {"[sweep]\nhead_dim = [16, 16]\n", "a.toml:2: head_dim lists '16' twice"},
        {"[sweep]\nhead_dim = 0\n", "a.toml:2: head_dim is 0, outside 1 to 65536"},
        {"[sweep]\nhead_dim = []\n", "a.toml:2: head_dim is an empty list"},
        {"[sweep]\nprecision = \"fp16\"\n",
         "a.toml:2: precision is 'fp16'; did you mean 'fp32'? It may be fp32 or bf16"},
    };
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        Grid g;
        Err err = {""};
        cr_expect(config_load_text(attention_config_file(), &g, wrong[i][0], strlen(wrong[i][0]),
                                   "a.toml", NULL, &err) == -1);
        cr_expect(eq(str, err.msg, (char *)wrong[i][1]));
    }
}

Test(attention_study, sizes_that_no_machine_has_are_counted_all_the_same)
{
    AttentionRow r;
    grid_row_init(attention_schema(), &r);
    text_set(r.impl, "plain");
    r.base.config.batch_size = r.base.config.context_length = 1 << 24;
    r.base.config.num_heads = r.head_dim = 1 << 16;
    attention_row_plan(&r);
    cr_expect(eq(i64, r.base.predicted_peak_bytes, INT64_C(1) << 62));
}
