/* test_model: whole models. Recomputation, poison and threads change no bit; the past does not see
 * the future, nobody sees padding. */
#include "model/bucketed.h"
#include "tests/support/odd_models.h"

#include <math.h>
#include <string.h>

/* The seen positions of x [BATCH, CONTEXT], one sequence after the other, then `filler` up to the
 * end. */
static void pack_seen(const int32_t *x, int32_t filler, int32_t *packed, int32_t *starts)
{
    size_t n = 0;
    for (size_t i = 0; i < BATCH * CONTEXT; i++) {
        if (i % CONTEXT == 0)
            starts[i / CONTEXT] = (int32_t)n;
        if (is_seen(i))
            packed[n++] = x[i];
    }
    starts[BATCH] = (int32_t)n;
    for (; n < BATCH * CONTEXT; n++)
        packed[n] = filler;
}

static void set_inputs(Model *m, const int32_t *tokens)
{
    const ModelConfig *c = &m->config;
    int32_t mask[BATCH * CONTEXT], packed[BATCH * CONTEXT], starts[BATCH + 1];
    for (size_t i = 0; i < BATCH * CONTEXT; i++)
        mask[i] = is_seen(i);
    if (m->record.sequences.starts) {
        pack_seen(tokens, 0, packed, starts);
        tokens = packed;
        model_set_starts(m, starts);
    }
    model_set_tokens(m, tokens);
    if (m->record.mask)
        model_set_mask(m, mask);
    if (!m->record.targets)
        return;
    size_t n = tensor_count(m->record.targets);
    int32_t *targets = integers(2, n, c->head == HEAD_LM ? c->vocab_size : c->num_labels);
    for (size_t i = 0; c->head == HEAD_LM && i < n; i++)
        if (!is_seen(i) || i % 7 == 3)
            targets[i] = -1;
    if (m->record.sequences.starts && c->head == HEAD_LM) {
        pack_seen(targets, -1, packed, starts);
        memcpy(targets, packed, n * sizeof *targets);
    }
    model_set_targets(m, targets);
    free(targets);
}

static ModelOptions training_options(RecomputeChoice rc, int threads)
{
    return (ModelOptions){.wants = {.batch = BATCH, .context = CONTEXT, .mask = true, .loss = true},
                          .backward = true,
                          .recompute = rc,
                          .threads = threads};
}

/* ---- nothing changes a bit ---- */

typedef struct Result {
    float loss;
    float *grads;
    size_t floats;
} Result;

static Result loss_and_gradients(const ModelConfig *c, const ModelOptions *o, bool poison)
{
    Model m;
    start(&m, c, o);
    m.exec.poison = poison;
    int32_t *tokens = integers(3, BATCH * CONTEXT, c->vocab_size);
    set_inputs(&m, tokens);
    free(tokens);
    model_forward(&m);
    model_backward(&m);
    Result r = {.loss = model_loss(&m), .floats = m.params.block_floats};
    r.grads = xmalloc(r.floats * sizeof *r.grads);
    memcpy(r.grads, m.params.grads, r.floats * sizeof *r.grads);
    model_release(&m);
    return r;
}

static void expect_variants_same(const ModelConfig *c)
{
    ModelOptions o = training_options(CHOOSE_NONE, 1);
    Result first = loss_and_gradients(c, &o, false);
    cr_assert(isfinite(first.loss) && first.loss > 0.5f, "a loss of %g", (double)first.loss);
    for (RecomputeChoice rc = CHOOSE_AUTO; rc <= CHOOSE_BLOCK; rc++)
        for (int threads = 1; threads <= 2; threads++)
            for (int poison = 0; poison <= 1; poison++) {
                o = training_options(rc, threads);
                o.pack_weights = poison; /* packed copies are to change nothing either */
                Result r = loss_and_gradients(c, &o, poison);
                bool same = r.loss == first.loss &&
                            memcmp(r.grads, first.grads, r.floats * sizeof *r.grads) == 0;
                cr_expect(same, "recompute choice %d, %d threads, poison %d: other results", rc,
                          threads, poison);
                free(r.grads);
            }
    free(first.grads);
}

Test(model, recomputation_poison_and_threads_change_nothing)
{
    ModelConfig gpt = odd_gpt(), distilbert = odd_encoder(&family_distilbert);
    ModelConfig bert = odd_encoder(&family_bert);
    expect_variants_same(&gpt);
    expect_variants_same(&distilbert);
    expect_variants_same(&bert);
}

/* ---- token types ---- */

/* Logits of one sequence; types NULL: none are recorded. With `swap`, the types' rows change
 * places. */
static void logits_of_types(const ModelConfig *c, const int32_t *types, bool swap, float *logits)
{
    Bucketed m;
    Err err;
    int32_t *tokens = integers(5, CONTEXT, c->vocab_size);
    RecordWants wants = {.batch = 1, .types = types != NULL, .logits = true};
    bucketed_plan(&m, c, &wants, (size_t[]){CONTEXT}, 1, false, 1);
    cr_assert(bucketed_alloc(&m, (ParamsMemory){0}, &err) == 0, "%s", err.msg);
    params_randomize(&m.params, 1, 1);
    if (swap) {
        ParamSpec spec = {.rows = 2, .cols = c->d_model};
        float *row = params_get(&m.params, spec, "embeddings.token_type_embeddings.weight")->data;
        for (size_t i = 0; i < c->d_model; i++) {
            float first = row[i];
            row[i] = row[c->d_model + i];
            row[c->d_model + i] = first;
        }
    }
    bucketed_forward(&m, 0, &(BucketInput){.tokens = tokens, .types = types});
    memcpy(logits, bucketed_logits(&m, 0), c->num_labels * sizeof *logits);
    bucketed_release(&m);
    free(tokens);
}

Test(model, token_types_choose_rows)
{
    ModelConfig c = odd_encoder(&family_bert);
    int32_t zeros[CONTEXT] = {0}, ones[CONTEXT], mixed[CONTEXT];
    float none[3], of_zeros[3], of_ones[3], swapped[3], of_mixed[3];
    for (size_t i = 0; i < CONTEXT; i++) {
        ones[i] = 1;
        mixed[i] = i >= 9;
    }
    logits_of_types(&c, NULL, false, none);
    logits_of_types(&c, zeros, false, of_zeros);
    logits_of_types(&c, ones, false, of_ones);
    logits_of_types(&c, NULL, true, swapped);
    logits_of_types(&c, mixed, false, of_mixed);
    cr_expect(memcmp(none, of_zeros, sizeof none) == 0, "types 0 are not the default");
    cr_expect(memcmp(of_ones, swapped, sizeof none) == 0, "types 1 are not the second row");
    cr_expect(memcmp(of_mixed, of_ones, sizeof none) != 0 &&
                  memcmp(of_mixed, of_zeros, sizeof none) != 0,
              "mixed types are all the same");
}

/* ---- nothing changes more than rounding ---- */

static void expect_nearly_same(const ModelConfig *c, const ModelOptions *some,
                               const ModelOptions *others, double loss_apart)
{
    Result a = loss_and_gradients(c, some, true), b = loss_and_gradients(c, others, true);
    double largest = 0, apart = 0, loss = (double)a.loss;
    for (size_t i = 0; i < a.floats; i++) {
        largest = fmax(largest, fabs((double)a.grads[i]));
        apart = fmax(apart, fabs((double)a.grads[i] - (double)b.grads[i]));
    }
    cr_expect(fabs(loss - (double)b.loss) <= loss_apart * loss, "%.9g, not %.9g", loss,
              (double)b.loss);
    cr_expect(largest > 0 && apart <= 1e-6 * largest, "gradients of %g apart by %g", largest,
              apart);
    free(a.grads);
    free(b.grads);
}

/* Unless hidden states are kept, the last layer of a classifier works on first tokens alone. */
Test(model, a_classifier_needs_first_tokens_only)
{
    ModelConfig distilbert = odd_encoder(&family_distilbert), bert = odd_encoder(&family_bert);
    ModelOptions first = training_options(CHOOSE_NONE, 2), all = first;
    all.wants.hidden = true;
    expect_nearly_same(&distilbert, &first, &all, 0);
    expect_nearly_same(&bert, &first, &all, 0);
}

Test(model, sequences_without_padding_give_what_padded_ones_give)
{
    ModelConfig gpt = odd_gpt(), distilbert = odd_encoder(&family_distilbert);
    for (RecomputeChoice rc = CHOOSE_AUTO; rc <= CHOOSE_BLOCK; rc++) {
        ModelOptions padded = training_options(rc, 2), packed = padded;
        packed.wants.mask = false;
        packed.wants.rows = BATCH * CONTEXT;
        expect_nearly_same(&gpt, &padded, &packed, 2e-7);
        expect_nearly_same(&distilbert, &padded, &packed, 2e-7);
        packed.wants.hidden = true;
        expect_nearly_same(&distilbert, &padded, &packed, 2e-7);
    }
}

/* Large enough that two threads are really used, in every op and in the update. */
Test(model, threads_change_nothing_in_a_larger_model)
{
    ModelConfig c = model_config_gpt(128, 2, 4, 3000, 64);
    Result r[2];
    for (int threads = 1; threads <= 2; threads++) {
        ModelOptions o = {.wants = {.batch = 4, .context = 64, .loss = true},
                          .backward = true,
                          .optimizer = true,
                          .threads = threads};
        Model m;
        start(&m, &c, &o);
        int32_t *tokens = integers(4, 256, c.vocab_size), *targets = integers(5, 256, c.vocab_size);
        model_set_tokens(&m, tokens);
        model_set_targets(&m, targets);
        free(tokens);
        free(targets);
        AdamW adam = adamw_defaults();
        for (int step = 0; step < 3; step++) {
            model_forward(&m);
            model_backward(&m);
            model_update(&m, &adam);
        }
        r[threads - 1] = (Result){model_loss(&m), NULL, m.params.block_floats};
        r[threads - 1].grads = xmalloc(m.params.block_floats * sizeof(float));
        memcpy(r[threads - 1].grads, m.params.weights, m.params.block_floats * sizeof(float));
        model_release(&m);
    }
    cr_expect(r[0].loss == r[1].loss);
    cr_expect(memcmp(r[0].grads, r[1].grads, r[0].floats * sizeof(float)) == 0);
    free(r[0].grads);
    free(r[1].grads);
}

/* ---- who sees whom ---- */

static ModelOptions hidden_options(bool mask)
{
    return (ModelOptions){
        .wants = {.batch = BATCH, .context = CONTEXT, .mask = mask, .hidden = true, .logits = true},
        .threads = 2};
}

/* All hidden states, [num_layers + 1][B*T, C], then the logits. Caller frees. */
static float *forward_of(const ModelConfig *c, bool mask, const int32_t *tokens, size_t *floats)
{
    ModelOptions o = hidden_options(mask);
    Model m;
    start(&m, c, &o);
    set_inputs(&m, tokens);
    model_forward(&m);
    size_t states = (c->num_layers + 1) * BATCH * CONTEXT * c->d_model;
    *floats = states + tensor_count(m.record.logits);
    float *out = xmalloc(*floats * sizeof *out), *next = out;
    for (size_t i = 0; i <= c->num_layers; i++, next += BATCH * CONTEXT * c->d_model)
        exec_read(m.record.hidden[i], next);
    exec_read(m.record.logits, next);
    model_release(&m);
    return out;
}

/* Row i of what forward_of returned as `state`; state num_layers + 1 is the logits. */
static const float *row_of(const ModelConfig *c, const float *out, size_t state, size_t i)
{
    size_t layers = c->num_layers + 1, width = state == layers ? c->vocab_size : c->d_model;
    return out + (state < layers ? state : layers) * BATCH * CONTEXT * c->d_model + i * width;
}

static bool row_same(const ModelConfig *c, const float *a, const float *b, size_t state, size_t i)
{
    size_t width = state == c->num_layers + 1 ? c->vocab_size : c->d_model;
    return memcmp(row_of(c, a, state, i), row_of(c, b, state, i), width * sizeof *a) == 0;
}

Test(model, a_run_may_end_at_any_hidden_state)
{
    ModelConfig c = odd_encoder(&family_bert);
    c.head = HEAD_NONE;
    const size_t floats = BATCH * CONTEXT * c.d_model;
    int32_t *tokens = integers(3, BATCH * CONTEXT, c.vocab_size);
    float *expected = xmalloc(floats * sizeof *expected), *got = xmalloc(floats * sizeof *got);
    ModelOptions o = {.wants = {.batch = BATCH, .context = CONTEXT, .mask = true}, .threads = 2};
    for (size_t state = 0; state <= c.num_layers; state++) {
        Model whole, cut;
        Err err;
        o.wants.hidden = true;
        start(&whole, &c, &o);
        set_inputs(&whole, tokens);
        model_forward(&whole);
        exec_read(whole.record.hidden[state], expected);
        o.wants.hidden = false;
        model_plan(&cut, &c, &o);
        model_end_at_hidden(&cut, state);
        cr_expect(state == c.num_layers || cut.schedule.count < whole.schedule.count);
        cr_assert(model_alloc(&cut, &err) == 0, "%s", err.msg);
        params_randomize(&cut.params, 1, o.threads);
        set_inputs(&cut, tokens);
        model_forward(&cut);
        exec_read(cut.record.hidden[state], got);
        cr_expect(memcmp(expected, got, floats * sizeof *got) == 0, "state %zu", state);
        model_release(&whole);
        model_release(&cut);
    }
    free(tokens);
    free(expected);
    free(got);
}

Test(model, the_past_does_not_see_the_future)
{
    ModelConfig c = odd_gpt();
    int32_t *tokens = integers(3, BATCH * CONTEXT, c.vocab_size);
    size_t floats;
    float *before = forward_of(&c, false, tokens, &floats);
    for (size_t t = 0; t < CONTEXT; t++) { /* in the middle sequence */
        int32_t *changed = integers(3, BATCH * CONTEXT, c.vocab_size);
        changed[CONTEXT + t] = (changed[CONTEXT + t] + 1) % (int32_t)c.vocab_size;
        float *after = forward_of(&c, false, changed, &floats);
        for (size_t state = 0; state <= c.num_layers + 1; state++)
            for (size_t i = 0; i < BATCH * CONTEXT; i++) {
                bool later = i / CONTEXT == 1 && i % CONTEXT >= t;
                bool reached = state == 0 ? i == CONTEXT + t : later;
                cr_assert(row_same(&c, before, after, state, i) == !reached,
                          "token %zu, state %zu, row %zu", t, state, i);
            }
        free(changed);
        free(after);
    }
    free(tokens);
    free(before);
}

static void expect_padding_unseen(const ModelConfig *c)
{
    int32_t *tokens = integers(3, BATCH * CONTEXT, c->vocab_size);
    size_t floats;
    float *before = forward_of(c, true, tokens, &floats);
    for (size_t i = 0; i < BATCH * CONTEXT; i++)
        if (!is_seen(i))
            tokens[i] = (tokens[i] + 1) % (int32_t)c->vocab_size;
    float *after = forward_of(c, true, tokens, &floats);
    size_t states = c->num_layers + (c->head == HEAD_LM ? 2 : 1), changed = 0;
    for (size_t state = 0; state < states; state++)
        for (size_t i = 0; i < BATCH * CONTEXT; i++) {
            bool same = row_same(c, before, after, state, i);
            cr_expect(same || !is_seen(i), "state %zu, row %zu sees padding", state, i);
            changed += !same;
        }
    cr_expect(changed > 0, "the changed tokens changed nothing");
    for (size_t i = 0; i < floats; i++)
        cr_assert(isfinite(after[i]));
    if (c->head == HEAD_CLASSIFIER) {
        size_t logits = BATCH * c->num_labels;
        cr_expect(
            memcmp(before + floats - logits, after + floats - logits, logits * sizeof *after) == 0,
            "the classifier sees padding");
    }
    free(tokens);
    free(before);
    free(after);
}

Test(model, nobody_sees_padding)
{
    ModelConfig gpt = odd_gpt(), distilbert = odd_encoder(&family_distilbert);
    ModelConfig bert = odd_encoder(&family_bert);
    expect_padding_unseen(&gpt);
    expect_padding_unseen(&distilbert);
    expect_padding_unseen(&bert);
}
