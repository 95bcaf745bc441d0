/* decoder_job: see decoder_job.h. */
#include "bench/compare/decoder_job.h"

#include <stdlib.h>
#include <string.h>

enum { PIECE = 512 }; /* rows of the prompts that are read at a time */

static void read_prompts(DecoderJob *job, float *logits)
{
    Prompts p = {.tokens = job->tokens, .starts = job->starts};
    decoder_cut(&job->decoder, 0);
    while (decoder_prefill(&job->decoder, &p, PIECE, logits))
        ;
}

static void plan(DecoderJob *job, const ModelConfig *c, size_t batch, Precision precision,
                 int threads)
{
    const size_t prompts = batch * job->length;
    const DecoderOptions o = {
        .batch = batch,
        .capacity = job->length + job->n_gen,
        .rows = {job->n_gen ? batch : 0, prompts % PIECE, prompts >= PIECE ? PIECE : 0},
        .precision = precision,
        .cache_type = precision == PRECISION_FP32 ? DT_F32 : DT_BF16,
        .threads = threads};
    decoder_plan(&job->decoder, c, &o);
    job->planned = true;
}

int decoder_job_load(DecoderJob *job, Checkpoint *ck, const int32_t *tokens, size_t batch,
                     size_t length, size_t n_gen, Precision precision, bool exact, int threads,
                     Err *err)
{
    *job = (DecoderJob){
        .tokens = tokens, .length = length, .n_gen = n_gen, .small = precision != PRECISION_FP32};
    if (decoder_check(&ck->config, err) != 0)
        return -1;
    if (length + n_gen > ck->config.max_positions)
        return err_set(err, "%zu ids, but the model has %zu positions", length + n_gen,
                       ck->config.max_positions);
    plan(job, &ck->config, batch, exact ? PRECISION_FP32 : precision, threads);
    if (decoder_alloc(&job->decoder, err) != 0 ||
        checkpoint_load(ck, &job->decoder.params, err) != 0)
        return -1;
    job->starts = xcalloc(batch + 1, sizeof *job->starts);
    for (size_t b = 0; b <= batch; b++)
        job->starts[b] = b * length;
    job->first = xcalloc(batch, sizeof *job->first);
    job->ids = xcalloc(batch * n_gen + 1, sizeof *job->ids);
    job->logits = xcalloc(batch * ck->config.vocab_size, sizeof *job->logits);
    return 0;
}

/* The first step of a small format is fed the prompt's first token: the likeliest may be another on
 * each side. */
void decoder_job_warm(DecoderJob *job)
{
    const size_t batch = job->decoder.options.batch;
    OWNED size_t *one = xcalloc(batch, sizeof *one);
    one[0] = 1;
    decoder_read(&job->decoder, job->tokens, one, true);
    if (job->n_gen > 0)
        read_prompts(job, NULL);
    for (size_t b = 0; b < batch; b++)
        job->first[b] = job->small ? job->tokens[b * job->length] : job->decoder.next[b];
}

void decoder_job_release(DecoderJob *job)
{
    if (job->planned)
        decoder_release(&job->decoder);
    free(job->starts);
    free(job->first);
    free(job->ids);
    free(job->logits);
    *job = (DecoderJob){0};
}

void decoder_job_run(DecoderJob *job)
{
    Decoder *d = &job->decoder;
    const size_t batch = d->options.batch;
    if (job->n_gen == 0) {
        read_prompts(job, job->logits);
        return;
    }
    decoder_cut(d, job->length);
    memcpy(d->next, job->first, batch * sizeof *d->next);
    for (size_t i = 0; i < job->n_gen; i++) {
        decoder_step(d);
        if (i == 0 && job->small)
            memcpy(job->logits, d->logits->data,
                   batch * d->config.vocab_size * sizeof *job->logits);
        for (size_t b = 0; b < batch; b++)
            job->ids[b * job->n_gen + i] = d->next[b];
    }
}

int decoder_job_write(const DecoderJob *job, const char *path, Err *err)
{
    const Decoder *d = &job->decoder;
    const size_t of_ids[] = {d->options.batch, job->n_gen ? job->n_gen : 1},
                 of_logits[] = {d->options.batch, d->config.vocab_size};
    STensor tensors[2];
    size_t count = 0;
    if (job->n_gen == 0 || !job->small)
        tensors[count++] = stensor_make("ids", ST_I32, 2, of_ids, job->n_gen ? job->ids : d->next);
    if (job->n_gen == 0 || job->small)
        tensors[count++] = stensor_make("logits", ST_F32, 2, of_logits, job->logits);
    return safetensors_write(path, tensors, count, NULL, err);
}
