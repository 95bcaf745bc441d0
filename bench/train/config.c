/* config: see config.h. */
#include "bench/train/config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/util/toml.h"

typedef enum Kind { KIND_TEXT, KIND_INTEGER, KIND_REAL, KIND_LABELS } Kind;

enum { SENTIMENT = 1 << TASK_SENTIMENT, GPT = 1 << TASK_GPT, BOTH = SENTIMENT | GPT };
enum { REQUIRED = 1, MAY_CHANGE = 2 /* when a training is taken up again */ };

typedef struct Key {
    const char *section, *name;
    Kind kind;
    unsigned tasks, flags;
    size_t place;              /* in TrainConfig */
    double min, max, fallback; /* of numbers */
} Key;

/* A key is called like its member. */
#define NUMBER(kind, section, name, tasks, flags, min, max, fallback)                              \
    {                                                                                              \
        section, #name, kind, tasks, flags, offsetof(TrainConfig, name), min, max, fallback        \
    }
#define INTEGER(...)                      NUMBER(KIND_INTEGER, __VA_ARGS__)
#define REAL(...)                         NUMBER(KIND_REAL, __VA_ARGS__)
#define TEXT(section, name, tasks, flags) NUMBER(KIND_TEXT, section, name, tasks, flags, 0, 0, 0)
#define LABELS(section, name, tasks, flags)                                                        \
    NUMBER(KIND_LABELS, section, name, tasks, flags, 0, 0, 0)

static const Key keys[] = {
    TEXT("", out, BOTH, REQUIRED | MAY_CHANGE),
    TEXT("data", train, SENTIMENT, REQUIRED | MAY_CHANGE),
    TEXT("data", development, SENTIMENT, MAY_CHANGE),
    TEXT("data", test, SENTIMENT, MAY_CHANGE),
    LABELS("data", labels, SENTIMENT, REQUIRED),
    INTEGER("data", max_length, SENTIMENT, 0, 2, 1 << 20, 128),
    TEXT("data", text, GPT, REQUIRED | MAY_CHANGE),
    REAL("data", held_out, GPT, 0, 0, 0.5, 0.1),
    TEXT("model", checkpoint, SENTIMENT, REQUIRED | MAY_CHANGE),
    INTEGER("model", d_model, GPT, REQUIRED, 1, MAX_DIMENSION, 0),
    INTEGER("model", num_layers, GPT, REQUIRED, 1, 10000, 0),
    INTEGER("model", num_heads, GPT, REQUIRED, 1, MAX_DIMENSION, 0),
    INTEGER("model", context, GPT, REQUIRED, 1, 1 << 20, 0),
    INTEGER("training", epochs, BOTH, REQUIRED, 1, 1e6, 0),
    INTEGER("training", batch_size, BOTH, REQUIRED, 1, 1 << 16, 0),
    INTEGER("training", accumulate, BOTH, 0, 1, 1 << 16, 1),
    REAL("training", learning_rate, BOTH, REQUIRED, 1e-12, 1e6, 0),
    REAL("training", warmup, BOTH, 0, 0, 1, 0),
    REAL("training", weight_decay, BOTH, 0, 0, 1, 0.01),
    REAL("training", max_grad_norm, BOTH, 0, 0, 1e9, 1),
    REAL("training", dropout, BOTH, 0, 0, 0.95, 0),
    INTEGER("training", seed, BOTH, 0, 0, 0x1p53, 1),
    INTEGER("training", save_every, BOTH, MAY_CHANGE, 0, 1e9, 0),
};

static const char *const task_names[] = {[TASK_SENTIMENT] = "sentiment", [TASK_GPT] = "gpt"};

static void *place_of(const TrainConfig *c, const Key *key)
{
    return (char *)c + key->place;
}

/* ---- values ---- */

static int set_number(TrainConfig *c, const Key *key, double value, Err *err)
{
    if (!(value >= key->min && value <= key->max))
        return err_set(err, "%s is %g, but must be from %g to %g", key->name, value, key->min,
                       key->max);
    if (key->kind == KIND_INTEGER)
        *(int64_t *)place_of(c, key) = (int64_t)value;
    else
        *(double *)place_of(c, key) = value;
    return 0;
}

static int set_labels(Labels *l, const TomlNode *list, Err *err)
{
    l->at = xcalloc(list->count + 1, sizeof *l->at);
    for (size_t i = 0; i < list->count; i++) {
        const TomlNode *name = &list->child[i];
        if (name->kind != TOML_STRING || !*name->text)
            return err_set(err, "labels has something else than names");
        if (!label_is_valid(name->text))
            return err_set(err, "label '%s' has a control character", name->text);
        if (labels_find(l, name->text) >= 0)
            return err_set(err, "labels has '%s' twice", name->text);
        l->at[l->count++] = xstrdup(name->text);
    }
    return l->count >= 2 ? 0 : err_set(err, "labels must name at least two");
}

static bool kind_fits(Kind kind, TomlKind value)
{
    switch (kind) {
    case KIND_TEXT:
        return value == TOML_STRING;
    case KIND_INTEGER:
        return value == TOML_INTEGER;
    case KIND_REAL:
        return value == TOML_REAL || value == TOML_INTEGER;
    case KIND_LABELS:
        return value == TOML_ARRAY;
    }
    return false;
}

static int set_value(TrainConfig *c, const Key *key, const TomlNode *value, Err *err)
{
    static const char *const wanted[] = {"a string", "an integer", "a number", "a list of names"};
    if (!kind_fits(key->kind, value->kind))
        return err_set(err, "%s is %s, not %s", key->name, toml_kind_name(value->kind),
                       wanted[key->kind]);
    if (key->kind == KIND_LABELS)
        return set_labels(place_of(c, key), value, err);
    if (key->kind != KIND_TEXT)
        return set_number(c, key, value->real, err);
    if (!*value->text)
        return err_set(err, "%s is empty", key->name);
    *(char **)place_of(c, key) = xstrdup(value->text);
    return 0;
}

/* ---- the document ---- */

/* Says where a key that does not belong here does belong, or what was perhaps meant. */
static int wrong_key(const char *section, const char *name, Err *err)
{
    const char *names[COUNT_OF(keys)];
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        names[i] = keys[i].name;
        if (strcmp(keys[i].name, name) != 0)
            continue;
        if (strcmp(keys[i].section, section) == 0)
            return err_set(err, "'%s' is for task = \"%s\"", name,
                           task_names[keys[i].tasks == GPT ? TASK_GPT : TASK_SENTIMENT]);
        return err_set(err, "'%s' belongs %s%s%s", name, *keys[i].section ? "into [" : "at the top",
                       keys[i].section, *keys[i].section ? "]" : "");
    }
    const char *near = nearest_name(name, names, COUNT_OF(names));
    return err_set(err, "unknown key '%s'%s%s%s", name, near ? "; did you mean '" : "",
                   near ? near : "", near ? "'?" : "");
}

static int read_key(TrainConfig *c, const char *section, const TomlNode *value, Err *err)
{
    for (size_t i = 0; i < COUNT_OF(keys); i++)
        if (strcmp(keys[i].name, value->key) == 0 && strcmp(keys[i].section, section) == 0 &&
            keys[i].tasks >> c->task & 1)
            return set_value(c, &keys[i], value, err);
    return wrong_key(section, value->key, err);
}

static int read_table(TrainConfig *c, const char *section, const TomlNode *table, Err *err)
{
    static const char *const sections[] = {"data", "model", "training"};
    bool top = !*section;
    for (size_t i = 0; i < table->count; i++) {
        const TomlNode *value = &table->child[i];
        bool known = false;
        for (size_t s = 0; top && s < COUNT_OF(sections); s++)
            known |= strcmp(value->key, sections[s]) == 0;
        int status = 0;
        if (known && value->kind == TOML_TABLE) {
            if (read_table(c, value->key, value, err) != 0)
                return -1;
        } else if (top && strcmp(value->key, "task") == 0) {
            continue;
        } else {
            status = read_key(c, section, value, err);
        }
        if (status != 0)
            return err_prefix(err, "%s:%d", c->path, value->line);
    }
    return 0;
}

static int read_task(TrainConfig *c, const TomlNode *document, Err *err)
{
    const TomlNode *task = toml_get(document, "task");
    for (size_t i = 0; task && i < COUNT_OF(task_names); i++)
        if (task->kind == TOML_STRING && strcmp(task->text, task_names[i]) == 0) {
            c->task = (TrainTask)i;
            return 0;
        }
    if (task)
        return err_set(err, "%s:%d: task must be \"sentiment\" or \"gpt\"", c->path, task->line);
    return err_set(err, "%s: there is no task; \"sentiment\" and \"gpt\" exist", c->path);
}

static void set_fallbacks(TrainConfig *c)
{
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        if (keys[i].kind == KIND_INTEGER)
            *(int64_t *)place_of(c, &keys[i]) = (int64_t)keys[i].fallback;
        else if (keys[i].kind == KIND_REAL)
            *(double *)place_of(c, &keys[i]) = keys[i].fallback;
    }
}

/* No key that is required may be 0. */
static bool is_missing(const TrainConfig *c, const Key *key)
{
    switch (key->kind) {
    case KIND_TEXT:
        return !*(char **)place_of(c, key);
    case KIND_LABELS:
        return ((const Labels *)place_of(c, key))->count == 0;
    case KIND_INTEGER:
        return *(int64_t *)place_of(c, key) == 0;
    case KIND_REAL:
        return *(double *)place_of(c, key) == 0;
    }
    return false;
}

static int check_whole(const TrainConfig *c, Err *err)
{
    for (size_t i = 0; i < COUNT_OF(keys); i++)
        if (keys[i].tasks >> c->task & 1 && keys[i].flags & REQUIRED && is_missing(c, &keys[i]))
            return err_set(err, "%s: there is no '%s'%s%s%s", c->path, keys[i].name,
                           *keys[i].section ? " in [" : "", keys[i].section,
                           *keys[i].section ? "]" : "");
    if (c->task == TASK_GPT && c->d_model % c->num_heads != 0)
        return err_set(err, "%s: num_heads %" PRId64 " does not divide d_model %" PRId64, c->path,
                       c->num_heads, c->d_model);
    return 0;
}

int train_config_load_text(TrainConfig *c, const char *text, size_t len, const char *path, Err *err)
{
    TomlNode document;
    if (toml_parse(&document, text, len, path, err) != 0)
        return -1;
    *c = (TrainConfig){.path = xstrdup(path)};
    set_fallbacks(c);
    int status = read_task(c, &document, err);
    if (status == 0)
        status = read_table(c, "", &document, err);
    if (status == 0)
        status = check_whole(c, err);
    toml_release(&document);
    if (status != 0)
        train_config_release(c);
    return status;
}

int train_config_load(TrainConfig *c, const char *path, Err *err)
{
    size_t len;
    char *text = file_read(path, TOML_MAX_BYTES, &len, err);
    if (!text)
        return -1;
    int status = train_config_load_text(c, text, len, path, err);
    free(text);
    return status;
}

void train_config_release(TrainConfig *c)
{
    for (size_t i = 0; i < COUNT_OF(keys); i++)
        if (keys[i].kind == KIND_TEXT)
            free(*(char **)place_of(c, &keys[i]));
    labels_release(&c->labels);
    free(c->path);
    *c = (TrainConfig){0};
}

static char *value_text(const TrainConfig *c, const Key *key)
{
    switch (key->kind) {
    case KIND_TEXT:
        return xstrdup(*(char **)place_of(c, key));
    case KIND_INTEGER:
        return xasprintf("%" PRId64, *(int64_t *)place_of(c, key));
    case KIND_REAL:
        return xasprintf("%.17g", *(double *)place_of(c, key));
    case KIND_LABELS:
        break;
    }
    const Labels *l = place_of(c, key);
    char *text = xstrdup("");
    for (size_t i = 0; i < l->count; i++) {
        char *longer = xasprintf("%s%s%s", text, i ? "," : "", l->at[i]);
        free(text);
        text = longer;
    }
    return text;
}

char *train_config_identity(const TrainConfig *c)
{
    char *all = xasprintf("task=%s\n", task_names[c->task]);
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        if (keys[i].flags & MAY_CHANGE || !(keys[i].tasks >> c->task & 1))
            continue;
        char *value = value_text(c, &keys[i]);
        char *longer = xasprintf("%s%s=%s\n", all, keys[i].name, value);
        free(value);
        free(all);
        all = longer;
    }
    return all;
}
