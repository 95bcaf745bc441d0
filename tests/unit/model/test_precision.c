/* test_precision: whole models in every precision: how far from fp32 they are, that neither threads
 * nor masked positions change a bit, that formats cost the memory they promise, and that emulation
 * is called by its name. Each instruction set of this CPU is tried. */
#include "model/precision.h"

#include <criterion/criterion.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "autograd/ops.h"
#include "tests/support/low_ways.h"
#include "tests/support/odd_models.h"

enum { TOKENS = BATCH * CONTEXT };

static const char *const sets[] = {"generic", "avx2", "avx512"};

/* Puts the set in use; false where this CPU lacks it. */
static bool use_set(const char *isa)
{
    Err err;
    return kernels_for(isa) && kernels_select(isa, &err) == 0;
}

/* ---- models whose matrices end inside a tile and go over a slice of packed columns ---- */

static ModelConfig gpt(void)
{
    ModelConfig c = model_config_gpt(76, 2, 4, 401, CONTEXT);
    c.max_positions = 23;
    return c;
}

static ModelConfig encoder(const Family *family)
{
    ModelConfig c = odd_encoder(family);
    c.d_model = 76;
    c.num_layers = 2;
    c.num_heads = 4;
    c.d_ff = 205;
    return c;
}

/* The model with whole groups of inputs, where the precision wants them. */
static ModelConfig suited(ModelConfig c, Precision p)
{
    Err err;
    if (precision_takes(p, &c, &err) != 0) {
        c.d_model = 64;
        c.d_ff = 224;
    }
    return c;
}

/* Tokens by seed; targets are the next token, or labels, and padding has none. */
static void set_inputs(Model *m, uint64_t hidden_seed)
{
    const ModelConfig *c = &m->config;
    int32_t tokens[TOKENS], mask[TOKENS], targets[TOKENS];
    for (size_t i = 0; i < TOKENS; i++) {
        mask[i] = is_seen(i);
        tokens[i] = (int32_t)(rng_u64(mask[i] ? 3 : hidden_seed, 0, i) % c->vocab_size);
        targets[i] = mask[i] ? (int32_t)(rng_u64(4, 0, i) % c->vocab_size) : -1;
        if (c->head == HEAD_CLASSIFIER)
            targets[i] = (int32_t)(i % c->num_labels);
    }
    model_set_tokens(m, tokens);
    model_set_mask(m, mask);
    model_set_targets(m, targets);
}

static ModelOptions options(Precision p, int threads)
{
    return (ModelOptions){.wants = {.batch = BATCH,
                                    .context = CONTEXT,
                                    .mask = true,
                                    .loss = true,
                                    .hidden = true,
                                    .logits = true},
                          .precision = p,
                          .threads = threads};
}

static void start_poisoned(Model *m, const ModelConfig *c, const ModelOptions *o)
{
    start(m, c, o);
    m->exec.poison = true;
}

/* Hidden states [num_layers + 1][B*T, C] and logits of a forward pass, and its loss. */
typedef struct Forward {
    float loss;
    float *states, *logits;
    size_t state_floats, num_states, num_logits;
} Forward;

static void forward_release(Forward *f)
{
    free(f->states);
    free(f->logits);
}

static Forward forward_of(const ModelConfig *c, const ModelOptions *o, uint64_t hidden_seed)
{
    Model m;
    start_poisoned(&m, c, o);
    set_inputs(&m, hidden_seed);
    model_forward(&m);
    Forward f = {.loss = model_loss(&m),
                 .state_floats = TOKENS * c->d_model,
                 .num_states = c->num_layers + 1,
                 .num_logits = tensor_count(m.record.logits)};
    f.states = xmalloc(f.num_states * f.state_floats * sizeof(float));
    f.logits = xmalloc(f.num_logits * sizeof(float));
    for (size_t i = 0; i < f.num_states; i++)
        exec_read(m.record.hidden[i], f.states + i * f.state_floats);
    exec_read(m.record.logits, f.logits);
    model_release(&m);
    return f;
}

/* |a - b| / |b| in the Euclidean norm. */
static double distance(const float *a, const float *b, size_t n)
{
    double difference = 0, norm = 0;
    for (size_t i = 0; i < n; i++) {
        difference += pow((double)a[i] - (double)b[i], 2);
        norm += pow((double)b[i], 2);
    }
    return sqrt(difference / norm);
}

/* ---- names ---- */

Test(precision, names)
{
    char names[96] = "";
    Precision p;
    Err err;
    for (int i = 0; i < NUM_PRECISIONS; i++) {
        const char *name = precision_name((Precision)i);
        cr_expect(precision_parse(name, &p, &err) == 0 && p == (Precision)i);
        strcat(strcat(names, i ? "|" : ""), name);
    }
    cr_expect_str_eq(names, PRECISION_NAMES);
    cr_expect(precision_parse("fp8", &p, &err) == -1);
    cr_expect_str_eq(err.msg, "'fp8' is no precision: " PRECISION_NAMES);
}

/* ---- what is native is a matter of features ---- */

static void expect_support(const char *isa, const char *hidden, const Support *wanted)
{
    Err err;
    if (!kernels_for(isa))
        return;
    setenv("TARE_CPU", hidden, 1);
    cr_assert(kernels_select(isa, &err) == 0, "%s", err.msg);
    for (int p = 0; p < NUM_PRECISIONS; p++)
        cr_expect(precision_support((Precision)p) == wanted[p], "%s on %s without %s is %s",
                  precision_name((Precision)p), isa, hidden,
                  support_name(precision_support((Precision)p)));
}

Test(precision, without_instructions_a_format_is_converted_or_emulated)
{
    const Support bare[] = {SUPPORT_NATIVE, SUPPORT_CONVERT, SUPPORT_CONVERT, SUPPORT_EMULATED,
                            SUPPORT_NATIVE, SUPPORT_NATIVE,  SUPPORT_NATIVE};
    const char *all = "-avx_vnni,-avx512_bf16,-avx512_fp16,-avx512_vnni,-amx_bf16,-amx_int8";
    expect_support("avx512", all, bare);
    expect_support("avx2", all, bare);
    const Support generic[] = {SUPPORT_NATIVE,   SUPPORT_EMULATED, SUPPORT_CONVERT,
                               SUPPORT_EMULATED, SUPPORT_EMULATED, SUPPORT_EMULATED,
                               SUPPORT_EMULATED};
    expect_support("generic", "", generic);
}

/* qkv is stored in the format of the products, or in that of all activations. */
static void expect_attention(const Graph *g, DType product, DType activations)
{
    size_t seen = 0;
    DType wanted = product == DT_F32 ? activations : product;
    for (size_t i = 0; i < g->count; i++) {
        const Tensor *t = g->nodes[i];
        if (t->op != &op_attention_def)
            continue;
        cr_expect_eq(t->in[0]->dtype, wanted, "%s for %s", dtype_name(t->in[0]->dtype),
                     dtype_name(wanted));
        seen++;
    }
    cr_expect(seen > 0);
}

static void expect_attention_of(const ModelConfig *c, Precision p, bool backward)
{
    static const DType native[] = {DT_F32, DT_F32, DT_BF16, DT_BF16, DT_BF16, DT_BF16, DT_BF16};
    bool small = product_support(DT_BF16) == SUPPORT_NATIVE;
    ModelOptions o = options(p, 1);
    Model m;
    o.backward = o.wants.loss = backward;
    model_plan(&m, c, &o);
    expect_attention(&m.graph, small ? native[p] : DT_F32, precision_activations(p));
    model_release(&m);
}

Test(precision, attention_is_bf16_where_that_is_native)
{
    const ModelConfig models[] = {encoder(&family_distilbert), gpt()};
    FOR_EACH_WAY(way)
    for (int p = 0; p < NUM_PRECISIONS; p++)
        for (size_t i = 0; i < COUNT_OF(models); i++)
            for (int backward = 0; backward <= precision_has_backward((Precision)p); backward++)
                expect_attention_of(&models[i], (Precision)p, backward);
}

/* Mixed included: no text asks for an instruction that no kernel has. */
Test(precision, what_is_missing_is_what_a_kernel_would_use)
{
    cr_expect_str_eq(precision_missing(PRECISION_BF16), "vdpbf16ps (AVX512_BF16)");
    cr_expect_str_eq(precision_missing(PRECISION_MIXED), "vdpbf16ps (AVX512_BF16)");
    cr_expect_str_eq(precision_missing(PRECISION_INT8), "vpmaddwd (AVX2)");
}

Test(precision, a_layer_too_wide_for_int8_is_no_abort)
{
    ModelConfig c = encoder(&family_distilbert);
    const char *refusal = "int8 takes at most 133144 inputs of a layer, this model has 133145";
    Err err = {""};
    Model m;
    c.d_ff = 133144;
    cr_expect_eq(precision_takes(PRECISION_INT8, &c, &err), 0);
    c.d_ff++;
    for (int p = 0; p < NUM_PRECISIONS; p++)
        cr_expect_eq(precision_takes((Precision)p, &c, &err), p >= PRECISION_INT8 ? -1 : 0);
    cr_expect_eq(precision_takes(PRECISION_INT8, &c, &err), -1);
    cr_expect_str_eq(err.msg, refusal);
    ModelOptions o = options(PRECISION_INT8, 1);
    model_plan(&m, &c, &o);
    err.msg[0] = '\0';
    cr_expect_eq(model_alloc(&m, &err), -1);
    cr_expect_str_eq(err.msg, refusal);
    model_release(&m);
}

Test(precision, inputs_of_no_whole_groups_are_named)
{
    ModelConfig c = model_config_gpt(64, 2, 4, 401, CONTEXT);
    Err err = {""};
    cr_expect_eq(precision_takes(PRECISION_Q8_0, &c, &err), 0);
    c.head_dim = 20;
    cr_expect_eq(precision_takes(PRECISION_Q8_0, &c, &err), -1);
    cr_expect_str_eq(
        err.msg, "q8_0 takes inputs of a layer by groups of 32, and num_heads x head_dim is 80");
    c.head_dim = 0;
    c.d_ff = 100;
    cr_expect_eq(precision_takes(PRECISION_Q4_0, &c, &err), -1);
    cr_expect_str_eq(err.msg, "q4_0 takes inputs of a layer by groups of 32, and d_ff is 100");
}

/* ---- distance from fp32 ---- */

/* The largest distances seen on any instruction set, of a hidden state, of the logits and of the
 * loss. */
typedef struct Distances {
    double state, logits, loss;
} Distances;

static Distances farther(Distances a, Distances b)
{
    return (Distances){fmax(a.state, b.state), fmax(a.logits, b.logits), fmax(a.loss, b.loss)};
}

static Distances distances(const Forward *f, const Forward *fp32)
{
    Distances d = {0, distance(f->logits, fp32->logits, f->num_logits),
                   fabs((double)f->loss - (double)fp32->loss) / (double)fp32->loss};
    for (size_t i = 0; i < f->num_states; i++) {
        size_t at = i * f->state_floats;
        d.state = fmax(d.state, distance(f->states + at, fp32->states + at, f->state_floats));
    }
    return d;
}

static void expect_near_fp32(const ModelConfig *c, const Distances observed[NUM_PRECISIONS])
{
    const double factor = 3;
    for (int p = PRECISION_FP16; p < NUM_PRECISIONS; p++) {
        Distances worst = {0};
        const ModelConfig m = suited(*c, (Precision)p);
        for (size_t i = 0; i < COUNT_OF(sets); i++) {
            if (!use_set(sets[i]))
                continue;
            ModelOptions o = options(PRECISION_FP32, 1);
            Forward fp32 = forward_of(&m, &o, 5);
            o.precision = (Precision)p;
            Forward f = forward_of(&m, &o, 5);
            Distances d = distances(&f, &fp32);
            cr_expect(d.state > 1e-5 && d.logits > 1e-5, "%s on %s is fp32",
                      precision_name((Precision)p), sets[i]);
            worst = farther(worst, d);
            forward_release(&fp32);
            forward_release(&f);
        }
        cr_log_info("%s: states %.2e, logits %.2e, loss %.2e", precision_name((Precision)p),
                    worst.state, worst.logits, worst.loss);
        cr_expect(worst.state < factor * observed[p].state &&
                      worst.logits < factor * observed[p].logits &&
                      worst.loss < factor * observed[p].loss,
                  "%s: states %.2e, logits %.2e, loss %.2e", precision_name((Precision)p),
                  worst.state, worst.logits, worst.loss);
    }
}

/* Observed; a loss is a mean of many, in which errors cancel by luck, so here it is the worse of
 * the two models'. */
Test(precision, gpt_is_near_fp32)
{
    ModelConfig c = gpt();
    expect_near_fp32(&c, (Distances[]){[PRECISION_FP16] = {6.2e-4, 6.7e-4, 5.1e-6},
                                       [PRECISION_BF16] = {4.9e-3, 5.3e-3, 4.1e-5},
                                       [PRECISION_MIXED] = {2.5e-3, 3.3e-3, 4.1e-5},
                                       [PRECISION_INT8] = {1.2e-2, 1.4e-2, 5.0e-5},
                                       [PRECISION_Q8_0] = {8.5e-3, 1.1e-2, 8.3e-5},
                                       [PRECISION_Q4_0] = {1.1e-1, 1.4e-1, 1.5e-3}});
}

Test(precision, distilbert_is_near_fp32)
{
    ModelConfig c = encoder(&family_distilbert);
    expect_near_fp32(&c, (Distances[]){[PRECISION_FP16] = {6.6e-4, 1.3e-3, 5.1e-6},
                                       [PRECISION_BF16] = {5.2e-3, 9.6e-3, 4.1e-5},
                                       [PRECISION_MIXED] = {1.3e-4, 5.0e-3, 4.1e-5},
                                       [PRECISION_INT8] = {6.1e-3, 2.5e-2, 5.0e-5},
                                       [PRECISION_Q8_0] = {5.2e-3, 1.1e-2, 8.3e-5},
                                       [PRECISION_Q4_0] = {8.3e-2, 1.4e-1, 1.5e-3}});
}

/* ---- what changes no bit ---- */

static bool forward_same(const Forward *a, const Forward *b)
{
    return a->loss == b->loss &&
           memcmp(a->states, b->states, a->num_states * a->state_floats * sizeof(float)) == 0 &&
           memcmp(a->logits, b->logits, a->num_logits * sizeof(float)) == 0;
}

Test(precision, threads_change_nothing)
{
    const ModelConfig models[] = {gpt(), encoder(&family_distilbert), encoder(&family_bert)};
    for (size_t i = 0; i < COUNT_OF(sets); i++)
        for (size_t k = 0; k < COUNT_OF(models) && use_set(sets[i]); k++)
            for (int p = 0; p < NUM_PRECISIONS; p++) {
                ModelOptions o = options((Precision)p, 1);
                const ModelConfig c = suited(models[k], (Precision)p);
                Forward one = forward_of(&c, &o, 5);
                o.threads = 2;
                o.pack_weights = true; /* which mixed makes copies for, and others have anyway */
                Forward two = forward_of(&c, &o, 5);
                cr_expect(forward_same(&one, &two), "%s on %s, model %zu",
                          precision_name((Precision)p), sets[i], k);
                forward_release(&one);
                forward_release(&two);
            }
}

/* The mask is 0 and 1 in every precision and acts on fp32 scores: what stands at masked positions
 * contributes not a small number but nothing. */
static void expect_padding_unseen(const ModelConfig *c, Precision p)
{
    ModelOptions o = options(p, 2);
    Forward before = forward_of(c, &o, 5), after = forward_of(c, &o, 6);
    size_t changed = 0, C = c->d_model;
    for (size_t state = 0; state < before.num_states; state++)
        for (size_t i = 0; i < TOKENS; i++) {
            size_t at = state * before.state_floats + i * C;
            bool same = memcmp(before.states + at, after.states + at, C * sizeof(float)) == 0;
            cr_expect(same || !is_seen(i), "%s: state %zu, row %zu sees padding", precision_name(p),
                      state, i);
            changed += !same;
        }
    cr_expect(changed > 0, "the changed tokens changed nothing");
    cr_expect(before.loss == after.loss, "%s: the loss sees padding", precision_name(p));
    forward_release(&before);
    forward_release(&after);
}

Test(precision, masked_keys_contribute_nothing)
{
    const ModelConfig models[] = {gpt(), encoder(&family_distilbert)};
    for (size_t i = 0; i < COUNT_OF(sets); i++)
        for (size_t k = 0; k < COUNT_OF(models) && use_set(sets[i]); k++)
            for (int p = 0; p < NUM_PRECISIONS; p++) {
                const ModelConfig c = suited(models[k], (Precision)p);
                expect_padding_unseen(&c, (Precision)p);
            }
}

/* ---- backward of mixed ---- */

/* Of a run on the inputs that are set; caller frees. */
static float *run_gradients(Model *m)
{
    model_forward(m);
    model_backward(m);
    float *grads = xmalloc(m->params.block_floats * sizeof *grads);
    memcpy(grads, m->params.grads, m->params.block_floats * sizeof *grads);
    return grads;
}

static float *run_and_release(Model *m)
{
    set_inputs(m, 5);
    float *grads = run_gradients(m);
    model_release(m);
    return grads;
}

static float *gradients_of(const ModelConfig *c, Precision p, int threads, RecomputeChoice rc)
{
    ModelOptions o = options(p, threads);
    o.backward = true;
    o.recompute = rc;
    Model m;
    start_poisoned(&m, c, &o);
    return run_and_release(&m);
}

/* The model is planned for the offsets of its parameters; nothing is allocated. */
static double worst_gradient(const ModelConfig *c, const float *grads, const float *fp32)
{
    double worst = 0;
    ModelOptions o = options(PRECISION_MIXED, 1);
    Model m;
    model_plan(&m, c, &o);
    for (size_t k = 0; k < m.params.count; k++) {
        const Param *q = m.params.list[k];
        worst =
            fmax(worst, distance(grads + q->offset, fp32 + q->offset, tensor_count(&q->tensor)));
    }
    model_release(&m);
    return worst;
}

static void expect_mixed_gradients(const ModelConfig *c, double observed)
{
    for (size_t i = 0; i < COUNT_OF(sets); i++) {
        if (!use_set(sets[i]))
            continue;
        float *fp32 = gradients_of(c, PRECISION_FP32, 1, CHOOSE_NONE);
        float *mixed = gradients_of(c, PRECISION_MIXED, 1, CHOOSE_NONE);
        double worst = worst_gradient(c, mixed, fp32);
        cr_log_info("%s: %.2e", sets[i], worst);
        cr_expect(worst < 3 * observed, "on %s a gradient is off by %.2e", sets[i], worst);
        cr_expect(worst > 1e-5, "nothing is rounded on %s", sets[i]);
        ModelOptions o = options(PRECISION_MIXED, 1);
        Model m;
        model_plan(&m, c, &o);
        for (RecomputeChoice rc = CHOOSE_AUTO; rc <= CHOOSE_BLOCK; rc++) {
            float *again = gradients_of(c, PRECISION_MIXED, 2, rc);
            cr_expect(memcmp(again, mixed, m.params.block_floats * sizeof *mixed) == 0,
                      "two threads, recompute choice %d on %s: other gradients", rc, sets[i]);
            free(again);
        }
        model_release(&m);
        free(fp32);
        free(mixed);
    }
}

Test(precision, mixed_gradients_are_near_fp32)
{
    ModelConfig c = gpt();
    expect_mixed_gradients(&c, 6.8e-3); /* observed, of the worst parameter; so is the next */
    c = encoder(&family_distilbert);
    expect_mixed_gradients(&c, 8.4e-3);
}

/* Gradients of mixed; `wide`: with everything that is stored in bf16 in fp32 instead. */
static float *gradients_stored(const ModelConfig *c, bool wide, size_t *stored)
{
    ModelOptions o = options(PRECISION_MIXED, 2);
    o.backward = true;
    Model m;
    Err err;
    model_plan(&m, c, &o);
    *stored = 0;
    for (size_t i = 0; i < m.graph.count; i++) {
        Tensor *t = m.graph.nodes[i];
        *stored += t->dtype == DT_BF16;
        if (t->dtype == DT_BF16 && wide)
            t->dtype = DT_F32;
    }
    plan_release(&m.plan);
    plan_build(&m.plan, &m.schedule, o.threads);
    cr_assert(model_alloc(&m, &err) == 0, "%s", err.msg);
    params_randomize(&m.params, 1, o.threads);
    m.exec.poison = true;
    return run_and_release(&m);
}

static void expect_storing_changes_nothing(const ModelConfig *c, size_t least)
{
    for (size_t i = 0; i < COUNT_OF(sets); i++) {
        size_t stored;
        if (!use_set(sets[i]))
            continue;
        float *wide = gradients_stored(c, true, &stored);
        float *narrow = gradients_stored(c, false, &stored);
        Model m;
        ModelOptions o = options(PRECISION_MIXED, 1);
        model_plan(&m, c, &o);
        cr_expect(stored >= least, "%zu activations are stored in bf16", stored);
        cr_expect(memcmp(wide, narrow, m.params.block_floats * sizeof *wide) == 0,
                  "other gradients on %s", sets[i]);
        model_release(&m);
        free(wide);
        free(narrow);
    }
}

/* Of each block of GPT and Llama: both norms, attention and GELU or SwiGLU. DistilBERT's norms have
 * other readers. */
Test(precision, what_mixed_stores_in_bf16_changes_no_gradient)
{
    ModelConfig c = gpt();
    expect_storing_changes_nothing(&c, 4 * c.num_layers);
    c = odd_llama(&family_qwen3, 2, false);
    expect_storing_changes_nothing(&c, 4 * c.num_layers);
    c = encoder(&family_distilbert);
    expect_storing_changes_nothing(&c, 2 * c.num_layers);
}

/* Gradients of a batch with more rows than a block of A and more inputs than a block over k, so
 * that some weights are packed before a product (gemm_pays_packing). The caller releases m. */
static float *wide_gradients(Precision p, int threads, RecomputeChoice rc, Model *m)
{
    enum { SEQUENCES = 5, LENGTH = 120 };
    const ModelConfig c = model_config_gpt(1100, 1, 4, 401, LENGTH);
    const ModelOptions o = {.wants = {.batch = SEQUENCES, .context = LENGTH, .loss = true},
                            .precision = p,
                            .threads = threads,
                            .recompute = rc,
                            .backward = true};
    int32_t tokens[SEQUENCES * LENGTH], targets[SEQUENCES * LENGTH];
    for (size_t i = 0; i < COUNT_OF(tokens); i++) {
        tokens[i] = (int32_t)(rng_u64(3, 0, i) % c.vocab_size);
        targets[i] = (int32_t)(rng_u64(4, 0, i) % c.vocab_size);
    }
    start_poisoned(m, &c, &o);
    model_set_tokens(m, tokens);
    model_set_targets(m, targets);
    return run_gradients(m);
}

Test(precision, wide_batches_of_mixed_are_near_fp32)
{
    const double observed = 6.6e-3; /* of the worst parameter */
    Model m, other;
    float *fp32 = wide_gradients(PRECISION_FP32, 2, CHOOSE_NONE, &other);
    model_release(&other);
    float *mixed = wide_gradients(PRECISION_MIXED, 2, CHOOSE_NONE, &m);
    for (size_t k = 0; k < m.params.count; k++) {
        const Param *q = m.params.list[k];
        double off = distance(mixed + q->offset, fp32 + q->offset, tensor_count(&q->tensor));
        cr_expect(off < 3 * observed, "the gradient of %s is off by %.2e", q->name, off);
    }
    float *again = wide_gradients(PRECISION_MIXED, 1, CHOOSE_BLOCK, &other);
    cr_expect(memcmp(again, mixed, m.params.block_floats * sizeof *mixed) == 0,
              "one thread, blocks: other gradients");
    model_release(&m);
    model_release(&other);
    free(fp32);
    free(mixed);
    free(again);
}

Test(precision, mixed_learns)
{
    ModelConfig c = gpt();
    ModelOptions o = options(PRECISION_MIXED, 2);
    o.backward = o.optimizer = true;
    Model m;
    start_poisoned(&m, &c, &o);
    AdamW adam = adamw_defaults();
    set_inputs(&m, 5);
    model_forward(&m);
    float first = model_loss(&m);
    for (int step = 0; step < 40; step++) {
        model_backward(&m);
        model_update(&m, &adam);
        model_forward(&m);
    }
    cr_expect(model_loss(&m) < 0.5f * first, "from %g to %g", (double)first,
              (double)model_loss(&m));
    model_release(&m);
}

Test(precision, a_backward_pass_of_bf16_is_our_bug, .signal = SIGABRT)
{
    ModelConfig c = gpt();
    ModelOptions o = options(PRECISION_BF16, 1);
    o.backward = true;
    Model m;
    model_plan(&m, &c, &o);
}

/* ---- memory ---- */

Test(precision, small_formats_take_what_they_promise)
{
    const double bytes_of_weight[] = {4, 2, 2, 4, 1, 34.0 / 32, 18.0 / 32};
    const double bytes_of_activation[] = {4, 2, 2, 4, 4, 4, 4};
    ModelConfig c = model_config_gpt(256, 4, 4, 5000, 512);
    size_t arena[NUM_PRECISIONS];
    for (int p = 0; p < NUM_PRECISIONS; p++) {
        ModelOptions o = {.wants = {.batch = 4, .context = 512, .loss = true},
                          .precision = (Precision)p,
                          .threads = 2};
        Model m;
        model_plan(&m, &c, &o);
        double bytes = (double)params_bytes(&m.params, (ParamsMemory){0});
        double promised = bytes_of_weight[p] * (double)params_total(&m.params);
        cr_expect(bytes >= promised && bytes < 1.04 * promised, "%s: %.0f bytes, %.0f promised",
                  precision_name((Precision)p), bytes, promised);
        arena[p] = m.plan.arena_bytes;
        double share = (double)arena[p] / (double)arena[PRECISION_FP32];
        cr_expect(fabs(share - bytes_of_activation[p] / 4) < 0.02, "%s: activations take %.3f",
                  precision_name((Precision)p), share);
        model_release(&m);
    }
}

/* ---- ops on small activations: fp32 inside, rounded once when stored ---- */

enum { ROWS = 6, CHANNELS = 36 };

typedef Tensor *RecordOp(Graph *g, Tensor *x, Params *p);

static Tensor *record_layernorm(Graph *g, Tensor *x, Params *p)
{
    Tensor *w = params_get(p, (ParamSpec){.rows = CHANNELS, .init = INIT_ONES}, "w");
    Tensor *b = params_get(p, (ParamSpec){.rows = CHANNELS, .init = INIT_ZEROS}, "b");
    return op_layernorm(g, x, w, b, 1e-5f);
}

static Tensor *record_attention(Graph *g, Tensor *x, Params *p)
{
    (void)p;
    return op_attention(g, x, NULL, (Sequences){.batch = 2}, (Heads){3, 3, tensor_channels(x) / 9},
                        true, DT_F32);
}

static Tensor *record_end_token(Graph *g, Tensor *x, Params *p)
{
    (void)p;
    return op_end_token(g, x, (Sequences){.batch = 2}, false);
}

/* y of the op on x, which is stored in `type`, as fp32. */
static void run_op(RecordOp *record, DType type, const void *x, float *y)
{
    Graph g;
    Params p;
    Schedule schedule;
    Plan plan;
    Exec e;
    Err err;
    graph_init(&g);
    params_init(&p);
    Tensor *in = graph_input(&g, "x", type, 2, (size_t[]){ROWS, CHANNELS});
    Tensor *out = record(&g, in, &p);
    tensor_keep(out);
    graph_store_activations(&g, type);
    schedule_build(&schedule, &g, NULL, RECOMPUTE_NONE);
    plan_build(&plan, &schedule, 2);
    cr_assert(params_alloc(&p, (ParamsMemory){0}, &err) == 0 &&
                  exec_init(&e, plan.arena_bytes, plan.scratch_bytes, 2, &err) == 0,
              "%s", err.msg);
    params_randomize(&p, 1, 1);
    exec_write(&e, &plan, in, x);
    exec_run(&e, &plan, PHASE_FORWARD);
    exec_read(out, y);
    exec_release(&e);
    plan_release(&plan);
    schedule_release(&schedule);
    graph_release(&g);
    params_release(&p);
}

Test(precision, ops_round_once_when_they_store)
{
    RecordOp *const ops[] = {record_layernorm, record_attention, record_end_token};
    const DType types[] = {DT_BF16, DT_F16};
    float x[ROWS * CHANNELS], y[ROWS * CHANNELS], wanted[ROWS * CHANNELS];
    uint16_t small[ROWS * CHANNELS];
    for (size_t i = 0; i < COUNT_OF(sets); i++)
        for (size_t k = 0; k < COUNT_OF(types) && use_set(sets[i]); k++)
            for (size_t op = 0; op < COUNT_OF(ops); op++) {
                size_t n = ROWS * CHANNELS;
                memset(y, 0, sizeof y);
                memset(wanted, 0, sizeof wanted);
                kernels()->normal(x, n, 7, 0, 0, 0, 1);
                kernels()->narrow(types[k], x, small, n);
                kernels()->widen(types[k], small, x, n);
                run_op(ops[op], types[k], small, y);
                run_op(ops[op], DT_F32, x, wanted);
                kernels()->narrow(types[k], wanted, small, n);
                kernels()->widen(types[k], small, wanted, n);
                cr_expect(memcmp(y, wanted, sizeof y) == 0, "op %zu in %s on %s", op,
                          dtype_name(types[k]), sets[i]);
            }
}
