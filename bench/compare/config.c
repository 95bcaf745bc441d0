/* config: see config.h. */
#include "bench/compare/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/compare/expand.h"
#include "bench/util/config_values.h"

enum { MAX_ROUNDS = 100000 };

/* What the key being read belongs to. */
typedef struct Reader {
    CompareConfig *c;
    CompareModel *model;
    CellLists *lists;
} Reader;

/* ---- values ---- */

static int get_sizes(const TomlNode *v, size_t *out, size_t *count, Err *err)
{
    const TomlNode *items;
    if (config_list(v, &items, count, err) != 0)
        return -1;
    for (size_t i = 0; i < *count; i++) {
        int64_t value = 0;
        if (config_int(&items[i], 1, 1 << 20, &value, err) != 0)
            return -1;
        out[i] = (size_t)value;
    }
    return 0;
}

/* ---- keys of the file itself ---- */

static int set_name(void *target, const TomlNode *v, Err *err)
{
    return config_text(v, &((Reader *)target)->c->name, err);
}

static int set_rounds(void *target, const TomlNode *v, Err *err)
{
    return config_int(v, 1, MAX_ROUNDS, &((Reader *)target)->c->rounds, err);
}

static int set_threads(void *target, const TomlNode *v, Err *err)
{
    return config_int(v, 1, 4096, &((Reader *)target)->c->threads, err);
}

static int set_seed(void *target, const TomlNode *v, Err *err)
{
    return config_int(v, 0, INT64_MAX, &((Reader *)target)->c->seed, err);
}

static int set_max_wait(void *target, const TomlNode *v, Err *err)
{
    return config_seconds(v, &((Reader *)target)->c->max_wait, err);
}

static int set_peers(void *target, const TomlNode *v, Err *err)
{
    CompareConfig *c = ((Reader *)target)->c;
    bool list = v->kind == TOML_ARRAY;
    const TomlNode *items = list ? v->child : v;
    size_t count = list ? v->count : 1;
    for (size_t k = 1; k < NUM_IMPLEMENTATIONS; k++)
        c->wanted[k] = false;
    for (size_t i = 0; i < count; i++) {
        if (items[i].kind != TOML_STRING)
            return config_wrong_type(&items[i], "a string", err);
        size_t k = implementation_find(items[i].text);
        if (k == 0 || k == NUM_IMPLEMENTATIONS)
            return config_unknown("peer", items[i].text, implementation_names + 1,
                                  NUM_IMPLEMENTATIONS - 1, err);
        c->wanted[k] = true;
    }
    return 0;
}

static const ConfigKey top_keys[] = {{"name", set_name},         {"rounds", set_rounds},
                                     {"threads", set_threads},   {"seed", set_seed},
                                     {"max_wait", set_max_wait}, {"peers", set_peers}};

/* ---- keys of a [[model]] ---- */

static int set_model_name(void *target, const TomlNode *v, Err *err)
{
    const Reader *r = target;
    if (config_text(v, &r->model->name, err) != 0)
        return -1;
    for (const CompareModel *m = r->c->models; m < r->model; m++)
        if (strcmp(m->name, r->model->name) == 0)
            return err_set(err, "model '%s' is defined twice", m->name);
    return strlen(v->text) < 64 ? 0 : err_set(err, "a model's name has at most 63 bytes");
}

static int set_make(void *target, const TomlNode *v, Err *err)
{
    if (config_text(v, &((Reader *)target)->model->make, err) != 0)
        return -1;
    return strspn(v->text, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(v->text)
               ? 0
               : err_set(err, "make = '%s' is no name of bench/peers/make_models.py", v->text);
}

static int set_dir(void *target, const TomlNode *v, Err *err)
{
    return config_text(v, &((Reader *)target)->model->dir, err);
}

static const ConfigKey model_keys[] = {
    {"name", set_model_name}, {"make", set_make}, {"dir", set_dir}};

/* ---- keys of a [[cell]] ---- */

static int set_component(void *target, const TomlNode *v, Err *err)
{
    CellLists *lists = ((Reader *)target)->lists;
    const TomlNode *items;
    if (config_list(v, &items, &lists->num_components, err) != 0)
        return -1;
    for (size_t i = 0; i < lists->num_components; i++) {
        if (items[i].kind != TOML_STRING)
            return config_wrong_type(&items[i], "a string", err);
        const char *known[CONFIG_MAX_LIST];
        for (size_t k = 0; k < num_components; k++)
            known[k] = components[k].name;
        lists->components[i] = component_find(items[i].text);
        if (!lists->components[i])
            return config_unknown("component", items[i].text, known, num_components, err);
    }
    return 0;
}

static int set_cell_model(void *target, const TomlNode *v, Err *err)
{
    const Reader *r = target;
    const TomlNode *items;
    if (config_list(v, &items, &r->lists->num_models, err) != 0)
        return -1;
    for (size_t i = 0; i < r->lists->num_models; i++) {
        size_t m = 0;
        if (items[i].kind != TOML_STRING)
            return config_wrong_type(&items[i], "a string", err);
        while (m < r->c->num_models && strcmp(r->c->models[m].name, items[i].text) != 0)
            m++;
        if (m == r->c->num_models)
            return err_set(err, "no [[model]] is called '%s'", items[i].text);
        r->lists->models[i] = m;
    }
    return 0;
}

static int set_batch_size(void *target, const TomlNode *v, Err *err)
{
    CellLists *lists = ((Reader *)target)->lists;
    return get_sizes(v, lists->batch_sizes, &lists->num_batch_sizes, err);
}

static int set_seq_len(void *target, const TomlNode *v, Err *err)
{
    CellLists *lists = ((Reader *)target)->lists;
    return get_sizes(v, lists->seq_lens, &lists->num_seq_lens, err);
}

static int set_cell_rounds(void *target, const TomlNode *v, Err *err)
{
    return config_int(v, 1, MAX_ROUNDS, &((Reader *)target)->lists->rounds, err);
}

static int set_fresh_process(void *target, const TomlNode *v, Err *err)
{
    return config_bool(v, &((Reader *)target)->lists->fresh_process, err);
}

static int set_texts(void *target, const TomlNode *v, Err *err)
{
    return config_text(v, &((Reader *)target)->lists->texts, err);
}

static const ConfigKey cell_keys[] = {
    {"component", set_component},         {"model", set_cell_model},
    {"batch_size", set_batch_size},       {"seq_len", set_seq_len},
    {"rounds", set_cell_rounds},          {"texts", set_texts},
    {"fresh_process", set_fresh_process},
};

/* ---- tables ---- */

static const char *const arrays_of_tables[] = {"model", "cell", NULL};

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
        if (config_read_keys(&tables->child[i], model_keys, COUNT_OF(model_keys), NULL, r, c->path,
                             err) != 0)
            return -1;
        if (!r->model->name || !r->model->make == !r->model->dir)
            return err_set(err, "%s:%d: a [[model]] has a name, and either make or dir", c->path,
                           tables->child[i].line);
    }
    return 0;
}

static int read_cell(Reader *r, const TomlNode *table, Err *err)
{
    CompareConfig *c = r->c;
    CellLists l = {.rounds = 0};
    r->lists = &l;
    int status = config_read_keys(table, cell_keys, COUNT_OF(cell_keys), NULL, r, c->path, err);
    if (status == 0 && compare_expand(c, &l, err) != 0)
        status = err_prefix(err, "%s:%d", c->path, table->line);
    free(l.texts);
    return status;
}

static int read_cells(Reader *r, const TomlNode *document, Err *err)
{
    const TomlNode *tables = tables_of(r->c, document, "cell", err);
    for (size_t i = 0; tables && i < tables->count; i++)
        if (read_cell(r, &tables->child[i], err) != 0)
            return -1;
    return tables ? 0 : -1;
}

/* ---- the whole ---- */

static int apply_setting(Reader *r, const char *setting, Err *err)
{
    TomlNode document;
    if (config_parse_setting(&document, setting, err) != 0)
        return -1;
    int64_t rounds = r->c->rounds;
    r->c->rounds = 0;
    int status = config_read_keys(&document, top_keys, COUNT_OF(top_keys), NULL, r, "--set", err);
    for (size_t i = 0; r->c->rounds > 0 && i < r->c->num_cells; i++)
        r->c->cells[i].rounds = 0;
    if (r->c->rounds == 0)
        r->c->rounds = rounds;
    toml_release(&document);
    return status;
}

static int read_document(Reader *r, const TomlNode *document, const TextList *settings,
                         const char *filter, Err *err)
{
    CompareConfig *c = r->c;
    if (config_read_keys(document, top_keys, COUNT_OF(top_keys), arrays_of_tables, r, c->path,
                         err) != 0 ||
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

int compare_config_load_text(CompareConfig *c, const char *text, size_t len, const char *path,
                             const TextList *settings, const char *filter, Err *err)
{
    TomlNode document;
    if (toml_parse(&document, text, len, path, err) != 0)
        return -1;
    *c = (CompareConfig){.path = xstrdup(path),
                         .name = xstrdup("compare"),
                         .rounds = 20,
                         .seed = 1,
                         .max_wait = 600,
                         .wanted = {true, true, false, true, true}};
    int status = read_document(&(Reader){.c = c}, &document, settings, filter, err);
    toml_release(&document);
    if (status != 0)
        compare_config_release(c);
    return status;
}

int compare_config_load(CompareConfig *c, const char *path, const TextList *settings,
                        const char *filter, Err *err)
{
    size_t len;
    char *text = file_read(path, TOML_MAX_BYTES, &len, err);
    if (!text)
        return -1;
    int status = compare_config_load_text(c, text, len, path, settings, filter, err);
    free(text);
    return status;
}

void compare_config_release(CompareConfig *c)
{
    for (size_t i = 0; i < c->num_models; i++) {
        free(c->models[i].name);
        free(c->models[i].make);
        free(c->models[i].dir);
    }
    for (size_t i = 0; i < c->num_cells; i++)
        free(c->cells[i].texts);
    free(c->models);
    free(c->cells);
    free(c->path);
    free(c->name);
    *c = (CompareConfig){0};
}
