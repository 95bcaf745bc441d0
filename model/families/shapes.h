/* shapes: the decoders that need no file: architectures, named sizes, and a configuration from
 * both.
 *
 * The five sizes small to 2.7B are those of GPT-2 (Radford et al. 2019) and the 2.7B of GPT-3
 * (Brown et al. 2020, table 2.1); they mean the same width, layers and heads in every architecture.
 * The others are the shapes of published models and bring everything with them. */
#pragma once

#include "model/config.h"

/* gpt2: learned positions, biases, GELU, a tied head.
 * llama: RMS norm, rotary embedding in halves, SwiGLU, no bias, a head of its own.
 * cs336: llama with rotary embedding on interleaved pairs, and truncated-normal initial weights. */
typedef struct Arch {
    const char *name;
    const Family *family;
    bool xavier;
    bool tied_head; /* by default */
} Arch;

const Arch *arch_find(const char *name); /* NULL when there is none */
#define ARCH_NAMES "gpt2|llama|cs336"
const Arch *arch_at(size_t place); /* in ARCH_NAMES */

/* What a decoder is built from. 0 and NaN stand for the default. */
typedef struct DecoderShape {
    size_t d_model, num_layers, num_heads;
    size_t num_kv_heads; /* num_heads */
    size_t head_dim;     /* d_model / num_heads */
    size_t d_ff;         /* 4 d_model */
    size_t vocab_size;
    double rope_theta; /* 10000 */
    double norm_eps;   /* 1e-5 */
    bool tied_head, qk_norm, qkv_bias;
    Rope scaling; /* theta and interleaved are not read */
} DecoderShape;

typedef struct NamedShape {
    const char *name;
    const char *arch; /* NULL: any, and of `shape` only width, layers and heads count */
    DecoderShape shape;
} NamedShape;

extern const NamedShape model_shapes[];
extern const size_t num_model_shapes;
const NamedShape *model_shape_find(const char *name); /* NULL when there is none */

/* The configuration, with room for `context` positions: max(1024, context) learned ones, or any. */
ModelConfig model_config_decoder(const Arch *arch, const DecoderShape *s, size_t context);

/* A GPT-2 of these dimensions and defaults otherwise. */
ModelConfig model_config_gpt(size_t d_model, size_t num_layers, size_t num_heads, size_t vocab_size,
                             size_t context);
