/* test_learning: initial weights; a tiny model learns, and does so as PyTorch does
 * (golden/make_training_golden.py). */
#include "tests/support/odd_models.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tests/golden/training_golden.h"

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

Test(learning, initial_weights)
{
    ModelConfig c = model_config_gpt(128, 3, 4, 3000, 64);
    Params p[2];
    for (int i = 0; i < 2; i++) {
        Err err;
        Graph g;
        Recording r;
        graph_init(&g);
        params_init(&p[i]);
        model_record(&g, &c, &p[i], &(RecordWants){.batch = 1, .context = 8}, &r);
        recording_release(&r);
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

Test(learning, memorises_a_batch)
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

Test(learning, learns_as_pytorch_does)
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
