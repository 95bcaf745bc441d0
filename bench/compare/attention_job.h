/* attention_job: one attention layer as a worker's job: the project's attention kernel on queries,
 * keys and values that the inputs bring. What is timed is attention_job_run. */
#pragma once

#include "bench/attention/layer.h"
#include "model/files/safetensors.h"

typedef struct AttentionJob {
    AttentionLayer layer;
    bool backward;
} AttentionJob;

/* q, k, v and dout are F32 [B, T, H, D] of the file, which is not kept. */
int attention_job_load(AttentionJob *job, const SafeTensors *inputs, bool causal, bool backward,
                       int threads, Err *err);
void attention_job_release(AttentionJob *job);

void attention_job_run(AttentionJob *job);

/* Writes what the last run computed, [B, T, H, D] each: out; with a backward pass also grad.q,
 * grad.k and grad.v. */
int attention_job_write(const AttentionJob *job, const char *path, Err *err);
