/* inputs: what all implementations of a cell are given; see cell.h. */
#include "bench/compare/cell.h"

#include <stdlib.h>

#include "model/files/safetensors.h"
#include "bench/util/lines.h"

static const char *const sentences[] = {
    "The quick brown fox jumps over the lazy dog, and nobody in the village seems to mind it.",
    "I expected very little from this film; what I got was two hours of honest, funny acting.",
    "Shares fell 3.7% on Tuesday after the company cut its forecast for the second half of 2025.",
    "Is it worth the money? No, not really: the plot is thin and the ending can't save it.",
    "Water boils at 100 degrees at sea level, but at lower temperatures high in the mountains.",
    "She had read the letter twice before she understood that it was not addressed to her.",
    "An unforgettable performance - one of the best I have seen on any stage in many years!",
    "Please send the signed documents to our office in Zurich by the end of next week, thanks.",
};

/* Sentence i, and the ones after it until there are `words` words: a word is at least one id. */
static char *text_of(size_t i, size_t words)
{
    char *text = xstrdup(sentences[i % COUNT_OF(sentences)]);
    for (;;) {
        size_t spaces = 0;
        for (const char *p = text; *p; p++)
            spaces += *p == ' ';
        if (spaces + 1 >= words)
            return text;
        char *longer = xasprintf("%s %s", text, sentences[++i % COUNT_OF(sentences)]);
        free(text);
        text = longer;
    }
}

static json_t *texts_of(const CompareCell *cell)
{
    json_t *texts = json_array();
    for (size_t i = 0; i < cell->batch_size; i++) {
        OWNED char *text = text_of(i, cell->seq_len);
        json_array_append_new(texts, json_string(text));
    }
    return texts;
}

/* The "text" of every line of a file of JSON objects. NULL, naming file and line, for anything
 * else. */
static json_t *texts_of_file(const char *path, Err *err)
{
    Lines file;
    int more = 1;
    json_auto_t *texts = json_array();
    if (lines_open(&file, path, err) != 0)
        return NULL;
    while (more == 1 && (more = lines_next(&file, err)) == 1) {
        json_auto_t *object = json_loadb(file.line, file.len, 0, NULL);
        json_t *text = json_object_get(object, "text");
        if (json_is_string(text))
            json_array_append(texts, text);
        else
            more = err_set(err, "%s:%zu: no JSON object with a \"text\"", path,
                           json_array_size(texts) + 1);
    }
    lines_close(&file);
    if (more == 0 && json_array_size(texts) == 0)
        more = err_set(err, "%s has no texts", path);
    return more == 0 ? json_incref(texts) : NULL;
}

static int write_ids(const CompareCell *cell, size_t vocab_size, uint64_t seed, const char *path,
                     Err *err)
{
    size_t shape[] = {cell->batch_size, cell->seq_len}, count = shape[0] * shape[1];
    OWNED int32_t *ids = xmalloc(3 * count * sizeof *ids);
    int32_t *tokens = ids, *targets = ids + count, *mask = ids + 2 * count;
    for (size_t i = 0; i < count; i++) {
        tokens[i] = (int32_t)(rng_uniform(seed, 0, i) * (double)vocab_size);
        targets[i] = (int32_t)(rng_uniform(seed, 1, i) * (double)vocab_size);
        mask[i] = 1;
    }
    STensor tensors[] = {stensor_make("tokens", ST_I32, 2, shape, tokens),
                         stensor_make("targets", ST_I32, 2, shape, targets),
                         stensor_make("mask", ST_I32, 2, shape, mask)};
    return safetensors_write(path, tensors, COUNT_OF(tensors), NULL, err);
}

/* ---- attention ---- */

Attention compare_attention(const CompareCell *cell, const CompareModel *m)
{
    return attention_layer_shape(cell->batch_size, cell->seq_len,
                                 m->num_heads ? (size_t)m->num_heads : 1, (size_t)m->head_dim,
                                 m->causal, DT_F32);
}

/* q, k, v and the gradient of the output, [B, T, H, D] each. */
static int write_heads(const Attention *a, uint64_t seed, const char *path, Err *err)
{
    static const char *const names[] = {"q", "k", "v", "dout"};
    const size_t shape[] = {a->B, a->T, a->H, a->D}, count = a->B * a->T * a->H * a->D;
    OWNED float *values = xmalloc(COUNT_OF(names) * count * sizeof *values);
    STensor tensors[COUNT_OF(names)];
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        kernels()->normal(values + i * count, count, seed, i, 0, 0, 1);
        tensors[i] = stensor_make(names[i], ST_F32, 4, shape, values + i * count);
    }
    return safetensors_write(path, tensors, COUNT_OF(tensors), NULL, err);
}

/* ---- the request ---- */

static int add_inputs(json_t *request, const CompareCell *cell, const CompareModel *m,
                      const ModelFiles *files, uint64_t seed, const char *path, Err *err)
{
    int status;
    if (cell->component->from_text) {
        json_t *texts = cell->texts ? texts_of_file(cell->texts, err) : texts_of(cell);
        return texts ? json_object_set_new(request, "texts", texts) : -1;
    }
    if (cell->component->kind == COMPONENT_ATTENTION) {
        const Attention a = compare_attention(cell, m);
        status = write_heads(&a, seed, path, err);
        json_object_set_new(request, "causal", json_boolean(m->causal));
    } else {
        status = write_ids(cell, files->config.vocab_size, seed, path, err);
    }
    if (cell->n_gen > 0)
        json_object_set_new(request, "n_gen", json_integer((json_int_t)cell->n_gen));
    json_object_set_new(request, "inputs", json_string(path));
    return status;
}

json_t *compare_load_request(const CompareCell *cell, const CompareModel *m,
                             const ModelFiles *files, uint64_t seed, const char *path, Err *err)
{
    json_auto_t *request =
        json_pack("{s:s, s:s, s:I}", "do", "load", "component", cell->component->name, "max_length",
                  (json_int_t)cell->seq_len);
    if (files->dir && json_object_set_new(request, "model_dir", json_string(files->dir)) != 0)
        err_set(err, "'%s' is not UTF-8", files->dir);
    else if (add_inputs(request, cell, m, files, seed, path, err) == 0)
        return json_incref(request);
    return NULL;
}
