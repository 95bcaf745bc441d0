/* test_slices: which forward passes are divided, by sequences or by the rows of one, and that
 * results do not show it. */
#include "model/families/shapes.h"
#include "model/model.h"
#include "tests/support/low_ways.h"

#include <criterion/criterion.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum { CONTEXT = 19 };

static const ModelConfig encoder = {.family = &family_distilbert,
                                    .head = HEAD_CLASSIFIER,
                                    .vocab_size = 67,
                                    .d_model = 24,
                                    .num_layers = 2,
                                    .num_heads = 3,
                                    .d_ff = 50,
                                    .max_positions = 31,
                                    .num_labels = 3,
                                    .act = ACT_GELU_ERF,
                                    .norm_eps = 1e-12f};

static ModelOptions forward_options(size_t batch, int threads)
{
    return (ModelOptions){
        .wants = {.batch = batch, .context = CONTEXT, .mask = true, .hidden = true, .logits = true},
        .pack_weights = true,
        .threads = threads};
}

/* The encoder without its head, where only attention mixes rows, and of a size that pays. */
static ModelConfig headless(size_t layers)
{
    ModelConfig c = encoder;
    c.head = HEAD_NONE;
    c.d_model = 48;
    c.num_layers = layers;
    c.max_positions = 128;
    return c;
}

static ModelOptions one_sequence(size_t context, int threads)
{
    return (ModelOptions){.wants = {.batch = 1, .context = context, .mask = true, .hidden = true},
                          .pack_weights = true,
                          .threads = threads};
}

static Slices slices_of(const ModelConfig *c, const ModelOptions *o)
{
    Model m;
    model_plan(&m, c, o);
    Slices s = m.plan.slices; /* its numbers; the tensors go with the model */
    model_release(&m);
    return s;
}

/* Inputs that differ from sequence to sequence; the b-th ends in (b + batch) % 7 masked
 * positions. */
static void set_inputs(Model *m, const RecordWants *want)
{
    size_t T = want->context, count = want->batch * T;
    int32_t *tokens = xmalloc(2 * count * sizeof *tokens), *mask = tokens + count;
    for (size_t i = 0; i < count; i++) {
        tokens[i] = (int32_t)(rng_u64(7, 0, i) % m->config.vocab_size);
        mask[i] = i % T < T - (i / T + want->batch) % 7;
    }
    model_set_tokens(m, tokens);
    if (m->record.mask)
        model_set_mask(m, mask);
    free(tokens);
}

/* Every hidden state and the logits, one behind the other. Caller frees. */
static float *outputs(const ModelConfig *c, const ModelOptions *o, bool poison, size_t *count)
{
    Err err;
    Model m;
    model_plan(&m, c, o);
    cr_assert(model_alloc(&m, &err) == 0, "%s", err.msg);
    params_randomize(&m.params, 1, 1);
    m.exec.poison = poison;
    set_inputs(&m, &o->wants);
    for (int run = 0; run < 2; run++)
        model_forward(&m);
    size_t state = o->wants.batch * o->wants.context * c->d_model, states = c->num_layers + 1;
    *count = states * state + (o->wants.logits ? o->wants.batch * c->num_labels : 0);
    float *out = xmalloc(*count * sizeof *out);
    for (size_t i = 0; i < states; i++)
        exec_read(m.record.hidden[i], out + i * state);
    if (o->wants.logits)
        exec_read(m.record.logits, out + states * state);
    model_release(&m);
    return out;
}

/* By o->threads as by one, and with the memory of the dead poisoned as without. */
static void expect_same(const ModelConfig *c, ModelOptions o)
{
    ModelOptions alone = o;
    alone.threads = 1;
    size_t n, same_n;
    float *whole = outputs(c, &alone, false, &n);
    for (int poison = 0; poison <= 1; poison++) {
        float *divided = outputs(c, &o, poison, &same_n);
        cr_assert_eq(n, same_n);
        cr_expect_eq(memcmp(whole, divided, n * sizeof *whole), 0, "batch %zu x %zu, %d threads",
                     o.wants.batch, o.wants.context, o.threads);
        free(divided);
    }
    free(whole);
}

Test(slices, results_are_the_same_bit_for_bit)
{
    static const int threads[] = {2, 3, 4, 6, 5};
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        expect_same(&encoder, forward_options(12, threads[i]));
}

Test(slices, rows_of_one_sequence_are_the_same_bit_for_bit)
{
    static const struct {
        size_t context, parts;
        int threads;
    } cases[] = {{32, 2, 2}, {128, 2, 2}, {96, 3, 3}, {128, 4, 5}, {34, 2, 2}};
    ModelConfig c = headless(6);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        ModelOptions o = one_sequence(cases[i].context, cases[i].threads);
        Slices s = slices_of(&c, &o);
        cr_expect(s.by_row && s.count == cases[i].parts, "%zu rows, %d threads: %zu parts",
                  cases[i].context, cases[i].threads, s.count);
        expect_same(&c, o);
    }
}

/* Whatever format qkv is stored in. */
Test(slices, small_formats_are_the_same_bit_for_bit)
{
    FOR_EACH_WAY(way)
    for (int p = 0; p < NUM_PRECISIONS; p++) {
        ModelConfig c = headless(6), texts = encoder;
        ModelOptions o = one_sequence(96, 3);
        Err err;
        if (precision_takes((Precision)p, &c, &err) != 0) { /* whole groups of inputs */
            c.d_model = texts.d_model = 96;
            c.d_ff = texts.d_ff = 224;
        }
        o.precision = (Precision)p;
        Slices s = slices_of(&c, &o);
        cr_expect(s.by_row && s.count == 3, "%s: %zu parts", precision_name(o.precision), s.count);
        expect_same(&c, o);
        o = forward_options(12, 4);
        o.precision = (Precision)p;
        expect_same(&texts, o);
    }
}

/* Heads of 16 and of 8 channels; half of 40 or 66 rows ends within a vector of queries. */
Test(slices, causal_rows_without_a_mask_are_the_same_bit_for_bit)
{
    static const struct {
        size_t heads, context;
    } cases[] = {{3, 96}, {6, 96}, {6, 40}, {6, 66}, {3, 66}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        ModelConfig c = model_config_gpt(48, 6, cases[i].heads, 67, 128);
        c.head = HEAD_NONE;
        ModelOptions o = one_sequence(cases[i].context, 2);
        o.wants.mask = false;
        Slices s = slices_of(&c, &o);
        cr_expect(s.by_row && s.count == 2, "%zu rows: %zu parts", cases[i].context, s.count);
        expect_same(&c, o);
    }
}

/* A team smaller than the number of parts works several of them. */
Test(slices, rows_need_no_thread_each)
{
    ModelConfig c = headless(6);
    omp_set_max_active_levels(1);
#pragma omp parallel num_threads(2)
#pragma omp single
    expect_same(&c, one_sequence(64, 2));
}

Test(slices, rows_stay_together_where_it_does_not_pay)
{
    ModelConfig small = headless(1), large = headless(2), classifier = headless(6);
    ModelOptions o = one_sequence(128, 2), odd = one_sequence(37, 2), few = one_sequence(16, 2);
    cr_expect_eq(slices_of(&classifier, &few).count, 1, "few rows");
    cr_expect_eq(slices_of(&classifier, &odd).count, 1, "rows that do not divide");
    large.d_model = 240;
    large.num_heads = 4;
    large.d_ff = 960;
    cr_expect_eq(slices_of(&large, &o).count, 1, "steps worth threads of their own");
    classifier.head = HEAD_CLASSIFIER;
    o.wants.logits = true;
    cr_expect_eq(slices_of(&classifier, &o).count, 1, "a head reads one row");
    o = one_sequence(32, 2);
    small.d_model = 24;
    cr_expect_eq(slices_of(&small, &o).count, 1, "over before a thread is woken");
}

Test(slices, one_for_each_thread_where_the_batch_divides)
{
    static const struct {
        size_t batch, slices;
        int threads;
    } cases[] = {{8, 1, 1}, {8, 2, 2}, {8, 4, 4}, {9, 1, 2},
                 {9, 3, 3}, {8, 1, 3}, {1, 1, 2}, {2, 1, 2} /* 19 rows a slice are too few */,
                 {4, 2, 2}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        ModelOptions o = forward_options(cases[i].batch, cases[i].threads);
        cr_expect_eq(slices_of(&encoder, &o).count, cases[i].slices, "batch %zu, %d threads",
                     cases[i].batch, cases[i].threads);
    }
}

Test(slices, none_where_sequences_meet)
{
    ModelOptions o = forward_options(8, 2);
    o.wants.loss = true; /* a mean over all sequences */
    cr_expect_eq(slices_of(&encoder, &o).count, 1);
    o.backward = true;
    cr_expect_eq(slices_of(&encoder, &o).count, 1);
}

Test(slices, memory_is_that_of_the_whole_batch)
{
    Model whole, divided;
    ModelOptions one = forward_options(12, 1), four = forward_options(12, 4);
    model_plan(&whole, &encoder, &one);
    model_plan(&divided, &encoder, &four);
    /* Kept results share no memory with others in a divided plan; here they are most of it. */
    double ratio = (double)divided.plan.arena_bytes / (double)whole.plan.arena_bytes;
    cr_expect(ratio > 0.95 && ratio < 1.3, "%zu bytes divided, %zu whole", divided.plan.arena_bytes,
              whole.plan.arena_bytes);
    model_release(&whole);
    model_release(&divided);
}
