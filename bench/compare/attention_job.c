/* attention_job: see attention_job.h. */
#include "bench/compare/attention_job.h"

#include <string.h>

#include "model/files/checkpoint.h"

/* ---- inputs ---- */

/* The file's tensor, of the shape of *a, which the first one sets. NULL with a sentence. */
static const STensor *find(const SafeTensors *inputs, const char *name, Attention *a, Err *err)
{
    const STensor *t = safetensors_find(inputs, name);
    if (t && t->dtype == ST_F32 && t->ndim == 4 && t->bytes > 0 && a->T == 0)
        *a = attention_layer_shape(t->shape[0], t->shape[1], t->shape[2], t->shape[3], a->causal,
                                   DT_F32);
    if (t && t->dtype == ST_F32 && t->ndim == 4 && a->T > 0 && t->shape[0] == a->B &&
        t->shape[1] == a->T && t->shape[2] == a->H && t->shape[3] == a->D)
        return t;
    err_set(err, "the inputs have no F32 tensor '%s' [B, T, H, D]", name);
    return NULL;
}

/* Rows of H*D values, `stride` apart in the layer, side by side in a file. */
static void copy_rows(float *to, size_t to_stride, const float *from, size_t from_stride,
                      const Attention *a)
{
    const size_t C = a->H * a->D;
    for (size_t i = 0; i < a->B * a->T; i++)
        memcpy(to + i * to_stride, from + i * from_stride, C * sizeof *to);
}

int attention_job_load(AttentionJob *job, const SafeTensors *inputs, bool causal, bool backward,
                       int threads, Err *err)
{
    static const char *const names[] = {"q", "k", "v", "dout"};
    const STensor *of[COUNT_OF(names)];
    Attention a = {.causal = causal};
    job->backward = backward;
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (!(of[i] = find(inputs, names[i], &a, err)))
            return -1;
    if (attention_layer_init(&job->layer, &a, &attention_flash, threads, 0, err) != 0)
        return -1;
    const Attention *b = &job->layer.a;
    const size_t C = a.H * a.D;
    float *to[] = {(float *)b->q, (float *)b->k, (float *)b->v, job->layer.dout};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        copy_rows(to[i], i < 3 ? a.qkv_stride : C, of[i]->data, C, &a);
    return 0;
}

void attention_job_release(AttentionJob *job)
{
    attention_layer_release(&job->layer);
}

/* ---- running ---- */

void attention_job_run(AttentionJob *job)
{
    job->layer.impl->forward(&job->layer);
    if (job->backward)
        job->layer.impl->backward(&job->layer);
}

int attention_job_write(const AttentionJob *job, const char *path, Err *err)
{
    static const char *const names[] = {"grad.q", "grad.k", "grad.v"};
    const Attention *a = &job->layer.a;
    const size_t shape[] = {a->B, a->T, a->H, a->D}, C = a->H * a->D;
    const size_t count = a->B * a->T * C;
    OWNED float *grads = xmalloc(COUNT_OF(names) * count * sizeof *grads);
    TensorList out = {0};
    tensor_list_add(&out, "out", 4, shape, a->out);
    for (size_t i = 0; job->backward && i < COUNT_OF(names); i++) {
        copy_rows(grads + i * count, C, job->layer.dqkv + i * C, a->qkv_stride, a);
        tensor_list_add(&out, names[i], 4, shape, grads + i * count);
    }
    int status = safetensors_write(path, out.at, out.count, NULL, err);
    tensor_list_release(&out);
    return status;
}
