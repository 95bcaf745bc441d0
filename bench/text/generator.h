/* generator: a checkpoint that continues a prompt, token by token.
 *
 * The one idea: everything is known before it is allocated: the prompt, the most tokens to come and
 * so the cache. Steps are apart, so that the caller can time each and stop between them. It knows
 * ids only. */
#pragma once

#include "bench/text/sampling.h"
#include "model/decoder.h"
#include "model/files/checkpoint.h"
#include "model/files/generation.h"

typedef struct GeneratorOptions {
    size_t max_new; /* at least 1 */
    bool ignore_ends;
    Sampling sampling;
    Precision precision;
    DType cache_type;
    int threads;
} GeneratorOptions;

typedef enum GeneratorStop {
    GENERATOR_GOES_ON,
    GENERATOR_END,     /* the last token ends a text */
    GENERATOR_LENGTH,  /* max_new tokens */
    GENERATOR_CONTEXT, /* no position is left */
    GENERATOR_NAN,     /* the logits have no likeliest token; none was chosen */
} GeneratorStop;

typedef struct Generator {
    Checkpoint ck;
    EndTokens ends;
    GeneratorOptions options;
    Decoder decoder;
    bool planned;
    const int32_t *prompt; /* borrowed */
    size_t starts[2];      /* of the prompt: 0 and its length */
    Prompts progress;
    size_t made; /* tokens chosen so far */
    Candidate *candidates;
} Generator;

/* Opens a Hugging Face directory; ck.config is known then. -1 for an encoder, or a model without a
 * head. Release also after -1. */
int generator_open(Generator *g, const char *dir, Err *err);

/* Plans to continue `count` > 0 ids, each in the vocabulary; borrows them. -1 where the model has
 * fewer positions. decoder_predicted_bytes then tells what generator_load will take. */
int generator_plan(Generator *g, const int32_t *prompt, size_t count, const GeneratorOptions *o,
                   Err *err);

/* Reads the weights and packs them. */
int generator_load(Generator *g, Err *err);
void generator_release(Generator *g);

/* Reads a piece of the prompt; false once all of it was read. */
bool generator_prefill(Generator *g);

/* After the prompt, and again while it answers GENERATOR_GOES_ON: chooses a token; from the second
 * on, after running the model on the last. */
GeneratorStop generator_next(Generator *g, int32_t *token);
