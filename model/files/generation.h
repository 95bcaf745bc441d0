/* generation: what a Hugging Face directory says about generating text: which tokens end one. */
#pragma once

#include "autograd/base.h"

typedef struct EndTokens {
    int64_t *ids;
    size_t count;
} EndTokens;

/* Reads eos_token_id, one id or a list, of config.json and, where it is there, of
 * generation_config.json, or of a GGUF file; an id of either ends a text. -1, naming the file,
 * for what is neither. */
int end_tokens_load(EndTokens *e, const char *model_dir, Err *err);
void end_tokens_release(EndTokens *e);

bool end_tokens_have(const EndTokens *e, int64_t id);
