/* config: see config.h. */
#include "bench/precision/config.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_ROUNDS = 100000, MAX_SIZE = 1 << 20, MAX_NAME = 63 };

/* ---- keys of the file itself ---- */

static int set_name(void *target, const TomlNode *v, Err *err)
{
    return config_text(v, &((StudyConfig *)target)->name, err);
}

static int set_rounds(void *target, const TomlNode *v, Err *err)
{
    return config_int(v, 1, MAX_ROUNDS, &((StudyConfig *)target)->rounds, err);
}

static int set_threads(void *target, const TomlNode *v, Err *err)
{
    return config_int(v, 1, 4096, &((StudyConfig *)target)->threads, err);
}

static int set_seed(void *target, const TomlNode *v, Err *err)
{
    return config_int(v, 0, INT64_MAX, &((StudyConfig *)target)->seed, err);
}

/* fp32 first, then the others as they are listed, each once. */
static int set_formats(void *target, const TomlNode *v, Err *err)
{
    StudyConfig *c = target;
    const TomlNode *items;
    size_t count;
    bool listed[NUM_PRECISIONS] = {[PRECISION_FP32] = true};
    if (config_list(v, &items, &count, err) != 0)
        return -1;
    c->formats[0] = PRECISION_FP32;
    c->num_formats = 1;
    for (size_t i = 0; i < count; i++) {
        Precision p;
        if (items[i].kind != TOML_STRING)
            return config_wrong_type(&items[i], "a string", err);
        if (precision_parse(items[i].text, &p, err) != 0)
            return -1;
        if (!listed[p])
            c->formats[c->num_formats++] = p;
        listed[p] = true;
    }
    return 0;
}

static const ConfigKey top_keys[] = {{"name", set_name},
                                     {"rounds", set_rounds},
                                     {"threads", set_threads},
                                     {"seed", set_seed},
                                     {"formats", set_formats}};

/* ---- keys of a [[model]] ---- */

static int set_model_name(void *target, const TomlNode *v, Err *err)
{
    char **name = &((StudyModel *)target)->source.name;
    if (config_text(v, name, err) != 0)
        return -1;
    return strlen(*name) <= MAX_NAME
               ? 0
               : err_set(err, "a model's name has at most %d bytes", MAX_NAME);
}

static int set_make(void *target, const TomlNode *v, Err *err)
{
    char **make = &((StudyModel *)target)->source.make;
    if (config_text(v, make, err) != 0)
        return -1;
    return strspn(*make, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(*make)
               ? 0
               : err_set(err, "make = '%s' is no name of bench/peers/make_models.py", *make);
}

static int set_dir(void *target, const TomlNode *v, Err *err)
{
    return config_text(v, &((StudyModel *)target)->source.dir, err);
}

static int set_made_by(void *target, const TomlNode *v, Err *err)
{
    return config_text(v, &((StudyModel *)target)->made_by, err);
}

static int set_sizes(const TomlNode *v, size_t *sizes, size_t *count, Err *err)
{
    const TomlNode *items;
    if (config_list(v, &items, count, err) != 0)
        return -1;
    for (size_t i = 0; i < *count; i++) {
        int64_t size = 0;
        if (config_int(&items[i], 1, MAX_SIZE, &size, err) != 0)
            return -1;
        sizes[i] = (size_t)size;
    }
    return 0;
}

static int set_batch_size(void *target, const TomlNode *v, Err *err)
{
    StudyModel *m = target;
    return set_sizes(v, m->batch_sizes, &m->num_batch_sizes, err);
}

static int set_seq_len(void *target, const TomlNode *v, Err *err)
{
    StudyModel *m = target;
    return set_sizes(v, m->seq_lens, &m->num_seq_lens, err);
}

static int set_model_rounds(void *target, const TomlNode *v, Err *err)
{
    return config_int(v, 1, MAX_ROUNDS, &((StudyModel *)target)->rounds, err);
}

static int set_test(void *target, const TomlNode *v, Err *err)
{
    return config_text(v, &((StudyModel *)target)->test, err);
}

static int set_max_length(void *target, const TomlNode *v, Err *err)
{
    return config_int(v, 2, MAX_SIZE, &((StudyModel *)target)->max_length, err);
}

static int set_text(void *target, const TomlNode *v, Err *err)
{
    return config_text(v, &((StudyModel *)target)->text, err);
}

static int set_held_out(void *target, const TomlNode *v, Err *err)
{
    double *share = &((StudyModel *)target)->held_out;
    if (v->kind != TOML_REAL && v->kind != TOML_INTEGER)
        return config_wrong_type(v, "a number", err);
    *share = v->real;
    return *share > 0 && *share <= 1 ? 0
                                     : err_set(err, "held_out = %g is not within 0 to 1", v->real);
}

static const ConfigKey model_keys[] = {
    {"name", set_model_name},       {"make", set_make},         {"dir", set_dir},
    {"made_by", set_made_by},       {"test", set_test},         {"text", set_text},
    {"batch_size", set_batch_size}, {"seq_len", set_seq_len},   {"rounds", set_model_rounds},
    {"max_length", set_max_length}, {"held_out", set_held_out},
};

/* ---- the whole ---- */

static int check_model(const StudyConfig *c, const StudyModel *m, Err *err)
{
    if (!m->source.name || !m->source.make == !m->source.dir)
        return err_set(err, "a [[model]] has a name, and either make or dir");
    for (const StudyModel *other = c->models; other < m; other++)
        if (strcmp(other->source.name, m->source.name) == 0)
            return err_set(err, "model '%s' is defined twice", m->source.name);
    if (!m->num_batch_sizes != !m->num_seq_lens)
        return err_set(err, "batch_size and seq_len belong together");
    if (!m->num_batch_sizes && !m->test && !m->text)
        return err_set(err,
                       "nothing is asked of this model: batch_size and seq_len, test, or text");
    return 0;
}

static int read_models(StudyConfig *c, const TomlNode *document, Err *err)
{
    const TomlNode *tables = toml_get(document, "model");
    if (!tables || tables->kind != TOML_ARRAY || tables->count == 0)
        return err_set(err, "%s: no [[model]] table", c->path);
    c->models = xcalloc(tables->count, sizeof *c->models);
    for (size_t i = 0; i < tables->count; i++) {
        const TomlNode *table = &tables->child[i];
        if (table->kind != TOML_TABLE)
            return err_set(err, "%s:%d: no [[model]] table", c->path, table->line);
        StudyModel *m = &c->models[c->num_models++];
        *m = (StudyModel){.rounds = c->rounds, .max_length = 128, .held_out = 0.1};
        if (config_read_keys(table, model_keys, COUNT_OF(model_keys), NULL, m, c->path, err) != 0)
            return -1;
        if (check_model(c, m, err) != 0)
            return err_prefix(err, "%s:%d", c->path, table->line);
    }
    return 0;
}

int study_config_load(StudyConfig *c, const char *path, Err *err)
{
    static const char *const tables[] = {"model", NULL};
    size_t len;
    TomlNode document;
    char *text = file_read(path, TOML_MAX_BYTES, &len, err);
    if (!text)
        return -1;
    int status = toml_parse(&document, text, len, path, err);
    free(text);
    if (status != 0)
        return -1;
    *c = (StudyConfig){.path = xstrdup(path),
                       .name = xstrdup("precision"),
                       .rounds = 20,
                       .seed = 1,
                       .num_formats = NUM_PRECISIONS};
    for (size_t i = 0; i < NUM_PRECISIONS; i++)
        c->formats[i] = (Precision)i;
    if (config_read_keys(&document, top_keys, COUNT_OF(top_keys), tables, c, path, err) != 0 ||
        read_models(c, &document, err) != 0)
        status = -1;
    toml_release(&document);
    if (status != 0)
        study_config_release(c);
    return status;
}

void study_config_release(StudyConfig *c)
{
    for (size_t i = 0; i < c->num_models; i++) {
        StudyModel *m = &c->models[i];
        free(m->source.name);
        free(m->source.make);
        free(m->source.dir);
        free(m->made_by);
        free(m->test);
        free(m->text);
    }
    free(c->models);
    free(c->path);
    free(c->name);
    *c = (StudyConfig){0};
}
