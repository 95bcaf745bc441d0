/* test_checkpoint: from Params to a Hugging Face directory and back, and what a directory is
 * refused for. */
#include "model/files/checkpoint.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/families/family.h"
#include "model/files/config_json.h"

#include "tests/support/temp_dir.h"

static const char *weights_path;

static void make_dir(void)
{
    temp_dir_make();
    weights_path = temp_path("model.safetensors");
}

static void remove_dir(void)
{
    temp_dir_expect_only("config.json model.safetensors");
    temp_dir_remove();
}

TestSuite(checkpoint, .init = make_dir, .fini = remove_dir);

static const char *const gpt2 =
    "{\"model_type\": \"gpt2\", \"n_embd\": 6, \"n_layer\": 2, \"n_head\": 3, \"vocab_size\": 11,"
    " \"n_positions\": 5, \"n_inner\": 10}";
static const char *const untied =
    "{\"model_type\": \"gpt2\", \"n_embd\": 6, \"n_layer\": 2, \"n_head\": 3, \"vocab_size\": 11,"
    " \"n_positions\": 5, \"n_inner\": 10, \"tie_word_embeddings\": false}";
static const char *const distilbert =
    "{\"model_type\": \"distilbert\", \"dim\": 6, \"n_layers\": 2, \"n_heads\": 2, \"hidden_dim\": "
    "9,"
    " \"vocab_size\": 11, \"max_position_embeddings\": 7,"
    " \"architectures\": [\"DistilBertForSequenceClassification\"], \"num_labels\": 2}";
static const char *const bert =
    "{\"model_type\": \"bert\", \"hidden_size\": 6, \"num_hidden_layers\": 1,"
    " \"num_attention_heads\": 2, \"intermediate_size\": 9, \"vocab_size\": 11,"
    " \"max_position_embeddings\": 7, \"architectures\": [\"BertModel\"]}";

/* Allocated parameters of the model that config.json describes. */
static Params params_of(const ModelConfig *c)
{
    Params p;
    Graph g;
    Recording r;
    Err err;
    params_init(&p);
    graph_init(&g);
    model_record(&g, c, &p, &(RecordWants){.batch = 1, .context = 3, .logits = true}, &r);
    recording_release(&r);
    graph_release(&g);
    cr_assert(params_alloc(&p, (ParamsMemory){0}, &err) == 0, "%s", err.msg);
    return p;
}

static ModelConfig load_config(void)
{
    ModelConfig c;
    Err err;
    cr_assert(model_config_load(temp_dir, &c, &err) == 0, "%s", err.msg);
    return c;
}

/* Writes random weights of this config as a checkpoint, and returns them. */
static Params write_checkpoint(const char *json, bool prefixed)
{
    temp_write("config.json", json);
    ModelConfig c = load_config();
    Params p = params_of(&c);
    params_randomize(&p, 3, 1);
    for (size_t i = 0; i < p.block_floats; i++)
        p.weights[i] += (float)(i % 97); /* biases and norms differ too */
    TensorList list = {0};
    Err err;
    checkpoint_export(&c, prefixed, &p, p.weights, "", &list);
    cr_assert(safetensors_write(weights_path, list.at, list.count, NULL, &err) == 0, "%s", err.msg);
    tensor_list_release(&list);
    return p;
}

static void expect_same_weights(const Params *a, const Params *b)
{
    cr_assert(a->count == b->count && a->block_floats == b->block_floats);
    for (size_t k = 0; k < a->count; k++) {
        const Param *q = a->list[k];
        cr_expect(
            memcmp(a->weights + q->offset, b->weights + q->offset, tensor_bytes(&q->tensor)) == 0,
            "%s came back changed", q->name);
    }
}

static void expect_round_trip(const char *json, bool prefixed)
{
    Params written = write_checkpoint(json, prefixed);
    Checkpoint ck;
    Err err;
    cr_assert(checkpoint_open(&ck, temp_dir, &err) == 0, "%s", err.msg);
    cr_expect(ck.prefixed == prefixed);
    Params read = params_of(&ck.config);
    cr_assert(checkpoint_load(&ck, &read, &err) == 0, "%s", err.msg);
    cr_expect(!ck.unused, "not used: %s", ck.unused);
    expect_same_weights(&written, &read);
    params_release(&written);
    params_release(&read);
    checkpoint_release(&ck);
}

Test(checkpoint, comes_back_as_written)
{
    const char *const configs[] = {gpt2, untied, distilbert, bert};
    for (size_t i = 0; i < COUNT_OF(configs); i++)
        for (int prefixed = 0; prefixed <= 1; prefixed++)
            expect_round_trip(configs[i], prefixed);
}

static void expect_tensor(const SafeTensors *file, const char *name, size_t rows, size_t cols)
{
    const STensor *t = safetensors_find(file, name);
    cr_assert(t, "no tensor '%s'", name);
    cr_expect(t->dtype == ST_F32 && t->ndim == (cols ? 2 : 1) && t->shape[0] == rows &&
                  (!cols || t->shape[1] == cols),
              "'%s' has another shape", name);
}

static SafeTensors *open_weights(void)
{
    Err err;
    SafeTensors *file = safetensors_open(weights_path, &err);
    cr_assert(file, "%s", err.msg);
    return file;
}

/* Names and shapes as Hugging Face has them, and what lies where. */
Test(checkpoint, gpt2_names_and_layout)
{
    Params p = write_checkpoint(gpt2, true);
    SafeTensors *file = open_weights();
    cr_expect(safetensors_count(file) == 2 + 2 * 12 + 2);
    expect_tensor(file, "transformer.wte.weight", 11, 6);
    expect_tensor(file, "transformer.wpe.weight", 5, 6);
    expect_tensor(file, "transformer.h.1.attn.c_attn.weight", 6, 18);
    expect_tensor(file, "transformer.h.1.mlp.c_fc.weight", 6, 10);
    expect_tensor(file, "transformer.h.1.mlp.c_proj.weight", 10, 6);
    expect_tensor(file, "transformer.ln_f.bias", 6, 0);
    Tensor *w = params_get(&p, (ParamSpec){.rows = 10, .cols = 6}, "h.0.mlp.c_fc.weight");
    float stored[60];
    Err err;
    cr_assert(safetensors_to_f32(safetensors_find(file, "transformer.h.0.mlp.c_fc.weight"), stored,
                                 &err) == 0);
    for (size_t o = 0; o < 10; o++)
        for (size_t k = 0; k < 6; k++)
            cr_assert(stored[k * 10 + o] == ((float *)w->data)[o * 6 + k], "[%zu,%zu]", o, k);
    safetensors_free(file);
    params_release(&p);
}

/* q, k and v are three tensors there, one parameter here; heads have no prefix. */
Test(checkpoint, distilbert_names_and_layout)
{
    Params p = write_checkpoint(distilbert, true);
    SafeTensors *file = open_weights();
    expect_tensor(file, "distilbert.transformer.layer.0.attention.q_lin.weight", 6, 6);
    expect_tensor(file, "distilbert.transformer.layer.1.attention.v_lin.bias", 6, 0);
    expect_tensor(file, "pre_classifier.weight", 6, 6);
    expect_tensor(file, "classifier.bias", 2, 0);
    Tensor *w = params_get(&p, (ParamSpec){.rows = 18, .cols = 6},
                           "transformer.layer.0.attention.{q_lin,k_lin,v_lin}.weight");
    const STensor *k =
        safetensors_find(file, "distilbert.transformer.layer.0.attention.k_lin.weight");
    cr_expect(memcmp(k->data, (float *)w->data + 36, 36 * sizeof(float)) == 0);
    safetensors_free(file);
    params_release(&p);
}

/* ---- files with something more, less, or else ---- */

/* Rewrites the checkpoint without `drop` and with an extra [1] tensor `add`; NULL = neither. */
static void rewrite(const char *drop, const char *add)
{
    SafeTensors *file = open_weights();
    STensor list[64];
    size_t n = 0, one = 1;
    float x = 1;
    for (size_t i = 0; i < safetensors_count(file); i++)
        if (!drop || strcmp(safetensors_at(file, i)->name, drop) != 0)
            list[n++] = *safetensors_at(file, i);
    if (add)
        list[n++] = stensor_make(add, ST_F32, 1, &one, &x);
    Err err;
    cr_assert(safetensors_write(weights_path, list, n, NULL, &err) == 0, "%s", err.msg);
    safetensors_free(file);
}

/* Rewrites the checkpoint under the names that `renamed` gives; it returns NULL for one to leave
 * out. */
static void rename_tensors(char *(*renamed)(const char *name))
{
    SafeTensors *file = open_weights();
    STensor list[64];
    size_t n = 0;
    for (size_t i = 0; i < safetensors_count(file); i++) {
        STensor t = *safetensors_at(file, i);
        if ((t.name = renamed(t.name)))
            list[n++] = t;
    }
    Err err;
    cr_assert(safetensors_write(weights_path, list, n, NULL, &err) == 0, "%s", err.msg);
    for (size_t i = 0; i < n; i++)
        free((char *)list[i].name);
    safetensors_free(file);
}

/* Opens and loads what is there; the status of the first step that fails, 0 where none does. */
static int open_and_load(bool fresh_head, char **unused, Err *err)
{
    Checkpoint ck;
    if (checkpoint_open(&ck, temp_dir, err) != 0)
        return -1;
    ck.fresh_head = fresh_head;
    Params p = params_of(&ck.config);
    int status = checkpoint_load(&ck, &p, err);
    if (unused)
        *unused = ck.unused ? xstrdup(ck.unused) : NULL;
    params_release(&p);
    checkpoint_release(&ck);
    return status;
}

static void expect_refused(const char *why)
{
    Err err = {""};
    cr_expect(open_and_load(false, NULL, &err) == -1, "accepted although: %s", why);
    cr_expect(strstr(err.msg, temp_dir), "no path in '%s'", err.msg);
    cr_expect(strstr(err.msg, why), "no '%s' in '%s'", why, err.msg);
}

/* Loads what is there and compares it with what was written, which it releases. */
static void expect_loaded(Params *written)
{
    Checkpoint ck;
    Err err;
    cr_assert(checkpoint_open(&ck, temp_dir, &err) == 0, "%s", err.msg);
    Params read = params_of(&ck.config);
    cr_assert(checkpoint_load(&ck, &read, &err) == 0, "%s", err.msg);
    cr_expect(!ck.unused, "not used: %s", ck.unused);
    expect_same_weights(written, &read);
    params_release(written);
    params_release(&read);
    checkpoint_release(&ck);
}

/* bert-base-uncased's own file has these names. */
static char *until_2019(const char *name)
{
    const char *norm = strstr(name, "LayerNorm.");
    if (!norm)
        return xstrdup(name);
    return xasprintf("%.*sLayerNorm.%s", (int)(norm - name), name,
                     strstr(norm, "weight") ? "gamma" : "beta");
}

/* The prefix where it does not belong, and not where it does. */
static char *prefix_at_will(const char *name)
{
    const char *prefix = "distilbert.";
    if (strstr(name, "layer.1."))
        return xstrdup(name + strlen(prefix));
    return xasprintf("%s%s", strstr(name, "classifier.") == name ? prefix : "", name);
}

static char *head_for_table(const char *name)
{
    return xstrdup(strstr(name, "wte.") ? "lm_head.weight" : name);
}

/* As the transformers library maps them. */
Test(checkpoint, historic_names_and_prefixes)
{
    Params p = write_checkpoint(bert, true);
    rename_tensors(until_2019);
    expect_loaded(&p);
    p = write_checkpoint(distilbert, true);
    rename_tensors(prefix_at_will);
    expect_loaded(&p);
    p = write_checkpoint(gpt2, true);
    rename_tensors(head_for_table);
    expect_loaded(&p);
}

/* Tied says the config, but the transformers library ties only what is equal. */
Test(checkpoint, a_tied_head_that_differs_is_a_head)
{
    Params p = write_checkpoint(untied, true);
    temp_write("config.json", gpt2);
    expect_loaded(&p);
    p = write_checkpoint(untied, true);
    Tensor *table = params_get(&p, (ParamSpec){.rows = 11, .cols = 6}, "wte.weight");
    Tensor *head = params_get(&p, (ParamSpec){.rows = 11, .cols = 6}, "lm_head.weight");
    memcpy(head->data, table->data, tensor_bytes(table));
    TensorList list = {0};
    Err err;
    ModelConfig c = load_config();
    checkpoint_export(&c, true, &p, p.weights, "", &list);
    cr_assert(safetensors_write(weights_path, list.at, list.count, NULL, &err) == 0, "%s", err.msg);
    tensor_list_release(&list);
    params_release(&p);
    temp_write("config.json", gpt2);
    char *unused;
    cr_assert(open_and_load(false, &unused, &err) == 0, "%s", err.msg);
    cr_expect_str_eq(unused, "lm_head.weight");
    free(unused);
}

/* One line that says what to do. */
Test(checkpoint, weights_in_files_that_are_not_read)
{
    static const char *const cases[][2] = {
        {"pytorch_model.bin", "has no model.safetensors: its pytorch_model.bin is not read"},
        {"pytorch_model.bin.index.json", "its pytorch_model-*.bin are not read"},
    };
    temp_write("config.json", gpt2);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const char *path = temp_write(cases[i][0], "");
        Err err;
        cr_expect(open_and_load(false, NULL, &err) == -1);
        cr_expect(strstr(err.msg, cases[i][1]) && strstr(err.msg, "save_pretrained"), "%s",
                  err.msg);
        unlink(path);
    }
}

static void write_only(const char *json)
{
    Params p = write_checkpoint(json, true);
    params_release(&p);
}

Test(checkpoint, missing_and_unknown_tensors)
{
    write_only(gpt2);
    rewrite("transformer.h.1.ln_2.bias", NULL);
    expect_refused("tensor 'transformer.h.1.ln_2.bias' is missing");
    write_only(gpt2);
    rewrite(NULL, "transformer.h.2.ln_1.bias");
    expect_refused("unknown tensor 'transformer.h.2.ln_1.bias'");
    write_only(distilbert);
    rewrite("distilbert.transformer.layer.0.attention.k_lin.bias", NULL);
    expect_refused("'distilbert.transformer.layer.0.attention.k_lin.bias' is missing");
}

/* Before anything of the size that the config names is made. */
Test(checkpoint, layers_that_are_not_there)
{
    write_only(gpt2);
    temp_write("config.json",
               "{\"model_type\": \"gpt2\", \"n_embd\": 6, \"n_layer\": 9999999, \"n_head\": 3,"
               " \"vocab_size\": 11, \"n_positions\": 5, \"n_inner\": 10}");
    expect_refused("weights, its config.json makes it");
}

Test(checkpoint, checked_without_being_read)
{
    Checkpoint ck;
    Err err;
    write_only(bert);
    rewrite(NULL, "cls.predictions.bias");
    cr_assert(checkpoint_open(&ck, temp_dir, &err) == 0, "%s", err.msg);
    cr_expect(checkpoint_check(&ck, &err) == 0, "%s", err.msg);
    cr_assert(ck.unused);
    cr_expect_str_eq(ck.unused, "cls.predictions.bias");
    checkpoint_release(&ck);
    rewrite(NULL, "bert.encoder.layer.1.output.dense.bias");
    cr_assert(checkpoint_open(&ck, temp_dir, &err) == 0, "%s", err.msg);
    cr_expect(checkpoint_check(&ck, &err) == -1, "an unknown tensor is accepted");
    cr_expect(strstr(err.msg, "unknown tensor 'bert.encoder.layer.1.output.dense.bias'"), "%s",
              err.msg);
    checkpoint_release(&ck);
}

Test(checkpoint, wrong_shapes)
{
    write_only(gpt2);
    char json[400];
    snprintf(json, sizeof json, "%s", gpt2);
    *strstr(json, "10}") = '2'; /* n_inner 20 */
    temp_write("config.json", json);
    expect_refused("has shape [6, 10], config.json makes it [6, 20]");
    snprintf(json, sizeof json, "%s", gpt2);
    memcpy(strstr(json, "11,"), "12,", 3);
    temp_write("config.json", json);
    expect_refused("'transformer.wte.weight' has shape [11, 6], config.json makes it [12, 6]");
}

Test(checkpoint, missing_files)
{
    Err err = {""};
    cr_expect(open_and_load(false, NULL, &err) == -1 && strstr(err.msg, "config.json"), "%s",
              err.msg);
    temp_write("config.json", gpt2);
    cr_expect(open_and_load(false, NULL, &err) == -1 && strstr(err.msg, "model.safetensors"), "%s",
              err.msg);
}

Test(checkpoint, what_is_known_and_not_used_is_named)
{
    char *unused = NULL;
    Err err;
    write_only(gpt2);
    rewrite(NULL, "transformer.h.0.attn.bias");
    rewrite(NULL, "multiple_choice_head.summary.bias");
    cr_assert(open_and_load(false, &unused, &err) == 0, "%s", err.msg);
    cr_expect(strstr(unused, "transformer.h.0.attn.bias") &&
                  strstr(unused, "multiple_choice_head.summary.bias"),
              "%s", unused);
    free(unused);
    write_only(bert);
    rewrite(NULL, "cls.predictions.bias");
    rewrite(NULL, "bert.pooler.dense.bias");
    rewrite(NULL, "bert.embeddings.position_ids");
    cr_assert(open_and_load(false, &unused, &err) == 0, "%s", err.msg);
    cr_expect(strstr(unused, "cls.predictions.bias") && strstr(unused, "bert.pooler.dense.bias") &&
                  strstr(unused, "bert.embeddings.position_ids"),
              "%s", unused);
    free(unused);
}

Test(checkpoint, few_of_many_unused_are_named)
{
    char *unused = NULL, name[64];
    Err err;
    write_only(gpt2);
    for (int i = 0; i < 30; i++) {
        snprintf(name, sizeof name, "transformer.h.%d.attn.bias", i);
        rewrite(NULL, name);
    }
    cr_assert(open_and_load(false, &unused, &err) == 0, "%s", err.msg);
    cr_expect(strstr(unused, ".attn.bias and 10 more"), "%s", unused);
    cr_expect(strlen(unused) < 1000);
    free(unused);
}

Test(checkpoint, a_missing_head_may_be_fresh)
{
    Err err;
    write_only(distilbert);
    rewrite("classifier.weight", NULL);
    expect_refused("'classifier.weight' is missing");
    cr_expect(open_and_load(true, NULL, &err) == -1, "half a head is accepted");
    rewrite("classifier.bias", NULL);
    cr_expect(open_and_load(true, NULL, &err) == 0, "%s", err.msg);
    rewrite("distilbert.embeddings.LayerNorm.bias", NULL);
    cr_expect(open_and_load(true, NULL, &err) == -1, "only a head may be missing");
}

/* As transformers saves a BERT that was trained to fill in words. */
Test(checkpoint, a_missing_pooler_may_be_fresh)
{
    Err err;
    char json[400] = "";
    snprintf(json, sizeof json, "%s", bert);
    strcpy(strstr(json, "[\"BertModel\"]"), "[\"BertForSequenceClassification\"]}");
    write_only(json);
    rewrite("bert.pooler.dense.weight", NULL);
    expect_refused("'bert.pooler.dense.weight' is missing");
    cr_expect(open_and_load(true, NULL, &err) == -1, "half a pooler is accepted");
    rewrite("bert.pooler.dense.bias", NULL);
    expect_refused("'bert.pooler.dense.weight' is missing");
    cr_expect(open_and_load(true, NULL, &err) == 0, "%s", err.msg);
}

/* A config that names no architecture: the weights say that there is a classifier of three. */
Test(checkpoint, weights_settle_an_open_head)
{
    char json[500];
    snprintf(json, sizeof json, "%s", distilbert);
    memcpy(strstr(json, "\"num_labels\": 2"), "\"num_labels\": 3", 15);
    write_only(json);
    *strstr(json, "architectures") = '_';
    memcpy(strstr(json, "num_labels"), "_", 1);
    temp_write("config.json", json);
    Checkpoint ck;
    Err err;
    cr_assert(checkpoint_open(&ck, temp_dir, &err) == 0, "%s", err.msg);
    cr_expect(ck.config.head == HEAD_CLASSIFIER && ck.config.num_labels == 3);
    checkpoint_release(&ck);
}
