/* config: see config.h. */
#include "bench/sweep/config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_KEYS = 64 };

static char *place_of(const ConfigAt *at)
{
    int line = at->value->line;
    return line ? xasprintf("%s:%d", at->path, line) : xstrdup(at->path);
}

/* ---- [defaults] and [sweep]: the values of a field ---- */

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
    RowConfig scratch;
    FieldTEXT number;
    row_config_init(&scratch);
    if (row_config_set(&scratch, f, text, err) != 0)
        return -1;
    field_cell(f, &scratch, number);
    if (f->kind == FIELD_REAL) /* TOML's has more digits than need be */
        text = number;
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->values[i], text) == 0)
            return err_set(err, "%s lists '%s' twice", f->name, text);
    a->values[a->count++] = xstrdup(text);
    return 0;
}

static int set_axis(const ConfigAt *at, Err *err)
{
    SweepConfig *s = at->out;
    const Field *f = row_field(at->key->name);
    bool list = at->value->kind == TOML_ARRAY;
    const TomlNode *items = list ? at->value->child : at->value;
    size_t count = list ? at->value->count : 1;
    if (list && strcmp(at->section->name, "defaults") == 0)
        return err_set(err, "%s is a list; lists belong in [sweep]", f->name);
    if (!s->axes)
        s->axes = xcalloc(num_row_fields, sizeof *s->axes);
    Axis *a = &s->axes[f - row_fields];
    axis_clear(a);
    a->place = place_of(at);
    a->is_default = strcmp(at->section->name, "defaults") == 0;
    a->values = xcalloc(count, sizeof *a->values);
    for (size_t i = 0; i < count; i++)
        if (axis_add(a, f, items[i].text, err) != 0)
            return -1;
    return 0;
}

/* warmup_mode is a column, but follows from num_warmups. */
static bool is_key(const Field *f)
{
    return (f->group == FIELD_CONFIG || f->group == FIELD_SHAPE) && f->option;
}

static ConfigKey key_of(const Field *f, ConfigCount count, ConfigCall set)
{
    static const ConfigKind kinds[] = {[FIELD_TEXT] = CONFIG_TEXT,
                                       [FIELD_BOOL] = CONFIG_BOOL,
                                       [FIELD_FLAG] = CONFIG_BOOL,
                                       [FIELD_INT] = CONFIG_INT,
                                       [FIELD_REAL] = CONFIG_REAL};
    bool warmups = strcmp(f->name, "num_warmups") == 0;
    return (ConfigKey){.name = f->name,
                       .kind = f->choices ? CONFIG_CHOICE : kinds[f->kind],
                       .count = count,
                       .required = f->group == FIELD_MODEL,
                       .min = (double)f->min,
                       .max = (double)f->max,
                       .positive = f->positive,
                       .choices = warmups ? "auto|window" : f->choices,
                       .fallback = f->fallback && *f->fallback ? f->fallback : NULL,
                       .doc = f->doc,
                       .set = set};
}

/* ---- [[model]] ---- */

/* A size appears in cells, names and messages. */
static int check_size_name(const ConfigAt *at, Err *err)
{
    const char *size = at->value->text;
    size_t len = strlen(size);
    if (len > 63)
        return err_set(err, "size has %zu bytes; 1 to 63 are possible", len);
    for (const unsigned char *p = (const unsigned char *)size; *p; p++)
        if (*p < 0x20 || *p == 0x7f || *p == '/')
            return err_set(err, "size '%s' has a control character or a slash", size);
    return 0;
}

static int check_model(const ConfigAt *at, Err *err)
{
    const SweepConfig *s = at->out;
    SweepModel *m = at->table;
    m->place = place_of(at);
    for (const SweepModel *other = s->models; other < m; other++)
        if (strcmp(other->size, m->size) == 0)
            return err_set(err, "size '%s' is already defined at %s", m->size, other->place);
    text_set(m->config.model_size, m->size);
    return 0;
}

static int set_model_field(const ConfigAt *at, Err *err)
{
    SweepModel *m = at->table;
    if (!m->begun)
        row_config_init(&m->config);
    m->begun = true;
    return row_config_set(&m->config, row_field(at->key->name), at->value->text, err);
}

/* ---- the rest ---- */

/* The result file is called after it. */
static int check_name(const ConfigAt *at, Err *err)
{
    const char *allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    const char *name = at->value->text;
    size_t len = strlen(name);
    return len <= 100 && strspn(name, allowed) == len && name[0] != '.'
               ? 0
               : err_set(err, "name '%s' is no file name of letters, digits, '-', '_' and '.'",
                         name);
}

static const ConfigKey top_keys[] = {
    CONFIG_KEY(TEXT, SweepConfig, name, .check = check_name,
               .doc = "of the result file, results/NAME.csv; the config's own by default"),
};

static const ConfigKey limit_keys[] = {
    CONFIG_KEY(BYTES, SweepConfig, max_memory, .choices = "auto", .fallback = "auto",
               .doc = "rows that need more are skipped; auto: what is available less 512 MiB"),
    CONFIG_KEY(TIME, SweepConfig, max_row_time,
               .doc =
                   "rows that take longer are stopped, and others not begun; no limit by default"),
};

static char *stem_of(const char *path)
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    const char *dot = strrchr(base, '.');
    size_t len = dot && dot != base ? (size_t)(dot - base) : strlen(base);
    return xasprintf("%.*s", (int)len, base);
}

static int finish(void *out, Err *err)
{
    (void)err;
    SweepConfig *s = out;
    if (!s->axes)
        s->axes = xcalloc(num_row_fields, sizeof *s->axes);
    if (!s->name)
        s->name = stem_of(s->path);
    if (s->max_row_time == 0)
        s->max_row_time = INFINITY;
    return 0;
}

static void release_axes(void *out)
{
    SweepConfig *s = out;
    for (size_t i = 0; s->axes && i < num_row_fields; i++)
        axis_clear(&s->axes[i]);
    for (size_t i = 0; i < s->num_models; i++)
        free(s->models[i].place);
    free(s->axes);
}

/* The fields of rows become keys. */
const ConfigFile *sweep_config_file(void)
{
    static ConfigKey row_keys[MAX_KEYS], model_keys[MAX_KEYS];
    static ConfigSection sections[] = {
        CONFIG_SECTION(NULL, top_keys),
        CONFIG_SECTION("model", model_keys, .size = sizeof(SweepModel), .optional = true,
                       .offset = offsetof(SweepConfig, models),
                       .count = offsetof(SweepConfig, num_models), .check = check_model),
        CONFIG_SECTION("defaults", row_keys),
        CONFIG_SECTION("sweep", row_keys),
        CONFIG_SECTION("limits", limit_keys),
    };
    static const ConfigFile file = CONFIG_FILE(sections, SweepConfig, .title = "`tare sweep`",
                                               .check = finish, .release = release_axes);
    size_t rows = 0, dimensions = 0;
    model_keys[dimensions++] =
        (ConfigKey)CONFIG_KEY(TEXT, SweepModel, size, .required = true, .check = check_size_name,
                              .doc = "name of the model's dimensions, for model_size");
    for (size_t i = 0; i < num_row_fields; i++) {
        CHECK(rows < MAX_KEYS && dimensions < MAX_KEYS, "more than %d keys", MAX_KEYS);
        const Field *f = &row_fields[i];
        if (is_key(f))
            row_keys[rows++] = key_of(f, CONFIG_SOME, set_axis);
        if (f->group == FIELD_MODEL || f->group == FIELD_SHAPE)
            model_keys[dimensions++] = key_of(f, CONFIG_ONE, set_model_field);
    }
    sections[1].num_keys = dimensions;
    sections[2].num_keys = sections[3].num_keys = rows;
    return &file;
}
