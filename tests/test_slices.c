/* test_slices: which forward passes are divided by sequences, and that nobody can tell from the results. */
#include "../model/model.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum { CONTEXT = 19 };

static const ModelConfig encoder = {.type = MODEL_DISTILBERT,
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

static size_t slices_of(const ModelConfig *c, const ModelOptions *o)
{
    Model m;
    model_plan(&m, c, o);
    size_t count = m.plan.slices.count;
    model_release(&m);
    return count;
}

/* Inputs that differ from sequence to sequence; the b-th ends in b % 7 masked positions. */
static void set_inputs(Model *m, size_t batch)
{
    int32_t *tokens = xmalloc(2 * batch * CONTEXT * sizeof *tokens),
            *mask = tokens + batch * CONTEXT;
    for (size_t i = 0; i < batch * CONTEXT; i++) {
        tokens[i] = (int32_t)(rng_u64(7, 0, i) % m->config.vocab_size);
        mask[i] = i % CONTEXT < CONTEXT - i / CONTEXT % 7;
    }
    model_set_tokens(m, tokens);
    model_set_mask(m, mask);
    free(tokens);
}

/* Every hidden state and the logits, one behind the other. Caller frees. */
static float *outputs(size_t batch, int threads, bool poison, size_t *count)
{
    Err err;
    Model m;
    ModelOptions o = forward_options(batch, threads);
    model_plan(&m, &encoder, &o);
    cr_assert(model_alloc(&m, &err) == 0, "%s", err.msg);
    params_randomize(&m.params, 1, 1);
    m.exec.poison = poison;
    set_inputs(&m, batch);
    for (int run = 0; run < 2; run++)
        model_forward(&m);
    size_t state = batch * CONTEXT * encoder.d_model, states = encoder.num_layers + 1;
    *count = states * state + batch * encoder.num_labels;
    float *out = xmalloc(*count * sizeof *out);
    for (size_t i = 0; i < states; i++)
        exec_read(m.record.hidden[i], out + i * state);
    exec_read(m.record.logits, out + states * state);
    model_release(&m);
    return out;
}

Test(slices, results_are_the_same_bit_for_bit)
{
    size_t n, same_n;
    float *whole = outputs(12, 1, false, &n);
    static const int threads[] = {2, 3, 4, 6, 5};
    for (size_t i = 0; i < 2 * COUNT_OF(threads); i++) {
        float *divided = outputs(12, threads[i / 2], i % 2, &same_n);
        cr_assert_eq(n, same_n);
        cr_expect_eq(memcmp(whole, divided, n * sizeof *whole), 0, "%d threads", threads[i / 2]);
        free(divided);
    }
    free(whole);
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
        cr_expect_eq(slices_of(&encoder, &o), cases[i].slices, "batch %zu, %d threads",
                     cases[i].batch, cases[i].threads);
    }
}

Test(slices, none_where_sequences_meet)
{
    ModelOptions o = forward_options(8, 2);
    o.wants.loss = true; /* a mean over all sequences */
    cr_expect_eq(slices_of(&encoder, &o), 1);
    o.backward = true;
    cr_expect_eq(slices_of(&encoder, &o), 1);
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
