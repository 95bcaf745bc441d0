/* worker_job: one component of one model on one set of inputs, loaded once and run many times: what
 * `tare worker` is asked to measure. worker_job_run is exactly what is timed. It knows nothing of
 * the talk with the parent. */
#pragma once

#include <jansson.h>

#include "bench/row/profile.h"

typedef struct WorkerJob WorkerJob;

/* What a load request says: component (a name of component.h), model_dir (not of attention),
 * threads, and
 *   texts       an array of strings, with max_length (0 = no limit), where the input is text
 *   inputs      a safetensors file with I32 [B,T]: tokens, and mask (encoder) or targets (GPT),
 *               and n_gen (decode); of attention with F32 [B,T,H,D]: q, k, v, dout; and causal
 *   exact       true: to compute in fp32 what the component computes in another format
 * The model is read from its Hugging Face directory. Keeps the request. NULL with a sentence. */
WorkerJob *worker_job_new(json_t *request, Err *err);
void worker_job_free(WorkerJob *job);

/* One call: from inputs that lie ready to outputs that lie ready. Not for a classifier. */
int worker_job_run(WorkerJob *job, Err *err);

/* Adds `count` calls to *p, of a component that has steps (component_has_steps). */
int worker_job_profile(WorkerJob *job, int64_t count, Profile *p, Err *err);

/* A classifier answers requests of one of its texts each, in two halves, so that the tokenizer's
 * share can be told: the text's ids (returns how many), then its label. 0 requests: it is no
 * classifier. */
size_t worker_job_num_requests(const WorkerJob *job);
size_t worker_job_encode(WorkerJob *job, size_t text);
size_t worker_job_label(WorkerJob *job);

/* Runs once and writes what came out, fp32 or I32, to a safetensors file at `path`:
 *   tokenizer            ids (of all texts, joined), lengths
 *   embeddings           hidden_states.0
 *   model*, end_to_end   last_hidden_state
 *   gpt_*                loss; with a backward pass also grad.NAME of a few parameters, linear
 *                        weights as [out, in]; gpt_step* also loss_after_step
 *   attention*           out; with a backward pass also grad.q, grad.k, grad.v
 *   prefill*             ids [B,1], the likeliest next ones, and logits [B,V]
 *   decode               ids [B,n_gen]; in a smaller format logits [B,V] of the first step
 *   classify             logits [texts, labels], lengths, each text by a request of its own */
int worker_job_outputs(WorkerJob *job, const char *path, Err *err);
