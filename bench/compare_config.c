/* compare_config: see compare_config.h. */
#include "compare_config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compare_expand.h"
#include "toml.h"
#include "units.h"

const char *const alternative_names[NUM_ALTERNATIVES] = {"tare", "pytorch", "pytorch_compile",
                                                         "onnxruntime", "tokenizers"};

enum { MAX_ROUNDS = 100000 };

/* What the key being read belongs to. */
typedef struct Reader {
    CompareConfig *c;
    CompareModel *model;
    CellLists *lists;
} Reader;

typedef struct Key {
    const char *name;
    int (*set)(Reader *r, const TomlNode *value, Err *err);
} Key;

/* ---- values ---- */

static int wrong_type(const TomlNode *v, const char *wanted, Err *err)
{
    return err_set(err, "%s is %s, not %s", v->key ? v->key : "an entry", toml_kind_name(v->kind),
                   wanted);
}

static int get_int(const TomlNode *v, const char *key, int64_t min, int64_t max, int64_t *out,
                   Err *err)
{
    if (v->kind != TOML_INTEGER)
        return wrong_type(v, "an integer", err);
    if (v->integer < min || v->integer > max)
        return err_set(err, "%s = %lld is not within %lld to %lld", key, (long long)v->integer,
                       (long long)min, (long long)max);
    *out = v->integer;
    return 0;
}

static int get_text(const TomlNode *v, char **out, Err *err)
{
    if (v->kind != TOML_STRING)
        return wrong_type(v, "a string", err);
    if (!*v->text)
        return err_set(err, "%s is empty", v->key);
    free(*out);
    *out = xstrdup(v->text);
    return 0;
}

static int unknown(const char *what, const char *name, const char *const *known, size_t count,
                   Err *err)
{
    const char *near = nearest_name(name, known, count);
    return err_set(err, "unknown %s '%s'%s%s%s", what, name, near ? "; did you mean '" : "",
                   near ? near : "", near ? "'?" : "");
}

/* A scalar counts as a list of one. */
static int list_of(const TomlNode *v, const TomlNode **items, size_t *count, Err *err)
{
    bool list = v->kind == TOML_ARRAY;
    *items = list ? v->child : v;
    *count = list ? v->count : 1;
    if (*count == 0 || *count > COMPARE_MAX_LIST)
        return err_set(err, "%s lists %zu values; 1 to %d are possible", v->key, *count,
                       COMPARE_MAX_LIST);
    return 0;
}

static int get_sizes(const TomlNode *v, size_t *out, size_t *count, Err *err)
{
    const TomlNode *items;
    if (list_of(v, &items, count, err) != 0)
        return -1;
    for (size_t i = 0; i < *count; i++) {
        int64_t value = 0;
        if (get_int(&items[i], v->key, 1, 1 << 20, &value, err) != 0)
            return -1;
        out[i] = (size_t)value;
    }
    return 0;
}

/* ---- keys of the file itself ---- */

static int set_name(Reader *r, const TomlNode *v, Err *err)
{
    return get_text(v, &r->c->name, err);
}

static int set_rounds(Reader *r, const TomlNode *v, Err *err)
{
    return get_int(v, v->key, 1, MAX_ROUNDS, &r->c->rounds, err);
}

static int set_threads(Reader *r, const TomlNode *v, Err *err)
{
    return get_int(v, v->key, 1, 4096, &r->c->threads, err);
}

static int set_seed(Reader *r, const TomlNode *v, Err *err)
{
    return get_int(v, v->key, 0, INT64_MAX, &r->c->seed, err);
}

static int set_max_wait(Reader *r, const TomlNode *v, Err *err)
{
    if (v->text && v->kind != TOML_BOOLEAN && parse_duration(v->text, &r->c->max_wait) == 0)
        return 0;
    return err_set(err, "max_wait is not a time like \"10m\"");
}

static int set_peers(Reader *r, const TomlNode *v, Err *err)
{
    bool list = v->kind == TOML_ARRAY;
    const TomlNode *items = list ? v->child : v;
    size_t count = list ? v->count : 1;
    for (size_t k = 1; k < NUM_ALTERNATIVES; k++)
        r->c->wanted[k] = false;
    for (size_t i = 0; i < count; i++) {
        size_t k = 1;
        if (items[i].kind != TOML_STRING)
            return wrong_type(&items[i], "a string", err);
        while (k < NUM_ALTERNATIVES && strcmp(alternative_names[k], items[i].text) != 0)
            k++;
        if (k == NUM_ALTERNATIVES)
            return unknown("peer", items[i].text, alternative_names + 1, NUM_ALTERNATIVES - 1, err);
        r->c->wanted[k] = true;
    }
    return 0;
}

static const Key top_keys[] = {{"name", set_name},         {"rounds", set_rounds},
                               {"threads", set_threads},   {"seed", set_seed},
                               {"max_wait", set_max_wait}, {"peers", set_peers}};

/* ---- keys of a [[model]] ---- */

static int set_model_name(Reader *r, const TomlNode *v, Err *err)
{
    if (get_text(v, &r->model->name, err) != 0)
        return -1;
    for (const CompareModel *m = r->c->models; m < r->model; m++)
        if (strcmp(m->name, r->model->name) == 0)
            return err_set(err, "model '%s' is defined twice", m->name);
    return strlen(v->text) < 64 ? 0 : err_set(err, "a model's name has at most 63 bytes");
}

static int set_make(Reader *r, const TomlNode *v, Err *err)
{
    if (get_text(v, &r->model->make, err) != 0)
        return -1;
    return strspn(v->text, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(v->text)
               ? 0
               : err_set(err, "make = '%s' is no name of bench/peers/make_models.py", v->text);
}

static int set_dir(Reader *r, const TomlNode *v, Err *err)
{
    return get_text(v, &r->model->dir, err);
}

static const Key model_keys[] = {{"name", set_model_name}, {"make", set_make}, {"dir", set_dir}};

/* ---- keys of a [[cell]] ---- */

static int set_component(Reader *r, const TomlNode *v, Err *err)
{
    const TomlNode *items;
    if (list_of(v, &items, &r->lists->num_components, err) != 0)
        return -1;
    for (size_t i = 0; i < r->lists->num_components; i++) {
        if (items[i].kind != TOML_STRING)
            return wrong_type(&items[i], "a string", err);
        const char *known[COMPARE_MAX_LIST];
        for (size_t k = 0; k < num_components; k++)
            known[k] = components[k].name;
        r->lists->components[i] = component_find(items[i].text);
        if (!r->lists->components[i])
            return unknown("component", items[i].text, known, num_components, err);
    }
    return 0;
}

static int set_cell_model(Reader *r, const TomlNode *v, Err *err)
{
    const TomlNode *items;
    if (list_of(v, &items, &r->lists->num_models, err) != 0)
        return -1;
    for (size_t i = 0; i < r->lists->num_models; i++) {
        size_t m = 0;
        if (items[i].kind != TOML_STRING)
            return wrong_type(&items[i], "a string", err);
        while (m < r->c->num_models && strcmp(r->c->models[m].name, items[i].text) != 0)
            m++;
        if (m == r->c->num_models)
            return err_set(err, "no [[model]] is called '%s'", items[i].text);
        r->lists->models[i] = m;
    }
    return 0;
}

static int set_batch_size(Reader *r, const TomlNode *v, Err *err)
{
    return get_sizes(v, r->lists->batch_sizes, &r->lists->num_batch_sizes, err);
}

static int set_seq_len(Reader *r, const TomlNode *v, Err *err)
{
    return get_sizes(v, r->lists->seq_lens, &r->lists->num_seq_lens, err);
}

static int set_cell_rounds(Reader *r, const TomlNode *v, Err *err)
{
    return get_int(v, v->key, 1, MAX_ROUNDS, &r->lists->rounds, err);
}

static int set_fresh_process(Reader *r, const TomlNode *v, Err *err)
{
    r->lists->fresh_process = v->boolean;
    return v->kind == TOML_BOOLEAN ? 0 : wrong_type(v, "true or false", err);
}

static const Key cell_keys[] = {
    {"component", set_component},   {"model", set_cell_model},
    {"batch_size", set_batch_size}, {"seq_len", set_seq_len},
    {"rounds", set_cell_rounds},    {"fresh_process", set_fresh_process}};

/* ---- tables ---- */

/* Every key of the table but those that are [[arrays]] of tables. */
static int read_keys(Reader *r, const TomlNode *table, const Key *keys, size_t num_keys, Err *err)
{
    for (size_t i = 0; i < table->count; i++) {
        const TomlNode *v = &table->child[i];
        const char *known[COMPARE_MAX_LIST];
        size_t k = 0;
        while (k < num_keys && strcmp(keys[k].name, v->key) != 0)
            k++;
        if (k < num_keys) {
            if (keys[k].set(r, v, err) != 0)
                return err_prefix(err, "%s:%d", r->c->path, v->line);
            continue;
        }
        if (keys == top_keys && (strcmp(v->key, "model") == 0 || strcmp(v->key, "cell") == 0))
            continue;
        for (k = 0; k < num_keys; k++)
            known[k] = keys[k].name;
        unknown("key", v->key, known, num_keys, err);
        return err_prefix(err, "%s:%d", r->c->path, v->line);
    }
    return 0;
}

/* The [[name]] tables of the document; none is an error. */
static const TomlNode *tables_of(const CompareConfig *c, const TomlNode *document, const char *name,
                                 Err *err)
{
    const TomlNode *tables = toml_get(document, name);
    bool right = tables && tables->kind == TOML_ARRAY && tables->count > 0;
    for (size_t i = 0; right && i < tables->count; i++)
        right = tables->child[i].kind == TOML_TABLE;
    if (right)
        return tables;
    err_set(err, "%s: no [[%s]] table", c->path, name);
    return NULL;
}

static int read_models(Reader *r, const TomlNode *document, Err *err)
{
    CompareConfig *c = r->c;
    const TomlNode *tables = tables_of(c, document, "model", err);
    if (!tables)
        return -1;
    c->models = xcalloc(tables->count, sizeof *c->models);
    for (size_t i = 0; i < tables->count; i++) {
        r->model = &c->models[c->num_models++];
        if (read_keys(r, &tables->child[i], model_keys, COUNT_OF(model_keys), err) != 0)
            return -1;
        if (!r->model->name || !r->model->make == !r->model->dir)
            return err_set(err, "%s:%d: a [[model]] has a name, and either make or dir", c->path,
                           tables->child[i].line);
    }
    return 0;
}

static int read_cells(Reader *r, const TomlNode *document, Err *err)
{
    CompareConfig *c = r->c;
    const TomlNode *tables = tables_of(c, document, "cell", err);
    for (size_t i = 0; tables && i < tables->count; i++) {
        CellLists l = {.rounds = 0};
        r->lists = &l;
        if (read_keys(r, &tables->child[i], cell_keys, COUNT_OF(cell_keys), err) != 0)
            return -1;
        int status = 0;
        if (l.num_components == 0 || l.num_models == 0 || l.num_batch_sizes == 0)
            status = err_set(err, "a [[cell]] has component, model and batch_size");
        if (status != 0 || compare_expand(c, &l, err) != 0)
            return err_prefix(err, "%s:%d", c->path, tables->child[i].line);
    }
    return tables ? 0 : -1;
}

/* ---- --set ---- */

/* The value as TOML if it is some, else as a string. */
static int parse_setting(TomlNode *document, const char *setting, Err *err)
{
    Err ignored;
    const char *equals = strchr(setting, '=');
    if (!equals || equals == setting)
        return err_set(err, "--set '%s' is not key=value", setting);
    if (toml_parse(document, setting, strlen(setting), "--set", &ignored) == 0)
        return 0;
    char *quoted = xasprintf("%.*s = '%s'", (int)(equals - setting), setting, equals + 1);
    int status = toml_parse(document, quoted, strlen(quoted), "--set", err);
    free(quoted);
    return status;
}

static int apply_setting(Reader *r, const char *setting, Err *err)
{
    TomlNode document;
    if (parse_setting(&document, setting, err) != 0)
        return -1;
    int64_t rounds = r->c->rounds;
    r->c->rounds = 0;
    int status = read_keys(r, &document, top_keys, COUNT_OF(top_keys), err);
    for (size_t i = 0; r->c->rounds > 0 && i < r->c->num_cells; i++)
        r->c->cells[i].rounds = 0;
    if (r->c->rounds == 0)
        r->c->rounds = rounds;
    toml_release(&document);
    return status;
}

/* ---- the whole ---- */

static int read_document(Reader *r, const TomlNode *document, const TextList *settings,
                         const char *filter, Err *err)
{
    CompareConfig *c = r->c;
    if (read_keys(r, document, top_keys, COUNT_OF(top_keys), err) != 0 ||
        read_models(r, document, err) != 0 || read_cells(r, document, err) != 0)
        return -1;
    for (size_t i = 0; i < settings->count; i++)
        if (apply_setting(r, settings->at[i], err) != 0)
            return -1;
    for (size_t i = 0; i < c->num_cells; i++)
        if (c->cells[i].rounds == 0)
            c->cells[i].rounds = (size_t)c->rounds;
    return filter ? compare_filter(c, filter, err) : 0;
}

int compare_config_load(CompareConfig *c, const char *path, const TextList *settings,
                        const char *filter, Err *err)
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
    *c = (CompareConfig){.path = xstrdup(path),
                         .name = xstrdup("compare"),
                         .rounds = 20,
                         .seed = 1,
                         .max_wait = 600,
                         .wanted = {true, true, false, true, true}};
    status = read_document(&(Reader){.c = c}, &document, settings, filter, err);
    toml_release(&document);
    if (status != 0)
        compare_config_release(c);
    return status;
}

void compare_config_release(CompareConfig *c)
{
    for (size_t i = 0; i < c->num_models; i++) {
        free(c->models[i].name);
        free(c->models[i].make);
        free(c->models[i].dir);
    }
    free(c->models);
    free(c->cells);
    free(c->path);
    free(c->name);
    *c = (CompareConfig){0};
}
