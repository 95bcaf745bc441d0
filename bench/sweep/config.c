/* config: see config.h. */
#include "bench/sweep/config.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/util/toml.h"
#include "bench/util/units.h"

/* Where a value comes from decides what it may be. */
typedef enum Source { FROM_DEFAULTS, FROM_SWEEP, FROM_SETTING } Source;

enum { MAX_KEYS = 64 };

static int unknown_key(const char *place, const char *key, const char *const *known, size_t count,
                       Err *err)
{
    const char *near = nearest_name(key, known, count);
    if (near)
        return err_set(err, "%s: unknown key '%s'; did you mean '%s'?", place, key, near);
    return err_set(err, "%s: unknown key '%s'", place, key);
}

/* ---- the values of a field ---- */

/* warmup_mode is a column, but follows from num_warmups. */
static bool is_key(const Field *f)
{
    return f->group == FIELD_CONFIG && f->option;
}

static int unknown_field(const char *place, const char *key, Err *err)
{
    const char *known[MAX_KEYS];
    size_t count = 0;
    const Field *f = row_field(key);
    if (f && f->group == FIELD_MODEL)
        return err_set(err, "%s: '%s' belongs in a [[model]] entry", place, key);
    for (size_t i = 0; i < num_row_fields && count < MAX_KEYS - 2; i++)
        if (is_key(&row_fields[i]))
            known[count++] = row_fields[i].name;
    known[count++] = "max_memory";
    known[count++] = "max_row_time";
    return unknown_key(place, key, known, count, err);
}

static bool type_fits(const Field *f, const TomlNode *value)
{
    switch (f->kind) {
    case FIELD_TEXT:
        return value->kind == TOML_STRING;
    case FIELD_BOOL:
        return value->kind == TOML_BOOLEAN;
    case FIELD_INT:
        return value->kind == TOML_INTEGER ||
               (value->kind == TOML_STRING && f == row_field("num_warmups"));
    case FIELD_REAL:
        return value->kind == TOML_REAL || value->kind == TOML_INTEGER;
    }
    return false;
}

static const char *type_wanted(const Field *f)
{
    static const char *const names[] = {"a string", "true or false", "an integer", "a number"};
    return names[f->kind];
}

static int check_value(const char *place, const Field *f, const TomlNode *value, Source source,
                       Err *err)
{
    RowConfig scratch;
    bool scalar = value->text != NULL;
    if (!scalar || (source != FROM_SETTING && !type_fits(f, value)))
        return err_set(err, "%s: %s is %s, not %s", place, f->name, toml_kind_name(value->kind),
                       type_wanted(f));
    row_config_init(&scratch);
    if (row_config_set(&scratch, f, value->text, err) != 0)
        return err_prefix(err, "%s", place);
    return 0;
}

static void axis_clear(Axis *a)
{
    for (size_t i = 0; i < a->count; i++)
        free(a->values[i]);
    free(a->values);
    free(a->place);
    *a = (Axis){0};
}

static int axis_add(Axis *a, const Field *f, const char *text, Err *err)
{
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->values[i], text) == 0)
            return err_set(err, "%s: %s lists '%s' twice", a->place, f->name, text);
    a->values[a->count++] = xstrdup(text);
    return 0;
}

static int set_axis(SweepConfig *s, const char *place, const Field *f, const TomlNode *value,
                    Source source, Err *err)
{
    bool list = value->kind == TOML_ARRAY;
    Axis *a = &s->axes[f - row_fields];
    if (list && source == FROM_DEFAULTS)
        return err_set(err, "%s: %s is a list; lists belong in [sweep]", place, f->name);
    if (list && value->count == 0)
        return err_set(err, "%s: %s is an empty list, so there is no row", place, f->name);
    const TomlNode *items = list ? value->child : value;
    size_t count = list ? value->count : 1;
    axis_clear(a);
    a->place = xstrdup(place);
    a->values = xcalloc(count, sizeof *a->values);
    for (size_t i = 0; i < count; i++)
        if (check_value(place, f, &items[i], source, err) != 0 ||
            axis_add(a, f, items[i].text, err) != 0)
            return -1;
    return 0;
}

/* ---- limits ---- */

static int set_max_memory(SweepConfig *s, const char *place, const TomlNode *value, Err *err)
{
    if (value->kind == TOML_STRING && strcmp(value->text, "auto") == 0) {
        s->max_memory = 0;
        return 0;
    }
    if ((value->kind == TOML_STRING || value->kind == TOML_INTEGER) &&
        parse_bytes(value->text, &s->max_memory) == 0)
        return 0;
    return err_set(err, "%s: max_memory is neither \"auto\" nor a size like \"6 GiB\"", place);
}

static int set_max_row_time(SweepConfig *s, const char *place, const TomlNode *value, Err *err)
{
    if (value->text && value->kind != TOML_BOOLEAN &&
        parse_duration(value->text, &s->max_row_time) == 0)
        return 0;
    return err_set(err, "%s: max_row_time is not a time like \"45m\"", place);
}

typedef struct Limit {
    const char *key;
    int (*set)(SweepConfig *s, const char *place, const TomlNode *value, Err *err);
} Limit;

static const Limit limits[] = {{"max_memory", set_max_memory}, {"max_row_time", set_max_row_time}};

static const Limit *find_limit(const char *key)
{
    for (size_t i = 0; i < COUNT_OF(limits); i++)
        if (strcmp(limits[i].key, key) == 0)
            return &limits[i];
    return NULL;
}

/* ---- the sections of the file ---- */

static char *place_of(const SweepConfig *s, const TomlNode *node)
{
    return xasprintf("%s:%d", s->path, node->line);
}

static int read_fields(SweepConfig *s, const TomlNode *table, Source source, Err *err)
{
    int status = 0;
    for (size_t i = 0; i < table->count && status == 0; i++) {
        const TomlNode *value = &table->child[i];
        const Field *f = row_field(value->key);
        char *place = place_of(s, value);
        status = f && is_key(f) ? set_axis(s, place, f, value, source, err)
                                : unknown_field(place, value->key, err);
        free(place);
    }
    return status;
}

static int read_defaults(SweepConfig *s, const TomlNode *table, Err *err)
{
    return read_fields(s, table, FROM_DEFAULTS, err);
}

static int read_sweep(SweepConfig *s, const TomlNode *table, Err *err)
{
    return read_fields(s, table, FROM_SWEEP, err);
}

static int read_limits(SweepConfig *s, const TomlNode *table, Err *err)
{
    const char *known[COUNT_OF(limits)];
    for (size_t i = 0; i < COUNT_OF(limits); i++)
        known[i] = limits[i].key;
    int status = 0;
    for (size_t i = 0; i < table->count && status == 0; i++) {
        const TomlNode *value = &table->child[i];
        const Limit *limit = find_limit(value->key);
        char *place = place_of(s, value);
        status = limit ? limit->set(s, place, value, err)
                       : unknown_key(place, value->key, known, COUNT_OF(known), err);
        free(place);
    }
    return status;
}

/* A size appears in cells, names and messages. */
static int check_size_name(const char *place, const char *size, Err *err)
{
    size_t len = strlen(size);
    if (len == 0 || len > 63)
        return err_set(err, "%s: size has %zu bytes; 1 to 63 are possible", place, len);
    for (const unsigned char *p = (const unsigned char *)size; *p; p++)
        if (*p < 0x20 || *p == 0x7f || *p == '/')
            return err_set(err, "%s: size '%s' has a control character or a slash", place, size);
    return 0;
}

static int read_model_key(SweepModel *m, const char *place, const TomlNode *value, Err *err)
{
    bool is_size = strcmp(value->key, "size") == 0;
    const Field *f = row_field(is_size ? "model_size" : value->key);
    if (!f || (!is_size && f->group != FIELD_MODEL)) {
        const char *known[] = {"size", "d_model", "num_layers", "num_heads"};
        return unknown_key(place, value->key, known, COUNT_OF(known), err);
    }
    if (check_value(place, f, value, FROM_DEFAULTS, err) != 0)
        return -1;
    if (is_size && check_size_name(place, value->text, err) != 0)
        return -1;
    CHECK(row_config_set(&m->dimensions, f, value->text, err) == 0, "%s", err->msg);
    return 0;
}

static int check_model(const SweepConfig *s, const SweepModel *m, Err *err)
{
    if (!*m->dimensions.model_size)
        return err_set(err, "%s: a [[model]] without size", m->place);
    for (const SweepModel *other = s->models; other < m; other++)
        if (strcmp(other->dimensions.model_size, m->dimensions.model_size) == 0)
            return err_set(err, "%s: size '%s' is already defined at %s", m->place,
                           m->dimensions.model_size, other->place);
    const int64_t dimensions[] = {m->dimensions.d_model, m->dimensions.num_layers,
                                  m->dimensions.num_heads};
    const char *const names[] = {"d_model", "num_layers", "num_heads"};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (dimensions[i] == 0)
            return err_set(err, "%s: model '%s' has no %s", m->place, m->dimensions.model_size,
                           names[i]);
    if (row_config_check(&m->dimensions, err) != 0)
        return err_prefix(err, "%s", m->place);
    return 0;
}

static int read_models(SweepConfig *s, const TomlNode *array, Err *err)
{
    s->models = xcalloc(array->count + 1, sizeof *s->models);
    for (size_t i = 0; i < array->count; i++) {
        const TomlNode *table = &array->child[i];
        SweepModel *m = &s->models[s->num_models++];
        row_config_init(&m->dimensions);
        m->place = place_of(s, table);
        if (table->kind != TOML_TABLE)
            return err_set(err, "%s: a model is %s, not a [[model]] table", m->place,
                           toml_kind_name(table->kind));
        for (size_t k = 0; k < table->count; k++) {
            char *place = place_of(s, &table->child[k]);
            int status = read_model_key(m, place, &table->child[k], err);
            free(place);
            if (status != 0)
                return -1;
        }
        if (check_model(s, m, err) != 0)
            return -1;
    }
    return 0;
}

/* The result file is called after it. */
static int read_name(SweepConfig *s, const TomlNode *value, Err *err)
{
    const char *allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t len = strlen(value->text);
    if (len == 0 || len > 100 || strspn(value->text, allowed) != len || value->text[0] == '.')
        return err_set(err, "%s:%d: name '%s' is no file name of letters, digits, '-', '_' and '.'",
                       s->path, value->line, value->text);
    free(s->name);
    s->name = xstrdup(value->text);
    return 0;
}

typedef struct Section {
    const char *key;
    TomlKind kind;
    int (*read)(SweepConfig *s, const TomlNode *value, Err *err);
} Section;

static const Section sections[] = {{"name", TOML_STRING, read_name},
                                   {"defaults", TOML_TABLE, read_defaults},
                                   {"model", TOML_ARRAY, read_models},
                                   {"sweep", TOML_TABLE, read_sweep},
                                   {"limits", TOML_TABLE, read_limits}};

static int unknown_section(const SweepConfig *s, const TomlNode *node, Err *err)
{
    const char *known[COUNT_OF(sections)];
    const Field *f = row_field(node->key);
    if (f && is_key(f))
        return err_set(err, "%s:%d: '%s' belongs in [defaults] or [sweep]", s->path, node->line,
                       node->key);
    for (size_t i = 0; i < COUNT_OF(sections); i++)
        known[i] = sections[i].key;
    char *place = place_of(s, node);
    int status = unknown_key(place, node->key, known, COUNT_OF(known), err);
    free(place);
    return status;
}

/* In the order above, so that [sweep] takes the place of [defaults] wherever they stand. */
static int read_document(SweepConfig *s, const TomlNode *document, Err *err)
{
    for (size_t i = 0; i < document->count; i++) {
        const TomlNode *child = &document->child[i];
        size_t k = 0;
        while (k < COUNT_OF(sections) && strcmp(sections[k].key, child->key) != 0)
            k++;
        if (k == COUNT_OF(sections))
            return unknown_section(s, child, err);
        if (child->kind != sections[k].kind)
            return err_set(err, "%s:%d: %s is %s, not %s", s->path, child->line, child->key,
                           toml_kind_name(child->kind), toml_kind_name(sections[k].kind));
    }
    for (size_t i = 0; i < COUNT_OF(sections); i++) {
        const TomlNode *child = toml_get(document, sections[i].key);
        if (child && sections[i].read(s, child, err) != 0)
            return -1;
    }
    return 0;
}

/* ---- --set ---- */

/* The value as TOML if it is some, else as a string: --set model_size=small needs no quotes. */
static void parse_setting(TomlNode *document, const char *key, const char *value)
{
    Err ignored;
    char *text = xasprintf("value = %s", value);
    bool toml = toml_parse(document, text, strlen(text), key, &ignored) == 0;
    if (toml && document->count != 1) {
        toml_release(document);
        toml = false;
    }
    free(text);
    if (toml)
        return;
    *document = (TomlNode){.kind = TOML_TABLE, .count = 1};
    document->child = xcalloc(1, sizeof *document->child);
    document->child[0] = (TomlNode){.kind = TOML_STRING, .text = xstrdup(value)};
}

static int apply_setting(SweepConfig *s, const char *setting, Err *err)
{
    const char *equals = strchr(setting, '=');
    if (!equals || equals == setting)
        return err_set(err, "--set '%s' is not key=value", setting);
    char *place = xasprintf("--set %s", setting);
    char *key = xasprintf("%.*s", (int)(equals - setting), setting);
    TomlNode document;
    parse_setting(&document, key, equals + 1);
    const Limit *limit = find_limit(key);
    const Field *f = row_field(key);
    int status;
    if (limit)
        status = limit->set(s, place, &document.child[0], err);
    else if (f && is_key(f))
        status = set_axis(s, place, f, &document.child[0], FROM_SETTING, err);
    else
        status = unknown_field(place, key, err);
    toml_release(&document);
    free(key);
    free(place);
    return status;
}

/* ---- the whole ---- */

static char *stem_of(const char *path)
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    const char *dot = strrchr(base, '.');
    size_t len = dot && dot != base ? (size_t)(dot - base) : strlen(base);
    return xasprintf("%.*s", (int)len, base);
}

int sweep_load_text(SweepConfig *s, const char *text, size_t len, const char *path,
                    const TextList *settings, Err *err)
{
    TomlNode document;
    if (toml_parse(&document, text, len, path, err) != 0)
        return -1;
    *s = (SweepConfig){.path = xstrdup(path),
                       .name = stem_of(path),
                       .axes = xcalloc(num_row_fields, sizeof *s->axes),
                       .max_row_time = INFINITY};
    int status = read_document(s, &document, err);
    for (size_t i = 0; i < settings->count && status == 0; i++)
        status = apply_setting(s, settings->at[i], err);
    if (status == 0 && s->axes[row_field("model_size") - row_fields].count == 0)
        status = err_set(err, "%s: [sweep] has no model_size", path);
    toml_release(&document);
    if (status != 0)
        sweep_config_release(s);
    return status;
}

int sweep_load(SweepConfig *s, const char *path, const TextList *settings, Err *err)
{
    size_t len;
    char *text = file_read(path, TOML_MAX_BYTES, &len, err);
    if (!text)
        return -1;
    int status = sweep_load_text(s, text, len, path, settings, err);
    free(text);
    return status;
}

void sweep_config_release(SweepConfig *s)
{
    for (size_t i = 0; i < num_row_fields; i++)
        axis_clear(&s->axes[i]);
    for (size_t i = 0; i < s->num_models; i++)
        free(s->models[i].place);
    free(s->axes);
    free(s->models);
    free(s->path);
    free(s->name);
    *s = (SweepConfig){0};
}
