/* config: see config.h. */
#include "bench/serving/config.h"

#include <stdlib.h>
#include <string.h>

#include "bench/util/config_values.h"

const char *const serving_set_names[NUM_SETS] = {"benchmark", "validation", "test"};

/* ---- keys of the file itself ---- */

static int set_name(void *target, const TomlNode *v, Err *err)
{
    return config_text(v, &((ServingConfig *)target)->name, err);
}

static int set_model(void *target, const TomlNode *v, Err *err)
{
    return config_text(v, &((ServingConfig *)target)->model, err);
}

static int set_rounds(void *target, const TomlNode *v, Err *err)
{
    return config_int(v, 1, 10000, &((ServingConfig *)target)->rounds, err);
}

static int set_warmups(void *target, const TomlNode *v, Err *err)
{
    return config_int(v, 0, 100000, &((ServingConfig *)target)->warmups, err);
}

static int set_cold_starts(void *target, const TomlNode *v, Err *err)
{
    return config_int(v, 1, 1000, &((ServingConfig *)target)->cold_starts, err);
}

static int set_max_length(void *target, const TomlNode *v, Err *err)
{
    return config_int(v, 2, 1 << 20, &((ServingConfig *)target)->max_length, err);
}

static int set_threads(void *target, const TomlNode *v, Err *err)
{
    return config_int(v, 1, 4096, &((ServingConfig *)target)->threads, err);
}

static int set_seed(void *target, const TomlNode *v, Err *err)
{
    return config_int(v, 0, INT64_MAX, &((ServingConfig *)target)->seed, err);
}

static int set_max_wait(void *target, const TomlNode *v, Err *err)
{
    return config_seconds(v, &((ServingConfig *)target)->max_wait, err);
}

static const ConfigKey top_keys[] = {
    {"name", set_name},
    {"model", set_model},
    {"rounds", set_rounds},
    {"warmups", set_warmups},
    {"cold_starts", set_cold_starts},
    {"max_length", set_max_length},
    {"threads", set_threads},
    {"seed", set_seed},
    {"max_wait", set_max_wait},
};

/* ---- [data] and [implementations] ---- */

static int set_data(void *target, const TomlNode *v, Err *err)
{
    ServingConfig *c = target;
    size_t s = 0;
    while (strcmp(serving_set_names[s], v->key) != 0)
        s++;
    return config_text(v, &c->data[s], err);
}

static int set_implementation(void *target, const TomlNode *v, Err *err)
{
    ServingConfig *c = target;
    size_t k = implementation_find(v->key);
    bool wanted = false;
    if (config_bool(v, &wanted, err) != 0)
        return -1;
    if (k == 0 && !wanted)
        return err_set(err, "tare cannot be switched off: everything is compared with it");
    c->wanted[k] = wanted;
    return 0;
}

static int read_data(ServingConfig *c, const TomlNode *table, Err *err)
{
    ConfigKey keys[NUM_SETS];
    for (size_t s = 0; s < NUM_SETS; s++)
        keys[s] = (ConfigKey){serving_set_names[s], set_data};
    return config_read_keys(table, keys, NUM_SETS, NULL, c, c->path, err);
}

/* Tare, and those that can classify. */
static int read_implementations(ServingConfig *c, const TomlNode *table, Err *err)
{
    const Component *classify = component_find("classify");
    ConfigKey keys[NUM_IMPLEMENTATIONS];
    size_t count = 0;
    for (size_t k = 0; k < NUM_IMPLEMENTATIONS; k++)
        if (k == 0 || component_has_peer(classify, implementation_names[k]))
            keys[count++] = (ConfigKey){implementation_names[k], set_implementation};
    return config_read_keys(table, keys, count, NULL, c, c->path, err);
}

/* ---- the whole ---- */

static int read_table(ServingConfig *c, const TomlNode *document, const char *name,
                      int (*read)(ServingConfig *c, const TomlNode *table, Err *err), Err *err)
{
    const TomlNode *table = toml_get(document, name);
    if (!table)
        return 0;
    if (table->kind != TOML_TABLE) {
        config_wrong_type(table, "a table", err);
        return err_prefix(err, "%s:%d", c->path, table->line);
    }
    return read(c, table, err);
}

static int check_whole(const ServingConfig *c, Err *err)
{
    if (!c->model)
        return err_set(err, "%s: there is no 'model'", c->path);
    for (size_t s = 0; s < NUM_SETS; s++)
        if (!c->data[s] && s != SET_TEST)
            return err_set(err, "%s: there is no '%s' in [data]", c->path, serving_set_names[s]);
    return 0;
}

static int apply_setting(ServingConfig *c, const char *setting, Err *err)
{
    TomlNode document;
    if (config_parse_setting(&document, setting, err) != 0)
        return -1;
    int status = config_read_keys(&document, top_keys, COUNT_OF(top_keys), NULL, c, "--set", err);
    toml_release(&document);
    return status;
}

static int read_document(ServingConfig *c, const TomlNode *document, const TextList *settings,
                         Err *err)
{
    static const char *const others[] = {"task", "data", "implementations", NULL};
    if (config_read_keys(document, top_keys, COUNT_OF(top_keys), others, c, c->path, err) != 0 ||
        read_table(c, document, "data", read_data, err) != 0 ||
        read_table(c, document, "implementations", read_implementations, err) != 0)
        return -1;
    for (size_t i = 0; i < settings->count; i++)
        if (apply_setting(c, settings->at[i], err) != 0)
            return -1;
    return check_whole(c, err);
}

int serving_config_is(const char *path, bool *is, Err *err)
{
    size_t len;
    TomlNode document;
    char *text = file_read(path, TOML_MAX_BYTES, &len, err);
    if (!text)
        return -1;
    int status = toml_parse(&document, text, len, path, err);
    free(text);
    if (status != 0)
        return -1;
    const TomlNode *task = toml_get(&document, "task");
    *is = task && task->kind == TOML_STRING && strcmp(task->text, "sentiment") == 0;
    if (task && !*is)
        status = err_set(err, "%s:%d: task must be \"sentiment\"; a file of cells has none", path,
                         task->line);
    toml_release(&document);
    return status;
}

int serving_config_load_text(ServingConfig *c, const char *text, size_t len, const char *path,
                             const TextList *settings, Err *err)
{
    TomlNode document;
    if (toml_parse(&document, text, len, path, err) != 0)
        return -1;
    *c = (ServingConfig){.path = xstrdup(path),
                         .name = xstrdup("sentiment"),
                         .rounds = 20,
                         .warmups = 100,
                         .cold_starts = 3,
                         .seed = 1,
                         .max_wait = 600,
                         .wanted = {true, true, false, true}};
    int status = read_document(c, &document, settings, err);
    toml_release(&document);
    if (status != 0)
        serving_config_release(c);
    return status;
}

int serving_config_load(ServingConfig *c, const char *path, const TextList *settings, Err *err)
{
    size_t len;
    char *text = file_read(path, TOML_MAX_BYTES, &len, err);
    if (!text)
        return -1;
    int status = serving_config_load_text(c, text, len, path, settings, err);
    free(text);
    return status;
}

void serving_config_release(ServingConfig *c)
{
    for (size_t s = 0; s < NUM_SETS; s++)
        free(c->data[s]);
    free(c->path);
    free(c->name);
    free(c->model);
    *c = (ServingConfig){0};
}
