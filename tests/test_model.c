/* test_model: whole models. Recomputation, poison and threads change no bit; the past does not see the
 * future, nobody sees padding; sizes, FLOPs and memory agree with the closed forms; a tiny model learns,
 * and does so as PyTorch does (golden/make_training_golden.py). */
#include "../model/model.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "golden/training_golden.h"

/* ---- models of odd shapes, and their inputs ---- */

static ModelConfig odd_gpt(void)
{
    ModelConfig c = model_config_gpt(36, 2, 3, 101, 17);
    c.max_positions = 23;
    return c;
}

static ModelConfig odd_encoder(ModelType type)
{
    return (ModelConfig){.type = type,
                         .head = HEAD_CLASSIFIER,
                         .vocab_size = 67,
                         .d_model = 20,
                         .num_layers = 3,
                         .num_heads = 5,
                         .d_ff = 50,
                         .max_positions = 31,
                         .type_vocab_size = type == MODEL_BERT ? 2 : 0,
                         .num_labels = 3,
                         .act = ACT_GELU_ERF,
                         .norm_eps = 1e-12f};
}

enum { BATCH = 3, CONTEXT = 17 };

/* Whole numbers in [0, below). Caller frees. */
static int32_t *integers(uint64_t seed, size_t n, size_t below)
{
    int32_t *x = xmalloc(n * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = (int32_t)(rng_u64(seed, 0, i) % below);
    return x;
}

/* Row b sees CONTEXT - 5b positions, from the left. */
static bool is_seen(size_t i)
{
    return i % CONTEXT < CONTEXT - 5 * (i / CONTEXT);
}

/* The seen positions of x [BATCH, CONTEXT], one sequence after the other, then `filler` up to the end. */
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

static void start(Model *m, const ModelConfig *c, const ModelOptions *o)
{
    Err err;
    model_plan(m, c, o);
    cr_assert(model_alloc(m, &err) == 0, "%s", err.msg);
    params_randomize(&m->params, 1, o->threads);
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
    ModelConfig gpt = odd_gpt(), distilbert = odd_encoder(MODEL_DISTILBERT);
    ModelConfig bert = odd_encoder(MODEL_BERT);
    expect_variants_same(&gpt);
    expect_variants_same(&distilbert);
    expect_variants_same(&bert);
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
    ModelConfig distilbert = odd_encoder(MODEL_DISTILBERT), bert = odd_encoder(MODEL_BERT);
    ModelOptions first = training_options(CHOOSE_NONE, 2), all = first;
    all.wants.hidden = true;
    expect_nearly_same(&distilbert, &first, &all, 0);
    expect_nearly_same(&bert, &first, &all, 0);
}

Test(model, sequences_without_padding_give_what_padded_ones_give)
{
    ModelConfig gpt = odd_gpt(), distilbert = odd_encoder(MODEL_DISTILBERT);
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
    ModelConfig gpt = odd_gpt(), distilbert = odd_encoder(MODEL_DISTILBERT);
    ModelConfig bert = odd_encoder(MODEL_BERT);
    expect_padding_unseen(&gpt);
    expect_padding_unseen(&distilbert);
    expect_padding_unseen(&bert);
}

/* ---- sizes, FLOPs, memory: planned, never allocated ---- */

static void expect_counts(const ModelConfig *c, size_t batch, size_t context, bool backward)
{
    Model m;
    model_plan(&m, c,
               &(ModelOptions){.wants = {.batch = batch,
                                         .context = context,
                                         .loss = c->head != HEAD_NONE,
                                         .mask = c->type != MODEL_GPT2},
                               .backward = backward,
                               .threads = 2});
    double counted = schedule_flops(&m.schedule, false),
           formula = model_flops(c, batch, context, backward);
    cr_expect(counted == formula, "ops count %.17g FLOPs, the formula %.17g", counted, formula);
    cr_expect(schedule_flops(&m.schedule, true) >= counted);
    cr_expect(params_total(&m.params) == model_num_params(c), "%zu parameters, the formula has %zu",
              params_total(&m.params), model_num_params(c));
    model_release(&m);
}

Test(model, named_sizes_agree_with_the_closed_forms)
{
    for (size_t i = 0; i < num_model_sizes; i++)
        for (int backward = 0; backward <= 1; backward++) {
            const NamedSize *s = &model_sizes[i];
            ModelConfig c = model_config_gpt(s->d_model, s->num_layers, s->num_heads, 50257, 256);
            expect_counts(&c, 4, 256, backward);
            expect_counts(&c, 1, 1, backward);
        }
}

Test(model, other_shapes_agree_with_the_closed_forms)
{
    ModelConfig gpt = odd_gpt();
    gpt.tied_head = false;
    gpt.d_ff = 77;
    expect_counts(&gpt, 3, 17, true);
    for (ModelType type = MODEL_DISTILBERT; type <= MODEL_BERT; type++) {
        ModelConfig c = odd_encoder(type);
        expect_counts(&c, 3, 17, true);
        expect_counts(&c, 3, 17, false);
        c.head = HEAD_NONE;
        expect_counts(&c, 5, 31, false);
    }
}

static size_t predicted(const ModelOptions *o)
{
    ModelConfig c = model_config_gpt(768, 12, 12, 50257, 256);
    Model m;
    model_plan(&m, &c, o);
    size_t bytes = model_predicted_bytes(&m);
    model_release(&m);
    return bytes;
}

Test(model, predicted_bytes)
{
    const size_t weights = 124439808 * sizeof(float);
    ModelOptions o = {.wants = {.batch = 4, .context = 256, .loss = true}, .threads = 2};
    size_t forward = predicted(&o);
    o.backward = true;
    size_t both = predicted(&o);
    o.optimizer = true;
    size_t trained = predicted(&o);
    cr_expect(forward > weights && forward < weights * 5 / 4, "forward: %zu", forward);
    cr_expect(both > forward + weights && both < 5 * weights, "with backward: %zu", both);
    cr_expect(trained - both >= 2 * weights && trained - both < 2 * weights + (1 << 20));
    o.recompute = CHOOSE_BLOCK;
    size_t block = predicted(&o);
    o.recompute = CHOOSE_AUTO;
    o.memory_limit = trained;
    cr_expect(predicted(&o) == trained, "blocks are recomputed although there is room");
    o.memory_limit = trained - 1;
    cr_expect(predicted(&o) == block && block < trained,
              "too little memory, and no block is rerun");
}

/* ---- weights ---- */

static double deviation(const float *w, size_t n)
{
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)w[i];
    for (size_t i = 0; i < n; i++)
        squares += ((double)w[i] - sum / (double)n) * ((double)w[i] - sum / (double)n);
    return sqrt(squares / (double)n);
}

static void expect_initial(const Param *q, const float *w, const ModelConfig *c)
{
    size_t n = tensor_count(&q->tensor);
    bool is_projection = strstr(q->name, "c_proj.weight");
    if (q->spec.cols == 0) {
        float constant = strstr(q->name, "ln_") && strstr(q->name, "weight") ? 1 : 0;
        for (size_t i = 0; i < n; i++)
            cr_assert(w[i] == constant, "%s[%zu] is %g", q->name, i, (double)w[i]);
        return;
    }
    double want = is_projection ? 0.02 / sqrt(2.0 * (double)c->num_layers) : 0.02;
    double got = deviation(w, n),
           allowed = 4 * want / sqrt(2.0 * (double)n); /* 4 standard errors */
    cr_expect(fabs(got - want) < allowed, "%s: deviation %g, not %g", q->name, got, want);
}

Test(model, initial_weights)
{
    ModelConfig c = model_config_gpt(128, 3, 4, 3000, 64);
    Params p[2];
    for (int i = 0; i < 2; i++) {
        Err err;
        Graph g;
        Record r;
        graph_init(&g);
        params_init(&p[i]);
        model_record(&g, &c, &p[i], &(RecordWants){.batch = 1, .context = 8}, &r);
        record_release(&r);
        graph_release(&g);
        cr_assert(params_alloc(&p[i], (ParamsMemory){0}, &err) == 0, "%s", err.msg);
        params_randomize(&p[i], 7, i + 1);
    }
    for (size_t i = 0; i < p[0].count; i++)
        expect_initial(p[0].list[i], p[0].weights + p[0].list[i]->offset, &c);
    cr_expect(memcmp(p[0].weights, p[1].weights, p[0].block_floats * sizeof(float)) == 0,
              "the weights depend on the number of threads");
    params_randomize(&p[1], 8, 1);
    cr_expect(memcmp(p[0].weights, p[1].weights, p[0].block_floats * sizeof(float)) != 0,
              "the weights do not depend on the seed");
    params_release(&p[0]);
    params_release(&p[1]);
}

/* ---- learning ---- */

static ModelOptions learning_options(size_t batch, size_t context)
{
    return (ModelOptions){.wants = {.batch = batch, .context = context, .loss = true},
                          .backward = true,
                          .optimizer = true,
                          .pack_weights = true, /* so that copies of old weights would show */
                          .threads = 2};
}

Test(model, memorises_a_batch)
{
    ModelConfig c = odd_gpt();
    ModelOptions o = learning_options(BATCH, CONTEXT);
    Model m;
    start(&m, &c, &o);
    int32_t *tokens = integers(3, BATCH * CONTEXT, c.vocab_size);
    int32_t *targets = integers(4, BATCH * CONTEXT, c.vocab_size);
    model_set_tokens(&m, tokens);
    model_set_targets(&m, targets);
    AdamW adam = adamw_defaults();
    adam.learning_rate = 3e-3f;
    float first = 0;
    for (int step = 0; step < 300; step++) {
        model_forward(&m);
        first = step == 0 ? model_loss(&m) : first;
        model_backward(&m);
        model_update(&m, &adam);
    }
    cr_expect(fabsf(first - logf(101)) < 0.1f, "the first loss is %g, that of guessing %g",
              (double)first, log(101));
    cr_expect(model_loss(&m) < 0.02f, "the loss is still %g", (double)model_loss(&m));
    free(tokens);
    free(targets);
    model_release(&m);
}

/* As in make_training_golden.py. */
static uint32_t hash16(const char *name, size_t i)
{
    uint32_t h = 2166136261u;
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 16777619u;
    h = (h ^ (uint32_t)i) * 2654435761u;
    return (h ^ h >> 15) * 2246822519u >> 16;
}

static void golden_integers(const char *name, int32_t *x)
{
    for (size_t i = 0; i < GOLDEN_BATCH * GOLDEN_CONTEXT; i++)
        x[i] = (int32_t)(hash16(name, i) % GOLDEN_VOCABULARY);
}

static void set_golden_weights(Params *p)
{
    for (size_t k = 0; k < p->count; k++) {
        const Param *q = p->list[k];
        bool norm_weight = q->spec.cols == 0 && strstr(q->name, "ln_") && strstr(q->name, "weight");
        for (size_t i = 0; i < tensor_count(&q->tensor); i++)
            p->weights[q->offset + i] =
                (float)hash16(q->name, i) * 0x1p-18f - 0.125f + (norm_weight ? 1 : 0);
    }
    params_touched(p);
}

/* Largest relative distance of the first losses from PyTorch's. */
static double golden_distance(void)
{
    ModelConfig c = model_config_gpt(GOLDEN_CHANNELS, GOLDEN_LAYERS, GOLDEN_HEADS,
                                     GOLDEN_VOCABULARY, GOLDEN_CONTEXT);
    c.max_positions = GOLDEN_CONTEXT;
    ModelOptions o = learning_options(GOLDEN_BATCH, GOLDEN_CONTEXT);
    Model m;
    start(&m, &c, &o);
    set_golden_weights(&m.params);
    int32_t ids[GOLDEN_BATCH * GOLDEN_CONTEXT];
    golden_integers("tokens", ids);
    model_set_tokens(&m, ids);
    golden_integers("targets", ids);
    model_set_targets(&m, ids);
    AdamW adam = adamw_defaults();
    adam.learning_rate = 3e-3f;
    adam.weight_decay = 0.1f;
    double worst = 0;
    for (size_t step = 0; step < COUNT_OF(golden_losses); step++) {
        model_forward(&m);
        double loss = (double)model_loss(&m), off = fabs(loss / golden_losses[step] - 1);
        worst = fmax(worst, off);
        model_backward(&m);
        model_update(&m, &adam);
    }
    model_release(&m);
    return worst;
}

Test(model, learns_as_pytorch_does)
{
    const char *const isas[] = {"generic", "avx2", "avx512"};
    Err err;
    for (size_t i = 0; i < COUNT_OF(isas); i++)
        if (kernels_for(isas[i]) && kernels_select(isas[i], &err) == 0) {
            double off = golden_distance();
            cr_log_info("%s: losses are off by at most %.2e", isas[i], off);
            cr_expect(off < 7e-7, "%s: losses are off by %.2e", isas[i],
                      off); /* observed: 1.7e-7 */
        }
}
