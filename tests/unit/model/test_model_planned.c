/* test_model_planned: sizes, FLOPs and memory of models that are planned and never allocated,
 * against closed forms. */
#include "tests/support/odd_models.h"

/* Of all steps. */
static double executed_flops(const Schedule *s)
{
    double sum = 0;
    for (size_t i = 0; i < s->count; i++)
        sum += step_flops(&s->steps[i]);
    return sum;
}

/* Without what is computed a second time. */
static double once_flops(const Schedule *s)
{
    double sum = 0;
    for (size_t i = 0; i < s->count; i++) {
        const Step *step = &s->steps[i];
        if (i < s->num_forward || step->kind == STEP_BACKWARD)
            sum += op_flops(step->t, step->kind == STEP_BACKWARD);
    }
    return sum;
}

static void expect_counts(const ModelConfig *c, size_t batch, size_t context, bool backward)
{
    Model m;
    model_plan(&m, c,
               &(ModelOptions){.wants = {.batch = batch,
                                         .context = context,
                                         .loss = c->head != HEAD_NONE,
                                         .mask = !c->family->causal},
                               .backward = backward,
                               .threads = 2});
    double counted = once_flops(&m.schedule), formula = model_flops(c, batch, context, backward);
    cr_expect(counted == formula, "ops count %.17g FLOPs, the formula %.17g", counted, formula);
    cr_expect(executed_flops(&m.schedule) >= counted);
    cr_expect(params_total(&m.params) == model_num_params(c), "%zu parameters, the formula has %zu",
              params_total(&m.params), model_num_params(c));
    model_release(&m);
}

Test(model_planned, named_sizes_agree_with_the_closed_forms)
{
    static const char *const archs[] = {"gpt2", "llama", "cs336"};
    for (size_t i = 0; i < num_model_shapes * COUNT_OF(archs); i++)
        for (int backward = 0; backward <= 1; backward++) {
            const NamedShape *s = &model_shapes[i / COUNT_OF(archs)];
            const Arch *arch = arch_find(archs[i % COUNT_OF(archs)]);
            DecoderShape shape = s->shape;
            shape.vocab_size = shape.vocab_size ? shape.vocab_size : 50257;
            if (s->arch && strcmp(s->arch, arch->name) != 0)
                continue;
            ModelConfig c = model_config_decoder(arch, &shape, 256);
            expect_counts(&c, 4, 256, backward);
            expect_counts(&c, 1, 1, backward);
        }
}

Test(model_planned, other_shapes_agree_with_the_closed_forms)
{
    ModelConfig gpt = odd_gpt();
    gpt.tied_head = false;
    gpt.d_ff = 77;
    expect_counts(&gpt, 3, 17, true);
    const Family *const encoders[] = {&family_distilbert, &family_bert};
    for (size_t i = 0; i < COUNT_OF(encoders); i++) {
        ModelConfig c = odd_encoder(encoders[i]);
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

Test(model_planned, predicted_bytes)
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

static size_t bytes_with(const ModelConfig *c, ModelOptions o, RecomputeChoice choice,
                         Recompute *rc)
{
    Model m;
    o.recompute = choice;
    model_plan(&m, c, &o);
    size_t bytes = model_predicted_bytes(&m);
    *rc = m.recompute;
    model_release(&m);
    return bytes;
}

/* The fewest blocks at a time that fit, else those that take least memory. */
static size_t best_blocks(const size_t *bytes, size_t layers, size_t limit)
{
    size_t best = 1;
    for (size_t every = 1; every <= layers; every++) {
        if (bytes[every] <= limit)
            return every;
        if (bytes[every] < bytes[best])
            best = every;
    }
    return best;
}

/* Under limits that each number of blocks just meets and just misses, and under one byte. */
static void expect_best_blocks(size_t layers, size_t d_model, size_t context)
{
    ModelConfig c = model_config_gpt(d_model, layers, 1, 64, context);
    ModelOptions o = {
        .wants = {.batch = 1, .context = context, .loss = true}, .backward = true, .threads = 1};
    size_t bytes[64], cheap;
    Recompute rc;
    cr_assert(layers < COUNT_OF(bytes));
    cheap = bytes_with(&c, o, CHOOSE_CHEAP, &rc);
    for (size_t every = 1; every <= layers; every++)
        bytes[every] = bytes_with(&c, o, (RecomputeChoice)(CHOOSE_BLOCK + (int)every - 1), &rc);
    for (size_t i = 0; i <= 2 * layers; i++) {
        o.memory_limit = i == 0 ? 1 : bytes[(i + 1) / 2] - i % 2;
        bytes_with(&c, o, CHOOSE_AUTO, &rc);
        Recompute wanted = cheap <= o.memory_limit
                               ? RECOMPUTE_CHEAP
                               : recompute_blocks(best_blocks(bytes, layers, o.memory_limit));
        cr_expect(rc == wanted, "%zu layers of %zu, context %zu, limit %zu: %d, not %d", layers,
                  d_model, context, o.memory_limit, (int)rc, (int)wanted);
    }
}

Test(model_planned, auto_chooses_as_if_every_number_of_blocks_were_tried)
{
    static const size_t layers[] = {1, 2, 7, 20, 45};
    for (size_t i = 0; i < COUNT_OF(layers); i++) {
        expect_best_blocks(layers[i], 16, 16);
        expect_best_blocks(layers[i], 16, 128);
        expect_best_blocks(layers[i], 32, 3);
    }
}

Test(model_planned, packed_copies_only_where_they_fit)
{
    ModelOptions o = {.wants = {.batch = 1, .context = 64, .loss = true}, .threads = 2};
    size_t bare = predicted(&o);
    o.pack_weights = true;
    size_t packed = predicted(&o);
    cr_expect(packed > bare * 3 / 2);
    o.memory_limit = packed;
    cr_expect(predicted(&o) == packed);
    o.memory_limit = packed - 1;
    cr_expect(predicted(&o) == bare);
}
