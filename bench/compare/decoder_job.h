/* decoder_job: a decoder as a worker's job: prompts into an empty cache, or tokens one by one
 * behind them. The engine is model/decoder.h; what is timed is decoder_job_run. */
#pragma once

#include "model/decoder.h"
#include "model/files/checkpoint.h"

typedef struct DecoderJob {
    Decoder decoder;
    bool planned;
    const int32_t *tokens; /* [batch, length], borrowed */
    size_t *starts;        /* [batch + 1] */
    size_t length, n_gen;  /* n_gen 0: the prompts are what is timed */
    bool small;            /* logits are compared, of decoding those of the first step */
    int32_t *first;        /* [batch]: the likeliest token after each prompt */
    int32_t *ids;          /* [batch, n_gen] of the last run */
    float *logits;         /* [batch, V] after the prompts, or of the first step */
} DecoderJob;

/* Reads the weights. With `exact` a job of a small format computes in fp32. Release also after
 * -1. */
int decoder_job_load(DecoderJob *job, Checkpoint *ck, const int32_t *tokens, size_t batch,
                     size_t length, size_t n_gen, Precision precision, bool exact, int threads,
                     Err *err);
/* Packs the weights; with n_gen also reads the prompts. Without it the first run packs. */
void decoder_job_warm(DecoderJob *job);
void decoder_job_release(DecoderJob *job);

/* The prompts into an empty cache, until the likeliest next token of each is known; or, behind them
 * and that token, n_gen steps, each reading the likeliest token of the one before. */
void decoder_job_run(DecoderJob *job);

/* Writes what the last run computed: ids [batch, 1] and logits [batch, V]; with n_gen ids
 * [batch, n_gen] in fp32, where they have to be equal, and logits of the first step otherwise. */
int decoder_job_write(const DecoderJob *job, const char *path, Err *err);
