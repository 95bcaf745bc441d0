/* generator: see generator.h. */
#include "bench/text/generator.h"

#include <stdlib.h>
#include <string.h>

enum { PIECE = 512 }; /* rows of the prompt that are read at a time */

int generator_open(Generator *g, const char *dir, Err *err)
{
    *g = (Generator){0};
    if (checkpoint_open(&g->ck, dir, err) != 0) {
        g->ck = (Checkpoint){0};
        return -1;
    }
    if (decoder_check(&g->ck.config, err) != 0)
        return err_prefix(err, "'%s'", dir);
    return end_tokens_load(&g->ends, dir, err);
}

void generator_release(Generator *g)
{
    if (g->planned)
        decoder_release(&g->decoder);
    end_tokens_release(&g->ends);
    checkpoint_release(&g->ck);
    free(g->candidates);
    *g = (Generator){0};
}

int generator_plan(Generator *g, const int32_t *prompt, size_t count, const GeneratorOptions *o,
                   Err *err)
{
    const size_t most = g->ck.config.max_positions, whole = count / PIECE * PIECE;
    if (decoder_cache_takes(&g->ck.config, o->cache_type, err) != 0)
        return -1;
    if (count > most)
        return err_set(err, "a prompt of %zu tokens, but the model has %zu positions", count, most);
    size_t capacity = o->max_new - 1 < most - count ? count + o->max_new - 1 : most;
    g->options = *o;
    g->prompt = prompt;
    g->starts[1] = count;
    g->progress = (Prompts){.tokens = prompt, .starts = g->starts};
    g->candidates = xcalloc(g->ck.config.vocab_size, sizeof *g->candidates);
    g->planned = true;
    decoder_plan(&g->decoder, &g->ck.config,
                 &(DecoderOptions){.batch = 1,
                                   .capacity = capacity,
                                   .rows = {1, count - whole, whole ? PIECE : 0},
                                   .precision = o->precision,
                                   .cache_type = o->cache_type,
                                   .blas = strcmp(gemm_backend(), "openblas") == 0,
                                   .threads = o->threads});
    return 0;
}

int generator_load(Generator *g, Err *err)
{
    if (decoder_alloc(&g->decoder, err) != 0 ||
        checkpoint_load(&g->ck, &g->decoder.params, err) != 0)
        return -1;
    decoder_read(&g->decoder, g->prompt, (const size_t[]){1}, true); /* packs the weights */
    decoder_cut(&g->decoder, 0);
    return 0;
}

bool generator_prefill(Generator *g)
{
    return decoder_prefill(&g->decoder, &g->progress, PIECE, NULL);
}

GeneratorStop generator_next(Generator *g, int32_t *token)
{
    Decoder *d = &g->decoder;
    if (g->made > 0)
        decoder_step(d);
    *token = sample_token(&g->options.sampling, d->logits->data, d->config.vocab_size, g->made,
                          g->candidates);
    if (*token < 0)
        return GENERATOR_NAN;
    d->next[0] = *token;
    g->made++;
    if (!g->options.ignore_ends && end_tokens_have(&g->ends, *token))
        return GENERATOR_END;
    if (g->made == g->options.max_new)
        return GENERATOR_LENGTH;
    return (size_t)d->past[0] == d->options.capacity ? GENERATOR_CONTEXT : GENERATOR_GOES_ON;
}
