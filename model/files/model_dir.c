/* model_dir: see model_dir.h. */
#include "model/files/model_dir.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { MAX_JSON_BYTES = 16 << 20, MAX_TOKENIZER_BYTES = 256 << 20 };

static json_t *config_read(const char *model_dir, Err *err)
{
    char *path = xasprintf("%s/config.json", model_dir);
    size_t length;
    json_t *root = NULL;
    char *text = file_read(path, MAX_JSON_BYTES, &length, err);
    if (text) {
        json_error_t where;
        root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &where);
        if (!root)
            err_set(err, "'%s', line %d, column %d: %s", path, where.line, where.column,
                    where.text);
        else if (!json_is_object(root)) {
            err_set(err, "'%s' is not a JSON object", path);
            json_decref(root);
            root = NULL;
        }
    }
    free(text);
    free(path);
    return root;
}

/* ---- labels ---- */

bool label_is_valid(const char *name)
{
    for (const char *s = name; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            return false;
    return *name;
}

static int read_label(const json_t *names, size_t id, char **label, Err *err)
{
    if (!names) {
        *label = xasprintf("LABEL_%zu", id);
        return 0;
    }
    char key[24];
    snprintf(key, sizeof key, "%zu", id);
    const char *name = json_string_value(json_object_get(names, key));
    if (!name || !label_is_valid(name))
        return err_set(err, "id2label has no name for label %zu, or not one of a single line", id);
    *label = xstrdup(name);
    return 0;
}

int labels_load(Labels *l, const char *model_dir, size_t count, Err *err)
{
    *l = (Labels){.at = xcalloc(count + 1, sizeof *l->at)};
    json_t *root = config_read(model_dir, err);
    int status = root ? 0 : -1;
    const json_t *names = json_object_get(root, "id2label");
    for (; status == 0 && l->count < count; l->count++)
        if ((status = read_label(names, l->count, &l->at[l->count], err)) != 0) {
            err_prefix(err, "'%s/config.json'", model_dir);
            break;
        }
    json_decref(root);
    if (status != 0)
        labels_release(l);
    return status;
}

void labels_release(Labels *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->at[i]);
    free(l->at);
    *l = (Labels){0};
}

int labels_find(const Labels *l, const char *name)
{
    for (size_t i = 0; i < l->count; i++)
        if (strcasecmp(l->at[i], name) == 0)
            return (int)i;
    return -1;
}

/* ---- writing ---- */

int file_write(const char *path, const char *text, size_t len, Err *err)
{
    char *temporary = xasprintf("%s.tmp.%ld", path, (long)getpid());
    FILE *f = fopen(temporary, "wb");
    bool ok =
        f && (len == 0 || fwrite(text, len, 1, f) == 1) && fflush(f) == 0 && fsync(fileno(f)) == 0;
    if (f && fclose(f) != 0)
        ok = false;
    ok = ok && rename(temporary, path) == 0;
    if (!ok) {
        err_set(err, "cannot write '%s': %s", path, strerror(errno));
        unlink(temporary);
    }
    free(temporary);
    return ok ? 0 : -1;
}

/* Takes over root. */
static int config_write(json_t *root, const char *to_dir, Err *err)
{
    char *path = xasprintf("%s/config.json", to_dir);
    char *json = json_dumps(root, JSON_INDENT(2));
    CHECK(json, "out of memory for %s", path);
    char *text = xasprintf("%s\n", json);
    int status = file_write(path, text, strlen(text), err);
    free(text);
    free(json);
    free(path);
    json_decref(root);
    return status;
}

static void set_labels(json_t *root, const Labels *l)
{
    json_t *id2label = json_object(), *label2id = json_object();
    for (size_t i = 0; i < l->count; i++) {
        char id[24];
        snprintf(id, sizeof id, "%zu", i);
        json_object_set_new(id2label, id, json_string(l->at[i]));
        json_object_set_new(label2id, l->at[i], json_integer((json_int_t)i));
    }
    json_object_set_new(root, "id2label", id2label);
    json_object_set_new(root, "label2id", label2id);
    json_object_del(root, "num_labels");
}

int config_write_classifier(const char *from_dir, const char *to_dir, const ModelConfig *c,
                            const Labels *l, Err *err)
{
    json_t *root = config_read(from_dir, err);
    if (!root)
        return -1;
    const char *name = c->type == MODEL_BERT ? "BertForSequenceClassification"
                                             : "DistilBertForSequenceClassification";
    json_object_set_new(root, "architectures", json_pack("[s]", name));
    json_object_set_new(root, "problem_type", json_string("single_label_classification"));
    json_object_set_new(root, "dtype", json_string("float32"));
    json_object_del(root, "torch_dtype");
    set_labels(root, l);
    return config_write(root, to_dir, err);
}

int config_write_gpt(const char *to_dir, const ModelConfig *c, Err *err)
{
    CHECK(c->type == MODEL_GPT2 && c->act == ACT_GELU_TANH, "not a GPT-2 of ours");
    json_t *root =
        json_pack("{s:[s], s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:f, s:b, s:n, s:n, s:s}",
                  "architectures", "GPT2LMHeadModel", "model_type", "gpt2", "vocab_size",
                  (json_int_t)c->vocab_size, "n_positions", (json_int_t)c->max_positions, "n_embd",
                  (json_int_t)c->d_model, "n_layer", (json_int_t)c->num_layers, "n_head",
                  (json_int_t)c->num_heads, "n_inner", (json_int_t)c->d_ff, "activation_function",
                  "gelu_new", "layer_norm_epsilon", (double)c->norm_eps, "tie_word_embeddings",
                  (int)c->tied_head, "bos_token_id", "eos_token_id", "dtype", "float32");
    CHECK(root, "out of memory for a config.json");
    return config_write(root, to_dir, err);
}

static int copy_file(const char *from, const char *to, Err *err)
{
    size_t len;
    char *text = file_read(from, MAX_TOKENIZER_BYTES, &len, err);
    if (!text)
        return -1;
    int status = file_write(to, text, len, err);
    free(text);
    return status;
}

int tokenizer_copy(const char *from_dir, const char *to_dir, Err *err)
{
    static const char *const names[] = {
        "vocab.txt",         "tokenizer_config.json",   "tokenizer.json",
        "added_tokens.json", "special_tokens_map.json", "vocab.json",
        "merges.txt",        "generation_config.json"};
    int status = 0;
    for (size_t i = 0; i < COUNT_OF(names) && status == 0; i++) {
        char *from = xasprintf("%s/%s", from_dir, names[i]);
        char *to = xasprintf("%s/%s", to_dir, names[i]);
        if (access(from, F_OK) == 0)
            status = copy_file(from, to, err);
        free(from);
        free(to);
    }
    return status;
}
