/* gpt2: the GPT that needs no file: the named sizes, and a configuration from its dimensions.
 *
 * The five sizes are those of GPT-2 (Radford et al. 2019) and the 2.7B of GPT-3 (Brown et al. 2020,
 * table 2.1): tied embeddings, learned positions, pre-norm, tanh GELU, d_ff = 4 d_model. */
#ifndef TARE_MODEL_FAMILIES_GPT2_H
#define TARE_MODEL_FAMILIES_GPT2_H

#include "model/config.h"

typedef struct NamedSize {
    const char *name;
    size_t d_model, num_layers, num_heads;
} NamedSize;

extern const NamedSize model_sizes[];
extern const size_t num_model_sizes;
const NamedSize *model_size_find(const char *name); /* NULL when there is none */

/* A GPT of these dimensions as above; max_positions = max(1024, context). */
ModelConfig model_config_gpt(size_t d_model, size_t num_layers, size_t num_heads, size_t vocab_size,
                             size_t context);

#endif
