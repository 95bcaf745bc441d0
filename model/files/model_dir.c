/* model_dir: see model_dir.h. */
#include "model/files/model_dir.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "model/families/family.h"
#include "model/files/config_json.h"
#include "model/files/gguf.h"
#include "model/files/gguf_model.h"
#include "model/files/paths.h"
#include "model/json_edit.h"

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
    char key[24];
    snprintf(key, sizeof key, "%zu", id);
    const json_t *name = json_object_get(names, key);
    if (names && !name)
        return err_set(err, "id2label has no name for label %zu", id);
    if (!json_is_string(name)) {
        *label = xasprintf("LABEL_%zu", id);
        return 0;
    }
    if (!label_is_valid(json_string_value(name)))
        return err_set(err, "the name that id2label has for label %zu is not one of a single line",
                       id);
    *label = xstrdup(json_string_value(name));
    return 0;
}

static Scoring scoring_of(const json_t *root, size_t count)
{
    const char *type = json_string_value(json_object_get(root, "problem_type"));
    if (type && strcmp(type, "regression") == 0)
        return SCORING_NONE;
    bool several = type && strcmp(type, "multi_label_classification") == 0;
    return several || count == 1 ? SCORING_SIGMOID : SCORING_SOFTMAX;
}

int labels_load(Labels *l, const char *model_dir, size_t count, Err *err)
{
    json_t *root = config_json_read(model_dir, err);
    *l = (Labels){.at = xcalloc(count + 1, sizeof *l->at), .scoring = scoring_of(root, count)};
    int status = root ? 0 : -1;
    const json_t *names = json_object_get(root, "id2label");
    names = json_is_object(names) ? names : NULL;
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
    char *target = path_target(path); /* a link stays one */
    char *temporary = path_temporary(target, NULL);
    FILE *f = fopen(temporary, "wbx");
    if (f)
        temporary_lock(fileno(f));
    bool ok =
        f && (len == 0 || fwrite(text, len, 1, f) == 1) && fflush(f) == 0 && fsync(fileno(f)) == 0;
    if (f && fclose(f) != 0)
        ok = false;
    ok = ok && rename(temporary, target) == 0;
    if (!ok)
        err_set(err, "cannot write '%s': %s", path, strerror(errno));
    if (f && !ok)
        unlink(temporary);
    free(temporary);
    free(target);
    return ok ? 0 : -1;
}

static int text_write(const char *text, const char *to_dir, const char *name, Err *err)
{
    char *path = xasprintf("%s/%s", to_dir, name);
    int status = file_write(path, text, strlen(text), err);
    free(path);
    return status;
}

/* With a line's end. Takes over root, which may be NULL: err is set then. */
static int json_write(json_t *root, const char *to_dir, const char *name, size_t flags, Err *err)
{
    if (!root)
        return -1;
    OWNED char *json = json_dumps(root, flags);
    CHECK(json, "out of memory for %s", name);
    OWNED char *text = xasprintf("%s\n", json);
    json_decref(root);
    return text_write(text, to_dir, name, err);
}

/* Writes the config.json of from_dir with other values for the keys of `changes`, which it takes
 * over. */
static int config_edit(const char *from_dir, const char *to_dir, json_t *changes, Err *err)
{
    size_t len;
    char *path = xasprintf("%s/config.json", from_dir);
    char *old = file_read(path, CONFIG_JSON_MAX_BYTES, &len, err);
    char *text = old ? json_edit(old, changes) : NULL;
    int status = text ? text_write(text, to_dir, "config.json", err) : -1;
    free(text);
    free(old);
    free(path);
    json_decref(changes);
    return status;
}

static void set_labels(json_t *changes, const Labels *l)
{
    json_t *id2label = json_object(), *label2id = json_object();
    for (size_t i = 0; i < l->count; i++) {
        char id[24];
        snprintf(id, sizeof id, "%zu", i);
        json_object_set_new(id2label, id, json_string(l->at[i]));
        json_object_set_new(label2id, l->at[i], json_integer((json_int_t)i));
    }
    json_object_set_new(changes, "id2label", id2label);
    json_object_set_new(changes, "label2id", label2id);
    json_object_set_new(changes, "num_labels", json_null());
}

/* {"dtype": dtype}: under the library's present key, and the older one where from_dir's config.json
 * has it. NULL: err is set. */
static json_t *dtype_changes(const char *from_dir, const char *dtype, Err *err)
{
    json_t *root = config_json_read(from_dir, err), *changes = NULL;
    if (root)
        changes = json_pack("{s:s}", "dtype", dtype);
    if (json_object_get(root, "torch_dtype"))
        json_object_set_new(changes, "torch_dtype", json_string(dtype));
    json_decref(root);
    return changes;
}

int config_write_classifier(const char *from_dir, const char *to_dir, const ModelConfig *c,
                            const Labels *l, Err *err)
{
    json_t *changes = dtype_changes(from_dir, "float32", err);
    if (!changes)
        return -1;
    CHECK(c->family->classifier_class, "a classifier of a %s", c->family->model_type);
    json_object_set_new(changes, "architectures", json_pack("[s]", c->family->classifier_class));
    json_object_set_new(changes, "problem_type", json_string("single_label_classification"));
    set_labels(changes, l);
    return config_edit(from_dir, to_dir, changes, err);
}

/* rope_theta twice: in transformers 5 it stands in rope_parameters. */
static void set_rotary(json_t *root, const ModelConfig *c)
{
    const Heads h = model_heads(c);
    CHECK(c->qkv_bias == c->family->qkv_bias && c->qk_norm == c->family->qk_norm &&
              c->rope.factor == 0,
          "a %s of other layers than its family's", c->family->model_type);
    json_object_set_new(root, "num_key_value_heads", json_integer((json_int_t)h.kv));
    json_object_set_new(root, "head_dim", json_integer((json_int_t)h.channels));
    json_object_set_new(root, "rope_theta", json_real(c->rope.theta));
    json_object_set_new(
        root, "rope_parameters",
        json_pack("{s:s, s:f}", "rope_type", "default", "rope_theta", c->rope.theta));
}

int config_write_lm(const char *to_dir, const ModelConfig *c, Err *err)
{
    const Family *family = c->family;
    CHECK(family->lm_classes, "a language model of a %s", family->model_type);
    ModelConfig copy = *c;
    json_t *root = json_pack(
        "{s:[s], s:s, s:s, s:b, s:n, s:n, s:s}", "architectures", family->lm_classes[0],
        "model_type", family->model_type, family->act_key,
        family->rotary ? family->default_act : config_act_name(c->act), "tie_word_embeddings",
        (int)c->tied_head, "bos_token_id", "eos_token_id", "dtype", "float32");
    CHECK(root, "out of memory for a config.json");
    for (Dimension d = 0; d < NUM_LABELS; d++)
        if (family->keys[d].name)
            json_object_set_new(root, family->keys[d].name,
                                json_integer((json_int_t)*model_dimension(&copy, d)));
    if (family->rotary)
        set_rotary(root, c);
    if (family->eps_key)
        json_object_set_new(root, family->eps_key, json_real((double)c->norm_eps));
    return json_write(root, to_dir, "config.json", JSON_INDENT(2), err);
}

int config_write_dtype(const char *from_dir, const char *to_dir, const char *dtype, Err *err)
{
    if (path_is_gguf(from_dir)) {
        json_t *root = gguf_config(from_dir, err);
        if (root)
            json_object_set_new(root, "dtype", json_string(dtype));
        return json_write(root, to_dir, "config.json", JSON_INDENT(2), err);
    }
    json_t *changes = dtype_changes(from_dir, dtype, err);
    return changes ? config_edit(from_dir, to_dir, changes, err) : -1;
}

static int copy_file(const char *from, const char *to, Err *err)
{
    enum { MAX_TOKENIZER_BYTES = 256 << 20 };
    size_t len;
    char *text = file_read(from, MAX_TOKENIZER_BYTES, &len, err);
    if (!text)
        return -1;
    int status = file_write(to, text, len, err);
    free(text);
    return status;
}

const char *const model_dir_files[] = {
    "config.json",    "model.safetensors",      "vocab.txt",  "tokenizer_config.json",
    "tokenizer.json", "added_tokens.json",      "vocab.json", "special_tokens_map.json",
    "merges.txt",     "generation_config.json", NULL};

enum { FIRST_OF_TOKENIZER = 2 };

int tokenizer_copy(const char *from_dir, const char *to_dir, Err *err)
{
    int status = 0;
    if (path_is_gguf(from_dir))
        return json_write(gguf_tokenizer(from_dir, err), to_dir, "tokenizer.json", JSON_COMPACT,
                          err) != 0
                   ? -1
                   : json_write(gguf_tokenizer_config(from_dir, err), to_dir,
                                "tokenizer_config.json", JSON_INDENT(2), err);
    for (const char *const *name = model_dir_files + FIRST_OF_TOKENIZER; *name && status == 0;
         name++) {
        char *from = xasprintf("%s/%s", from_dir, *name);
        char *to = xasprintf("%s/%s", to_dir, *name);
        if (access(from, F_OK) == 0)
            status = copy_file(from, to, err);
        free(from);
        free(to);
    }
    return status;
}
