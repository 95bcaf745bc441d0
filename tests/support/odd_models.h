/* odd_models: models of odd shapes, so that no size is a multiple of anything, and their
 * beginnings. */
#pragma once

#include "model/families/shapes.h"
#include "model/model.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static inline ModelConfig odd_gpt(void)
{
    ModelConfig c = model_config_gpt(36, 2, 3, 101, 17);
    c.max_positions = 23;
    return c;
}

static inline ModelConfig odd_llama(const Family *family, size_t kv, bool interleaved)
{
    return (ModelConfig){.family = family,
                         .head = HEAD_LM,
                         .vocab_size = 101,
                         .d_model = 36,
                         .num_layers = 2,
                         .num_heads = 6,
                         .num_kv_heads = kv,
                         .head_dim = 10,
                         .d_ff = 50,
                         .max_positions = MAX_DIMENSION,
                         .norm_eps = 1e-5f,
                         .qkv_bias = family->qkv_bias,
                         .qk_norm = family->qk_norm,
                         .rope = {.theta = 10000, .interleaved = interleaved}};
}

static inline ModelConfig odd_encoder(const Family *family)
{
    return (ModelConfig){.family = family,
                         .head = HEAD_CLASSIFIER,
                         .vocab_size = 67,
                         .d_model = 20,
                         .num_layers = 3,
                         .num_heads = 5,
                         .d_ff = 50,
                         .max_positions = 31,
                         .type_vocab_size = family == &family_bert ? 2 : 0,
                         .num_labels = 3,
                         .act = ACT_GELU_ERF,
                         .norm_eps = 1e-12f};
}

enum { BATCH = 3, CONTEXT = 17 };

/* Row b sees CONTEXT - 5b positions, from the left. */
static inline bool is_seen(size_t i)
{
    return i % CONTEXT < CONTEXT - 5 * (i / CONTEXT);
}

/* Whole numbers in [0, below). Caller frees. */
static inline int32_t *integers(uint64_t seed, size_t n, size_t below)
{
    int32_t *x = xmalloc(n * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = (int32_t)(rng_u64(seed, 0, i) % below);
    return x;
}

static inline void start(Model *m, const ModelConfig *c, const ModelOptions *o)
{
    Err err;
    model_plan(m, c, o);
    cr_assert(model_alloc(m, &err) == 0, "%s", err.msg);
    params_randomize(&m->params, 1, o->threads);
}
