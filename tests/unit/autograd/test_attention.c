/* test_attention: forward and backward of every instruction set against doubles, over shapes at and
 * beside the tile edges, causal and not, with and without masks, in packed qkv and apart. */
#include "tests/support/low_ways.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const isas[] = {"generic", "avx2", "avx512"};

typedef struct Setup {
    Attention a;
    float *qkv, *out, *lse, *dout, *dqkv;
    int32_t *mask;
    size_t rows, C; /* B*T and H*D */
} Setup;

enum { MASK_NONE, MASK_RANDOM, MASK_FIRST_SEQUENCE };

static Setup setup_new(size_t B, size_t T, size_t H, size_t D, bool causal, int mask)
{
    Setup s = {.rows = B * T, .C = H * D};
    s.qkv = xmalloc(s.rows * 3 * s.C * sizeof(float));
    s.dqkv = xcalloc(s.rows * 3 * s.C, sizeof(float));
    s.out = xcalloc(s.rows * s.C, sizeof(float));
    s.dout = xmalloc(s.rows * s.C * sizeof(float));
    s.lse = xcalloc(B * H * T, sizeof(float));
    s.mask = xcalloc(s.rows, sizeof(*s.mask));
    kernels()->normal(s.qkv, s.rows * 3 * s.C, 3, T, 0, 0, 1);
    kernels()->normal(s.dout, s.rows * s.C, 4, T, 0, 0, 1);
    for (size_t i = 0; i < s.rows; i++)
        s.mask[i] = mask == MASK_RANDOM ? rng_uniform(5, T, i) < 0.6 : i >= T;
    s.a = (Attention){
        .B = B,
        .T = T,
        .H = H,
        .D = D,
        .q = s.qkv,
        .k = s.qkv + s.C,
        .v = s.qkv + 2 * s.C,
        .qkv_stride = 3 * s.C,
        .key_mask = mask == MASK_NONE ? NULL : s.mask,
        .causal = causal,
        .scale = 1.0f / sqrtf((float)D),
        .out = s.out,
        .lse = s.lse,
    };
    return s;
}

static void setup_free(Setup *s)
{
    free(s->qkv);
    free(s->dqkv);
    free(s->out);
    free(s->dout);
    free(s->lse);
    free(s->mask);
}

static void run_both(Setup *s, int threads)
{
    const Attention *a = &s->a;
    size_t bytes = attention_scratch_bytes(a, threads, false);
    char *scratch = scratch_new(bytes);
    attention_forward(a, threads, scratch);
    scratch_free(scratch, bytes);
    bytes = attention_scratch_bytes(a, threads, true);
    scratch = scratch_new(bytes);
    attention_backward(a, s->dout, s->dqkv, s->dqkv + s->C, s->dqkv + 2 * s->C, threads, scratch);
    scratch_free(scratch, bytes);
}

/* One of dq, dk, dv lies in every third C floats of a row. */
static double gradient_error(const Setup *s, size_t which, const double *expected)
{
    double worst = 0;
    for (size_t r = 0; r < s->rows; r++) {
        double e =
            ref_max_error(s->dqkv + r * 3 * s->C + which * s->C, expected + r * s->C, s->C, 1);
        worst = e > worst ? e : worst;
    }
    return worst;
}

static double lse_error(const Setup *s, const double *expected)
{
    double worst = 0;
    for (size_t i = 0; i < s->a.B * s->a.H * s->a.T; i++) {
        double e = s->lse[i] == expected[i] ? 0 : fabs(s->lse[i] - expected[i]);
        worst = e <= worst ? worst : e;
    }
    return worst;
}

static void check(const char *isa, size_t B, size_t T, size_t H, size_t D, bool causal, int mask)
{
    Setup s = setup_new(B, T, H, D, causal, mask);
    size_t n = s.rows * s.C;
    double *out = xcalloc(n, 8), *lse = xcalloc(B * H * T, 8), *d[3];
    for (size_t i = 0; i < 3; i++)
        d[i] = xcalloc(n, 8);
    ref_attention(&s.a, out, lse);
    ref_attention_backward(&s.a, s.dout, d[0], d[1], d[2]);
    run_both(&s, 1);
    double errors[] = {ref_max_error(s.out, out, n, 1), lse_error(&s, lse),
                       gradient_error(&s, 0, d[0]), gradient_error(&s, 1, d[1]),
                       gradient_error(&s, 2, d[2])};
    /* Largest seen: out 9.5e-7, lse 7.6e-7, dq 1.1e-6, dk 1.4e-6, dv 1.8e-6. */
    static const double allowed[] = {2e-6, 1.6e-6, 2.2e-6, 2.8e-6, 3.6e-6};
    for (size_t i = 0; i < COUNT_OF(errors); i++)
        cr_assert_leq(errors[i], allowed[i], "%s B%zu T%zu H%zu D%zu causal %d mask %d: %zu is %g",
                      isa, B, T, H, D, causal, mask, i, errors[i]);
    free(out);
    free(lse);
    for (size_t i = 0; i < 3; i++)
        free(d[i]);
    setup_free(&s);
}

static bool choose(const char *isa)
{
    Err err;
    return kernels_for(isa) && kernels_select(isa, &err) == 0;
}

static void check_shapes(const char *isa)
{
    static const size_t lengths[] = {1, 2, 7, 16, 31, 32, 33, 47, 48, 49, 64, 65, 100, 129, 290};
    static const size_t heads[][2] = {{1, 1},  {4, 8},  {2, 12}, {1, 16},
                                      {3, 36}, {1, 64}, {2, 80}, {1, 65}};
    if (!choose(isa))
        return;
    for (size_t t = 0; t < COUNT_OF(lengths); t++)
        for (size_t h = 0; h < COUNT_OF(heads); h++)
            for (int mask = MASK_NONE; mask <= MASK_FIRST_SEQUENCE; mask++)
                check(isa, 1 + (t + h) % 2, lengths[t], heads[h][0], heads[h][1], (t + h) % 3 != 0,
                      mask);
}

Test(attention, generic)
{
    check_shapes("generic");
}

Test(attention, avx2)
{
    check_shapes("avx2");
}

Test(attention, avx512)
{
    check_shapes("avx512");
}

/* With every instruction set, and heads of 8 and 16 channels, which some work without tiles, and
 * of `other`. */
static void check_heads(void (*check_head)(size_t D), size_t other)
{
    for (size_t i = 0; i < COUNT_OF(isas); i++)
        if (choose(isas[i])) {
            check_head(8);
            check_head(16);
            check_head(other);
        }
}

static void check_blind(size_t D)
{
    Setup s = setup_new(2, 40, 2, D, true, MASK_FIRST_SEQUENCE);
    run_both(&s, 1);
    for (size_t j = 0; j < 40 * s.C; j++)
        cr_assert_eq(s.out[j], 0);
    for (size_t j = 0; j < 40 * 3 * s.C; j++)
        cr_assert_eq(s.dqkv[j], 0);
    cr_assert_eq(s.lse[0], -INFINITY);
    setup_free(&s);
}

Test(attention, a_query_that_sees_nothing_gives_zeros)
{
    check_heads(check_blind, 20);
}

/* One key that is no number leaves no query that sees it with numbers. */
static void check_nan(size_t D)
{
    Setup s = setup_new(1, 40, 1, D, true, MASK_NONE);
    s.qkv[10 * 3 * s.C + s.C] = NAN;
    run_both(&s, 1);
    for (size_t t = 0; t < 40; t++)
        cr_assert(isnan(s.lse[t]) == (t >= 10) && isnan(s.out[t * D]) == (t >= 10), "query %zu", t);
    setup_free(&s);
}

Test(attention, a_key_that_is_no_number_spoils_the_queries_that_see_it)
{
    check_heads(check_nan, 20);
}

static void check_large_scores(size_t D)
{
    Setup s = setup_new(1, 50, 1, D, true, MASK_NONE);
    double out[50 * 32], lse[50];
    for (size_t j = 0; j < s.rows * 3 * s.C; j++)
        s.qkv[j] *= 30;
    ref_attention(&s.a, out, lse);
    run_both(&s, 1);
    /* Scores of some thousands: their rounding alone moves results of about 50; 2.8e-4 seen. */
    cr_assert_lt(ref_max_error(s.out, out, s.rows * s.C, 1), 6e-4);
    setup_free(&s);
}

Test(attention, scores_of_any_size)
{
    for (size_t i = 0; i < COUNT_OF(isas); i++)
        if (choose(isas[i])) {
            check_large_scores(8);
            check_large_scores(32);
        }
}

static void check_threads(const Attention *shape, size_t H, size_t KV, bool causal)
{
    static const int threads[] = {2, 3, 5, 16};
    Setup one = setup_new(shape->B, shape->T, H, shape->D, causal, MASK_RANDOM);
    one.a.KV = KV;
    run_both(&one, 1);
    for (size_t t = 0; t < COUNT_OF(threads); t++) {
        Setup s = setup_new(shape->B, shape->T, H, shape->D, causal, MASK_RANDOM);
        s.a.KV = KV;
        run_both(&s, threads[t]);
        cr_assert_eq(memcmp(one.out, s.out, s.rows * s.C * 4), 0);
        cr_assert_eq(memcmp(one.lse, s.lse, s.a.B * s.a.H * s.a.T * 4), 0);
        cr_assert_eq(memcmp(one.dqkv, s.dqkv, s.rows * 3 * s.C * 4), 0,
                     "B%zu T%zu H%zu of %zu D%zu causal %d, %d threads", s.a.B, s.a.T, H, KV, s.a.D,
                     causal, threads[t]);
        setup_free(&s);
    }
    setup_free(&one);
}

/* Of heads as many as threads, more and fewer, and of one; whole blocks of queries and not. */
Test(attention, the_same_bits_for_any_number_of_threads)
{
    static const Attention shapes[] = {{.B = 1, .T = 300, .D = 24},
                                       {.B = 1, .T = 512, .D = 16},
                                       {.B = 3, .T = 161, .D = 65},
                                       {.B = 1, .T = 293, .D = 8}};
    for (size_t i = 0; i < COUNT_OF(isas); i++)
        for (size_t s = 0; s < COUNT_OF(shapes) && choose(isas[i]); s++)
            for (size_t H = 1; H <= 4; H++)
                for (int causal = 0; causal <= 1; causal++) {
                    check_threads(&shapes[s], H, H, causal);
                    check_threads(&shapes[s], H, 1, causal);
                }
}

/* These rows alone. */
static Setup part_of(const Setup *s, Range rows)
{
    Setup part = *s;
    size_t qkv = rows.from * 3 * s->C, out = rows.from * s->C;
    part.a.B = 1;
    part.a.T = rows.to - rows.from;
    part.a.starts = NULL;
    part.a.q = s->qkv + qkv;
    part.a.k = s->qkv + s->C + qkv;
    part.a.v = s->qkv + 2 * s->C + qkv;
    part.a.out = s->out + out;
    part.a.lse += rows.from * s->a.H;
    part.dout += out;
    part.dqkv += qkv;
    return part;
}

static void check_parts(size_t D, int threads, bool causal)
{
    static const int32_t starts[] = {0, 0, 200, 200, 230, 231, 500};
    Setup all = setup_new(1, 500, 1, D, causal, MASK_NONE);
    Setup apart = setup_new(1, 500, 1, D, causal, MASK_NONE);
    all.a.B = COUNT_OF(starts) - 1;
    all.a.T = 269;
    all.a.starts = starts;
    run_both(&all, threads);
    for (size_t b = 0; b < all.a.B; b++) {
        Setup alone = part_of(&apart, sequence_rows(starts, 0, b));
        run_both(&alone, 1);
    }
    cr_assert_eq(memcmp(all.out, apart.out, all.rows * all.C * 4), 0);
    cr_assert_eq(memcmp(all.lse, apart.lse, all.rows * all.a.H * 4), 0);
    cr_assert_eq(memcmp(all.dqkv, apart.dqkv, all.rows * 3 * all.C * 4), 0);
    setup_free(&all);
    setup_free(&apart);
}

/* One head: fewer than threads, and work enough for them. */
static void check_lengths(size_t D)
{
    for (int threads = 1; threads <= 3; threads++) {
        check_parts(D, threads, false);
        check_parts(D, threads, true);
    }
}

Test(attention, sequences_of_any_lengths_give_the_bits_of_each_alone)
{
    check_heads(check_lengths, 40);
}

/* All threads work one head together, on one copy of its keys. */
Test(attention, scratch_has_a_head_once_if_threads_share_it)
{
    for (int product = DT_F32; product <= DT_BF16; product++) {
        Attention a = {.B = 1, .H = 1, .T = 1024, .D = 64, .product = (DType)product}, two = a;
        two.H = 2;
        const size_t one_thread = attention_scratch_bytes(&a, 1, true);
        const size_t two_threads = attention_scratch_bytes(&a, 2, true);
        cr_assert_gt(two_threads, one_thread);
        cr_assert_lt(two_threads, 2 * one_thread);
        cr_assert_eq(attention_scratch_bytes(&two, 2, true), 2 * one_thread);
    }
}

Test(attention, scratch_is_linear_in_the_context)
{
    for (int product = DT_F32; product <= DT_BF16; product++) {
        Attention a = {.D = 64, .T = 1024, .product = (DType)product}, longer = a;
        longer.T = 8192;
        for (int backward = 0; backward <= 1; backward++)
            cr_assert_leq((double)attention_scratch_bytes(&longer, 1, backward),
                          8.01 * (double)attention_scratch_bytes(&a, 1, backward));
    }
}
