/* worker_job: see worker_job.h. */
#include "bench/compare/worker_job.h"

#include <stdlib.h>
#include <string.h>

#include "model/files/checkpoint.h"
#include "model/files/model_tokenizer.h"
#include "model/model.h"
#include "model/tokenizer/wordpiece.h"
#include "bench/text/classifier.h"
#include "bench/compare/attention_job.h"
#include "bench/compare/component.h"
#include "bench/compare/decoder_job.h"

/* The gradients that are compared, of GPT-2 and of the Llama family: they depend on every op before
 * them, and each is made by another kind of backward: embedding, linear layer, norm. */
static const char *const shown_grads[] = {"wpe.weight",
                                          "h.0.attn.c_attn.weight",
                                          "layers.0.self_attn.o_proj.weight",
                                          "ln_f.weight",
                                          "norm.weight",
                                          "layers.0.input_layernorm.weight"};

struct WorkerJob {
    const Component *component;
    size_t batch, length; /* length 0 for a tokenizer */
    /* from text */
    WordPiece *words;
    Tokenizer *tokenizer; /* instead, where nothing but it is timed */
    json_t *request;      /* holds the texts */
    const char **texts;   /* [batch] */
    size_t *text_lens, max_length;
    IdBuffer ids;
    TokenBatch encoded;
    /* from ids: [batch, length] each */
    int32_t *tokens, *mask, *targets;
    Model model;
    bool has_model;
    AdamW adamw;
    int64_t update_ns;      /* of the last call */
    Classifier classifier;  /* instead of the model */
    AttentionJob attention; /* likewise */
    DecoderJob decoder;     /* likewise */
    const char *model_dir;  /* of a decoder, in the request */
    size_t n_gen;
    int threads;
};

void worker_job_free(WorkerJob *job)
{
    if (!job)
        return;
    json_decref(job->request);
    free(job->texts);
    free(job->text_lens);
    id_buffer_release(&job->ids);
    token_batch_release(&job->encoded);
    wordpiece_free(job->words);
    tokenizer_free(job->tokenizer);
    free(job->tokens);
    free(job->mask);
    free(job->targets);
    if (job->has_model)
        model_release(&job->model);
    classifier_release(&job->classifier);
    attention_job_release(&job->attention);
    decoder_job_release(&job->decoder);
    free(job);
}

/* ---- inputs ---- */

static int load_texts(WorkerJob *job, json_t *request, Err *err)
{
    const json_t *texts = json_object_get(request, "texts");
    job->request = json_incref(request);
    job->batch = json_array_size(texts);
    job->max_length = (size_t)json_integer_value(json_object_get(request, "max_length"));
    if (job->batch == 0)
        return err_set(err, "the request has no texts");
    job->texts = xcalloc(job->batch, sizeof *job->texts);
    job->text_lens = xcalloc(job->batch, sizeof *job->text_lens);
    for (size_t i = 0; i < job->batch; i++) {
        const json_t *text = json_array_get(texts, i);
        if (!json_is_string(text))
            return err_set(err, "text %zu of the request is no string", i + 1);
        job->texts[i] = json_string_value(text);
        job->text_lens[i] = json_string_length(text);
    }
    return 0;
}

/* Fresh ids [batch, length] below `limit` from the inputs file. The first table fixes batch and
 * length. */
static int load_ids(WorkerJob *job, const SafeTensors *file, const char *name, size_t limit,
                    int32_t **ids, Err *err)
{
    const STensor *t = safetensors_find(file, name);
    if (!t || t->dtype != ST_I32 || t->ndim != 2 || t->bytes == 0)
        return err_set(err, "the inputs have no I32 table '%s'", name);
    if (job->batch == 0) {
        job->batch = t->shape[0];
        job->length = t->shape[1];
    }
    if (t->shape[0] != job->batch || t->shape[1] != job->length)
        return err_set(err, "the inputs' table '%s' has another shape than the tokens", name);
    *ids = xmalloc(t->bytes);
    memcpy(*ids, t->data, t->bytes);
    for (size_t i = 0; i < job->batch * job->length; i++)
        if ((*ids)[i] < 0 || (size_t)(*ids)[i] >= limit)
            return err_set(err, "%s: id %d of a vocabulary of %zu", name, (*ids)[i], limit);
    return 0;
}

static SafeTensors *open_inputs(const json_t *request, Err *err)
{
    const char *path = json_string_value(json_object_get(request, "inputs"));
    if (path)
        return safetensors_open(path, err);
    err_set(err, "the request names no inputs");
    return NULL;
}

static int load_inputs(WorkerJob *job, const json_t *request, const ModelConfig *c, Err *err)
{
    bool gpt = job->component->kind == COMPONENT_GPT;
    SafeTensors *file = open_inputs(request, err);
    if (!file)
        return -1;
    int status = load_ids(job, file, "tokens", c->vocab_size, &job->tokens, err);
    if (status == 0 && job->component->kind != COMPONENT_DECODER)
        status = gpt ? load_ids(job, file, "targets", c->vocab_size, &job->targets, err)
                     : load_ids(job, file, "mask", 2, &job->mask, err);
    safetensors_free(file);
    return status;
}

static int encode(WorkerJob *job, Err *err)
{
    return wordpiece_encode_batch(job->words, job->texts, job->text_lens, job->batch,
                                  job->max_length, &job->encoded, err);
}

/* ---- the model ---- */

/* The hidden state that is an encoder's output. */
static size_t last_hidden(const WorkerJob *job)
{
    return job->component->only_embeddings ? 0 : job->model.config.num_layers;
}

/* An encoder packs its weights: they never change here, and its batches are small. */
static ModelOptions model_options(const WorkerJob *job, bool exact, int threads)
{
    bool gpt = job->component->kind == COMPONENT_GPT;
    return (ModelOptions){
        .wants = {.batch = job->batch, .context = job->length, .mask = !gpt, .loss = gpt},
        .backward = job->component->backward,
        .optimizer = job->component->update,
        .precision = exact ? PRECISION_FP32 : job->component->precision,
        .pack_weights = !gpt,
        .threads = threads,
    };
}

static int threads_of(const json_t *request)
{
    int threads = (int)json_integer_value(json_object_get(request, "threads"));
    return threads > 0 ? threads : 1;
}

/* To compute in fp32 what the component computes in a small format. */
static bool is_exact(const json_t *request)
{
    return json_is_true(json_object_get(request, "exact"));
}

static int load_model(WorkerJob *job, const json_t *request, Checkpoint *ck, Err *err)
{
    const Component *what = job->component;
    bool gpt = what->kind == COMPONENT_GPT;
    ModelConfig *c = &ck->config;
    if (gpt != (c->family->causal))
        return err_set(err, "%s is for %s", what->name, gpt ? "a decoder" : "an encoder");
    if (gpt && c->head != HEAD_LM)
        return err_set(err, "%s needs a model with a language-model head", what->name);
    if (!gpt)
        c->head = HEAD_NONE; /* the hidden states are compared; a classifier's head is not read */
    if (what->from_text) {
        if (encode(job, err) != 0)
            return -1;
        job->length = job->encoded.length;
    } else if (load_inputs(job, request, c, err) != 0) {
        return -1;
    }
    if (job->length > c->max_positions)
        return err_set(err, "%zu ids, but the model has %zu positions", job->length,
                       c->max_positions);
    ModelOptions options = model_options(job, is_exact(request), threads_of(request));
    model_plan(&job->model, c, &options);
    job->has_model = true;
    if (!gpt)
        model_end_at_hidden(&job->model, last_hidden(job));
    if (model_alloc(&job->model, err) != 0)
        return -1;
    return checkpoint_load(ck, &job->model.params, err);
}

static int load_decoder(WorkerJob *job, Checkpoint *ck, Err *err)
{
    return decoder_job_load(&job->decoder, ck, job->tokens, job->batch, job->length, job->n_gen,
                            job->component->precision, is_exact(job->request), job->threads, err);
}

static int start_decoder(WorkerJob *job, json_t *request, Checkpoint *ck, Err *err)
{
    job->request = json_incref(request);
    job->model_dir = json_string_value(json_object_get(request, "model_dir"));
    job->n_gen = (size_t)json_integer_value(json_object_get(request, "n_gen"));
    job->threads = threads_of(request);
    if (load_inputs(job, request, &ck->config, err) != 0)
        return -1;
    if (job->component->reloads)
        return 0;
    if (load_decoder(job, ck, err) != 0)
        return -1;
    decoder_job_warm(&job->decoder);
    return 0;
}

static int reload_decoder(WorkerJob *job, Err *err)
{
    Checkpoint ck;
    decoder_job_release(&job->decoder);
    if (checkpoint_open(&ck, job->model_dir, err) != 0)
        return -1;
    int status = load_decoder(job, &ck, err);
    checkpoint_release(&ck);
    return status;
}

static int load_attention(WorkerJob *job, const json_t *request, Err *err)
{
    SafeTensors *file = open_inputs(request, err);
    if (!file)
        return -1;
    int status =
        attention_job_load(&job->attention, file, json_is_true(json_object_get(request, "causal")),
                           job->component->backward, threads_of(request), err);
    safetensors_free(file);
    return status;
}

static int load(WorkerJob *job, json_t *request, Err *err)
{
    if (job->component->kind == COMPONENT_ATTENTION)
        return load_attention(job, request, err);
    const char *dir = json_string_value(json_object_get(request, "model_dir"));
    if (!dir)
        return err_set(err, "the request has no model_dir");
    if (job->component->from_text && load_texts(job, request, err) != 0)
        return -1;
    if (job->component->kind == COMPONENT_CLASSIFIER)
        return classifier_init(&job->classifier, dir, job->max_length, false, threads_of(request),
                               err);
    if (job->component->kind == COMPONENT_TOKENIZER)
        return (job->tokenizer = model_tokenizer_load(dir, err)) ? 0 : -1;
    if (job->component->from_text && !(job->words = wordpiece_load(dir, err)))
        return -1;
    Checkpoint ck;
    if (checkpoint_open(&ck, dir, err) != 0)
        return -1;
    int status = job->component->kind == COMPONENT_DECODER ? start_decoder(job, request, &ck, err)
                                                           : load_model(job, request, &ck, err);
    checkpoint_release(&ck);
    return status;
}

WorkerJob *worker_job_new(json_t *request, Err *err)
{
    const char *name = json_string_value(json_object_get(request, "component"));
    const Component *component = name ? component_find(name) : NULL;
    if (!component) {
        err_set(err, "unknown component '%s'", name ? name : "");
        return NULL;
    }
    WorkerJob *job = xcalloc(1, sizeof *job);
    job->component = component;
    job->adamw = adamw_defaults();
    if (load(job, request, err) == 0)
        return job;
    worker_job_free(job);
    return NULL;
}

/* ---- running ---- */

static int run_tokenizer(WorkerJob *job, Err *err)
{
    (void)err;
    job->ids.count = 0;
    for (size_t i = 0; i < job->batch; i++)
        tokenizer_encode(job->tokenizer, job->texts[i], job->text_lens[i], job->max_length,
                         &job->ids);
    return 0;
}

static int run_encoder(WorkerJob *job, Err *err)
{
    const int32_t *tokens = job->tokens, *mask = job->mask;
    if (job->component->from_text) {
        if (encode(job, err) != 0)
            return -1;
        tokens = job->encoded.ids;
        mask = job->encoded.mask;
    }
    model_set_tokens(&job->model, tokens);
    model_set_mask(&job->model, mask);
    model_forward(&job->model);
    return 0;
}

static int run_gpt(WorkerJob *job, Err *err)
{
    Model *m = &job->model;
    (void)err;
    model_set_tokens(m, job->tokens);
    model_set_targets(m, job->targets);
    model_forward(m);
    if (m->options.backward)
        model_backward(m);
    if (m->options.optimizer) {
        int64_t start = clock_ns();
        model_update(m, &job->adamw);
        job->update_ns = clock_ns() - start;
    }
    return 0;
}

static int run_attention(WorkerJob *job, Err *err)
{
    (void)err;
    attention_job_run(&job->attention);
    return 0;
}

static int run_decoder(WorkerJob *job, Err *err)
{
    if (job->component->reloads && reload_decoder(job, err) != 0)
        return -1;
    decoder_job_run(&job->decoder);
    return 0;
}

size_t worker_job_num_requests(const WorkerJob *job)
{
    return job->component->kind == COMPONENT_CLASSIFIER ? job->batch : 0;
}

size_t worker_job_encode(WorkerJob *job, size_t text)
{
    return classifier_encode(&job->classifier, job->texts[text], job->text_lens[text]);
}

size_t worker_job_label(WorkerJob *job)
{
    const float *logits = classifier_run(&job->classifier);
    return classifier_best(logits, job->classifier.labels.count);
}

/* ---- outputs ---- */

static int write_ids(WorkerJob *job, const char *path, Err *err)
{
    OWNED int32_t *lengths = xcalloc(job->batch, sizeof *lengths);
    IdBuffer one = {0};
    for (size_t i = 0; i < job->batch; i++) {
        one.count = 0;
        lengths[i] = (int32_t)tokenizer_encode(job->tokenizer, job->texts[i], job->text_lens[i],
                                               job->max_length, &one);
    }
    STensor tensors[] = {stensor_make("ids", ST_I32, 1, &job->ids.count, job->ids.ids),
                         stensor_make("lengths", ST_I32, 1, &job->batch, lengths)};
    int status = safetensors_write(path, tensors, COUNT_OF(tensors), NULL, err);
    id_buffer_release(&one);
    return status;
}

static int write_hidden(WorkerJob *job, const char *path, Err *err)
{
    const Model *m = &job->model;
    size_t shape[] = {job->batch, job->length, m->config.d_model};
    const char *name = job->component->only_embeddings ? "hidden_states.0" : "last_hidden_state";
    OWNED float *hidden = xcalloc(shape[0] * shape[1] * shape[2], sizeof *hidden);
    exec_read(m->record.hidden[last_hidden(job)], hidden);
    STensor tensor = stensor_make(name, ST_F32, 3, shape, hidden);
    return safetensors_write(path, &tensor, 1, NULL, err);
}

static void add_grads(const Params *p, TensorList *out)
{
    for (size_t k = 0; k < p->count; k++) {
        const Param *q = p->list[k];
        for (size_t i = 0; i < COUNT_OF(shown_grads); i++) {
            if (strcmp(q->name, shown_grads[i]) != 0)
                continue;
            OWNED char *name = xasprintf("grad.%s", q->name);
            tensor_list_add(out, name, q->spec.cols ? 2 : 1, (size_t[]){q->spec.rows, q->spec.cols},
                            p->grads + q->offset);
        }
    }
}

static int write_loss(WorkerJob *job, const char *path, Err *err)
{
    Model *m = &job->model;
    TensorList out = {0};
    float loss = model_loss(m), loss_after;
    tensor_list_add(&out, "loss", 0, NULL, &loss);
    if (m->options.backward)
        add_grads(&m->params, &out);
    if (m->options.optimizer) {
        model_forward(m);
        loss_after = model_loss(m);
        tensor_list_add(&out, "loss_after_step", 0, NULL, &loss_after);
    }
    int status = safetensors_write(path, out.at, out.count, NULL, err);
    tensor_list_release(&out);
    return status;
}

static int write_logits(WorkerJob *job, const char *path, Err *err)
{
    size_t shape[] = {job->batch, job->classifier.labels.count};
    OWNED float *logits = xcalloc(shape[0] * shape[1], sizeof *logits);
    OWNED int32_t *lengths = xcalloc(shape[0], sizeof *lengths);
    for (size_t i = 0; i < job->batch; i++) {
        float *own = logits + i * shape[1];
        lengths[i] = (int32_t)worker_job_encode(job, i);
        memcpy(own, classifier_run(&job->classifier), shape[1] * sizeof *own);
        if (!classifier_finite(own, shape[1]))
            return err_set(err, "the model's output for text %zu is not finite", i + 1);
    }
    STensor tensors[] = {stensor_make("logits", ST_F32, 2, shape, logits),
                         stensor_make("lengths", ST_I32, 1, shape, lengths)};
    return safetensors_write(path, tensors, COUNT_OF(tensors), NULL, err);
}

static int write_attention(WorkerJob *job, const char *path, Err *err)
{
    return attention_job_write(&job->attention, path, err);
}

static int write_decoder(WorkerJob *job, const char *path, Err *err)
{
    return decoder_job_write(&job->decoder, path, err);
}

/* What each kind of component runs, and writes of it. A classifier is run by requests. */
static const struct {
    int (*run)(WorkerJob *job, Err *err);
    int (*write)(WorkerJob *job, const char *path, Err *err);
} kinds[] = {[COMPONENT_TOKENIZER] = {run_tokenizer, write_ids},
             [COMPONENT_ENCODER] = {run_encoder, write_hidden},
             [COMPONENT_GPT] = {run_gpt, write_loss},
             [COMPONENT_CLASSIFIER] = {NULL, write_logits},
             [COMPONENT_ATTENTION] = {run_attention, write_attention},
             [COMPONENT_DECODER] = {run_decoder, write_decoder}};

int worker_job_run(WorkerJob *job, Err *err)
{
    if (kinds[job->component->kind].run)
        return kinds[job->component->kind].run(job, err);
    return err_set(err, "'%s' is run by requests of single texts", job->component->name);
}

typedef struct ProfiledCalls {
    WorkerJob *job;
    Err *err;
    int status;
} ProfiledCalls;

static Sample call_once(void *what)
{
    ProfiledCalls *c = what;
    Sample s = sample_empty();
    int64_t start = clock_ns();
    if (worker_job_run(c->job, c->err) != 0)
        c->status = -1;
    s.wall_ns = clock_ns() - start;
    if (c->job->component->update)
        s.optimizer_ns = c->job->update_ns;
    return s;
}

int worker_job_profile(WorkerJob *job, int64_t count, Profile *p, Err *err)
{
    ProfiledCalls calls = {job, err, 0};
    if (!component_has_steps(job->component))
        return err_set(err, "'%s' has no steps", job->component->name);
    bool decodes = job->component->kind == COMPONENT_DECODER;
    if (!decodes) {
        p->backward = job->model.options.backward;
        p->slices = (int64_t)job->model.plan.slices.count;
    }
    profile_runs(p, decodes ? &job->decoder.decoder.exec : &job->model.exec, count, call_once,
                 &calls);
    return calls.status;
}

int worker_job_outputs(WorkerJob *job, const char *path, Err *err)
{
    if (kinds[job->component->kind].run && worker_job_run(job, err) != 0)
        return -1;
    return kinds[job->component->kind].write(job, path, err);
}
