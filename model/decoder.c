/* decoder: see decoder.h. */
#include "model/decoder.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "autograd/kernels/peak.h"

int decoder_check(const ModelConfig *c, Err *err)
{
    if (!c->family->causal)
        return err_set(err, "a %s reads whole texts and generates none", c->family->model_type);
    if (c->head != HEAD_LM)
        return err_set(err, "this model has no language model head, so it generates no text");
    return 0;
}

DType kv_type(const char *name)
{
    static const DType types[] = {DT_F32, DT_BF16, DT_F16, DT_Q8_0};
    for (size_t i = 0; i < COUNT_OF(types); i++)
        if (strcmp(name, dtype_name(types[i])) == 0)
            return types[i];
    CHECK(false, "a cache of %s", name);
}

int decoder_cache_takes(const ModelConfig *c, DType cache_type, Err *err)
{
    const size_t channels = model_heads(c).channels;
    if (!dtype_is_grouped(cache_type) || channels % QUANT_GROUP == 0)
        return 0;
    return err_set(err, "a cache of %s is in groups of %d channels, but head_dim is %zu",
                   dtype_name(cache_type), QUANT_GROUP, channels);
}

/* ---- plan ---- */

static void plan_pass(Decoder *d, DecoderPass *pass, size_t rows)
{
    const DecoderOptions *o = &d->options;
    const RecordWants wants = {.batch = o->batch,
                               .context = o->capacity,
                               .rows = rows,
                               .logits = true,
                               .attention = precision_attention(o->precision),
                               .capacity = o->capacity,
                               .cache_type = o->cache_type};
    pass->rows = rows;
    graph_init(&pass->graph);
    model_record(&pass->graph, &d->config, &d->params, &wants, &pass->record);
    params_set_format(&d->params, precision_weights(o->precision));
    graph_store_activations(&pass->graph, precision_activations(o->precision));
    tensor_store(pass->record.logits, DT_F32); /* tokens are told apart by every bit */
    schedule_build(&pass->whole_steps, &pass->graph, NULL, RECOMPUTE_NONE);
    schedule_build(&pass->fill_steps, &pass->graph, NULL, RECOMPUTE_NONE);
    schedule_end_at_states(&pass->fill_steps);
    plan_build(&pass->whole, &pass->whole_steps, o->threads);
    plan_build(&pass->fill, &pass->fill_steps, o->threads);
}

static int smaller_first(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return x < y ? -1 : x > y;
}

void decoder_plan(Decoder *d, const ModelConfig *c, const DecoderOptions *o)
{
    *d = (Decoder){.config = *c, .options = *o};
    params_init(&d->params);
    size_t rows[DECODER_MAX_PASSES], most = 0;
    memcpy(rows, o->rows, sizeof rows);
    qsort(rows, COUNT_OF(rows), sizeof *rows, smaller_first);
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (rows[i] > most) {
            plan_pass(d, &d->passes[d->num_passes++], rows[i]);
            most = rows[i];
        }
    CHECK(most > 0, "a decoder without a pass");
    d->past = xcalloc(o->batch, sizeof *d->past);
    d->next = xcalloc(o->batch, sizeof *d->next);
    d->tokens = xcalloc(most, sizeof *d->tokens);
    d->starts = xcalloc(o->batch + 1, sizeof *d->starts);
    d->counts = xcalloc(o->batch, sizeof *d->counts);
}

/* ---- memory ---- */

static ParamsMemory memory_wanted(const Decoder *d)
{
    const DType operands = precision_operands(d->options.precision);
    bool fp32 = operands == DT_F32, plain = fp32 && d->options.blas;
    return (ParamsMemory){.packs = !fp32, .pack_type = operands, .packed_only = fp32 && !plain};
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* What the largest plan needs of each. */
static void largest_plan(const Decoder *d, size_t *arena, size_t *scratch)
{
    *arena = *scratch = 0;
    for (size_t i = 0; i < d->num_passes; i++) {
        const DecoderPass *p = &d->passes[i];
        *arena = larger(*arena, larger(p->whole.arena_bytes, p->fill.arena_bytes));
        *scratch = larger(*scratch, larger(p->whole.scratch_bytes, p->fill.scratch_bytes));
    }
}

size_t decoder_predicted_bytes(const Decoder *d)
{
    size_t arena, scratch;
    largest_plan(d, &arena, &scratch);
    return params_bytes(&d->params, memory_wanted(d)) + arena + scratch + MODEL_PROCESS_BYTES;
}

size_t decoder_cache_bytes_per_position(const ModelConfig *c, DType cache_type)
{
    const Heads h = model_heads(c);
    return 2 * c->num_layers * h.kv * dtype_bytes(cache_type, h.channels);
}

/* Of attention to one key, in every layer: a score and a weighted value. */
static double flops_per_key(const ModelConfig *c)
{
    const Heads h = model_heads(c);
    return 4 * (double)c->num_layers * (double)(h.count * h.channels);
}

double decoder_matrix_weights(const ModelConfig *c)
{
    return (c->family->flops(c, 1) - flops_per_key(c)) / 2;
}

double decoder_weight_bytes(const ModelConfig *c, Precision p)
{
    return decoder_matrix_weights(c) * (double)dtype_bytes(precision_product(p), QUANT_GROUP) /
           QUANT_GROUP;
}

double decoder_prefill_flops(const ModelConfig *c, double prompt)
{
    double head = 2 * (double)c->d_model * (double)c->vocab_size;
    return c->family->flops(c, prompt) - head * (prompt - 1);
}

double decoder_step_flops(const ModelConfig *c, double past, double count)
{
    double keys = count * past + count * (count + 1) / 2;
    return count * 2 * decoder_matrix_weights(c) + flops_per_key(c) * keys;
}

int decoder_alloc(Decoder *d, Err *err)
{
    size_t arena, scratch;
    largest_plan(d, &arena, &scratch);
    if (precision_takes(d->options.precision, &d->config, err) != 0 ||
        params_alloc(&d->params, memory_wanted(d), err) != 0 ||
        exec_init(&d->exec, arena, scratch, d->options.threads, err) != 0)
        return -1;
    d->exec.product = precision_operands(d->options.precision);
    d->exec.past = d->past;
    return 0;
}

void decoder_release(Decoder *d)
{
    exec_release(&d->exec);
    for (size_t i = 0; i < d->num_passes; i++) {
        DecoderPass *p = &d->passes[i];
        plan_release(&p->whole);
        plan_release(&p->fill);
        schedule_release(&p->whole_steps);
        schedule_release(&p->fill_steps);
        recording_release(&p->record);
        graph_release(&p->graph);
    }
    params_release(&d->params);
    free(d->past);
    free(d->next);
    free(d->tokens);
    free(d->starts);
    free(d->counts);
    *d = (Decoder){0};
}

/* ---- runs ---- */

/* The first of the largest; -1 where one is NaN. */
static int32_t likeliest(const float *logits, size_t n)
{
    float top = -INFINITY;
    int nan = 0;
#pragma omp simd reduction(max : top) reduction(| : nan)
    for (size_t i = 0; i < n; i++) {
        top = logits[i] > top ? logits[i] : top;
        nan |= logits[i] != logits[i];
    }
    size_t at = 0;
    while (!nan && logits[at] != top)
        at++;
    return nan ? -1 : (int32_t)at;
}

static const float *logits_of(const Decoder *d, size_t b)
{
    return (const float *)d->logits->data + b * d->config.vocab_size;
}

static DecoderPass *pass_for(Decoder *d, size_t rows)
{
    size_t i = 0;
    while (i < d->num_passes && d->passes[i].rows < rows)
        i++;
    CHECK(i < d->num_passes && rows > 0, "no pass of %zu rows", rows);
    return &d->passes[i];
}

void decoder_read(Decoder *d, const int32_t *tokens, const size_t *counts, bool whole)
{
    size_t rows = 0, batch = d->options.batch;
    for (size_t b = 0; b < batch; b++) {
        d->starts[b] = (int32_t)rows;
        rows += counts[b];
    }
    d->starts[batch] = (int32_t)rows;
    DecoderPass *pass = pass_for(d, rows);
    const Plan *plan = whole ? &pass->whole : &pass->fill;
    memcpy(d->tokens, tokens, rows * sizeof *tokens);
    memset(d->tokens + rows, 0, (pass->rows - rows) * sizeof *tokens);
    exec_write(&d->exec, plan, pass->record.tokens, d->tokens);
    exec_write(&d->exec, plan, pass->record.sequences.starts, d->starts);
    exec_run(&d->exec, plan, PHASE_FORWARD);
    d->logits = whole ? pass->record.logits : NULL;
    for (size_t b = 0; b < batch; b++) {
        d->past[b] += (int32_t)counts[b];
        if (whole && counts[b] > 0)
            d->next[b] = likeliest(logits_of(d, b), d->config.vocab_size);
    }
}

bool decoder_prefill(Decoder *d, Prompts *p, size_t rows, float *logits)
{
    const size_t batch = d->options.batch, total = p->starts[batch], from = p->read;
    if (from == total)
        return false;
    size_t to = total - from < rows ? total : from + rows, *counts = d->counts;
    bool ends = false;
    for (size_t b = 0; b < batch; b++) {
        size_t first = larger(p->starts[b], from), end = p->starts[b + 1];
        counts[b] = first < end && first < to ? (end < to ? end : to) - first : 0;
        ends |= counts[b] > 0 && end <= to;
    }
    decoder_read(d, p->tokens + from, counts, ends);
    for (size_t b = 0; b < batch && logits; b++)
        if (counts[b] > 0 && p->starts[b + 1] <= to)
            memcpy(logits + b * d->config.vocab_size, logits_of(d, b),
                   d->config.vocab_size * sizeof *logits);
    p->read = to;
    return true;
}

void decoder_step(Decoder *d)
{
    for (size_t b = 0; b < d->options.batch; b++)
        d->counts[b] = 1;
    decoder_read(d, d->next, d->counts, true);
}

size_t decoder_read_memory(const Decoder *d)
{
    static volatile uint32_t kept; /* so that what was read is needed */
    const Params *p = &d->params;
    const char *packs = p->packs ? p->packs : p->small;
    size_t bytes = packs ? p->pack_bytes : p->block_floats * sizeof(float);
    size_t cache = d->passes[0].whole.state_bytes;
    kept = peak_read(packs ? packs : (const char *)p->weights, bytes, 1, d->options.threads);
    kept |= peak_read(d->exec.arena, cache, 1, d->options.threads);
    (void)kept;
    return bytes + cache;
}

void decoder_cut(Decoder *d, size_t length)
{
    for (size_t b = 0; b < d->options.batch; b++) {
        CHECK((size_t)d->past[b] >= length, "cut at %zu of %d positions", length, d->past[b]);
        d->past[b] = (int32_t)length;
    }
}
