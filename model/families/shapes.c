/* shapes: see shapes.h. */
#include "model/families/shapes.h"

#include <string.h>

#include "model/families/family.h"

static const Arch archs[] = {
    {.name = "gpt2", .family = &family_gpt2, .tied_head = true},
    {.name = "llama", .family = &family_llama},
    {.name = "cs336", .family = &family_cs336, .xavier = true},
};

const Arch *arch_find(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(archs); i++)
        if (strcmp(archs[i].name, name) == 0)
            return &archs[i];
    return NULL;
}

const Arch *arch_at(size_t place)
{
    CHECK(place < COUNT_OF(archs), "arch %zu", place);
    return &archs[place];
}

#define SIZE(as, width, layers, heads)                                                             \
    {                                                                                              \
        .name = as, .shape = {.d_model = width, .num_layers = layers, .num_heads = heads }         \
    }

const NamedShape model_shapes[] = {
    SIZE("small", 768, 12, 12),
    SIZE("medium", 1024, 24, 16),
    SIZE("large", 1280, 36, 20),
    SIZE("xl", 1600, 48, 25),
    SIZE("2.7B", 2560, 32, 32),
    /* HuggingFaceTB/SmolLM2-135M, config.json */
    {"smollm2-135m",
     "llama",
     {.d_model = 576,
      .num_layers = 30,
      .num_heads = 9,
      .num_kv_heads = 3,
      .d_ff = 1536,
      .vocab_size = 49152,
      .rope_theta = 100000,
      .norm_eps = 1e-5,
      .tied_head = true}},
    /* meta-llama/Llama-3.2-1B, config.json */
    {"llama-3.2-1b",
     "llama",
     {.d_model = 2048,
      .num_layers = 16,
      .num_heads = 32,
      .num_kv_heads = 8,
      .d_ff = 8192,
      .vocab_size = 128256,
      .rope_theta = 500000,
      .norm_eps = 1e-5,
      .tied_head = true,
      .scaling = {.factor = 32, .low = 1, .high = 4, .original = 8192}}},
    /* Qwen/Qwen3-0.6B, config.json */
    {"qwen3-0.6b",
     "llama",
     {.d_model = 1024,
      .num_layers = 28,
      .num_heads = 16,
      .num_kv_heads = 8,
      .head_dim = 128,
      .d_ff = 3072,
      .vocab_size = 151936,
      .rope_theta = 1e6,
      .norm_eps = 1e-6,
      .tied_head = true,
      .qk_norm = true}},
};
const size_t num_model_shapes = COUNT_OF(model_shapes);

const NamedShape *model_shape_find(const char *name)
{
    for (size_t i = 0; i < num_model_shapes; i++)
        if (strcmp(model_shapes[i].name, name) == 0)
            return &model_shapes[i];
    return NULL;
}

ModelConfig model_config_decoder(const Arch *arch, const DecoderShape *s, size_t context)
{
    ModelConfig c = {
        .family = arch->family,
        .head = HEAD_LM,
        .vocab_size = s->vocab_size,
        .d_model = s->d_model,
        .num_layers = s->num_layers,
        .num_heads = s->num_heads,
        .d_ff = s->d_ff ? s->d_ff : 4 * s->d_model,
        .max_positions = context > 1024 ? context : 1024,
        .tied_head = s->tied_head,
        .act = ACT_GELU_TANH,
        .norm_eps = s->norm_eps > 0 ? (float)s->norm_eps : 1e-5f,
    };
    if (!arch->family->rotary)
        return c;
    c.max_positions = MAX_DIMENSION;
    c.num_kv_heads = s->num_kv_heads;
    c.head_dim = s->head_dim;
    c.qk_norm = s->qk_norm;
    c.qkv_bias = s->qkv_bias;
    c.rope = s->scaling;
    c.rope.theta = s->rope_theta > 0 ? s->rope_theta : 10000;
    c.rope.interleaved = arch->family->interleaved;
    c.xavier = arch->xavier;
    return c;
}

ModelConfig model_config_gpt(size_t d_model, size_t num_layers, size_t num_heads, size_t vocab_size,
                             size_t context)
{
    DecoderShape s = {.d_model = d_model,
                      .num_layers = num_layers,
                      .num_heads = num_heads,
                      .vocab_size = vocab_size,
                      .tied_head = true};
    return model_config_decoder(arch_find("gpt2"), &s, context);
}
