/* config: see config.h. */
#include "bench/sweep/config.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_KEYS = 64 };

/* ---- [defaults] and [sweep]: the values of a field ---- */

static int parse_value(const Field *f, void *scratch, const char *text, Err *err)
{
    return row_config_set(scratch, f, text, err);
}

/* warmup_mode is a column, but follows from num_warmups. */
static bool is_key(const Field *f)
{
    return (f->group == FIELD_CONFIG || f->group == FIELD_SHAPE) && f->option;
}

static ConfigKey key_of(const Field *f, ConfigCount count, ConfigCall set)
{
    ConfigKey key = grid_key(f, set);
    key.count = count;
    key.required = f->group == FIELD_MODEL;
    if (strcmp(f->name, "num_warmups") == 0)
        key.choices = "auto|window";
    return key;
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
    m->place = xasprintf("%s:%d", at->path, at->value->line);
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

static void release(void *out)
{
    SweepConfig *s = out;
    grid_release(&s->grid);
    for (size_t i = 0; i < s->num_models; i++)
        free(s->models[i].place);
}

/* The fields of rows become keys. */
const ConfigFile *sweep_config_file(void)
{
    static ConfigKey row_keys[MAX_KEYS], model_keys[MAX_KEYS];
    static ConfigSection sections[] = {
        CONFIG_SECTION(NULL, grid_top_keys),
        CONFIG_SECTION("model", model_keys, .size = sizeof(SweepModel), .optional = true,
                       .offset = offsetof(SweepConfig, models),
                       .count = offsetof(SweepConfig, num_models), .check = check_model),
        CONFIG_SECTION("defaults", row_keys),
        CONFIG_SECTION("sweep", row_keys),
        CONFIG_SECTION("limits", grid_limit_keys),
    };
    static const SweepConfig initial = {.grid = {.schema = &row_schema, .parse = parse_value}};
    static const ConfigFile file =
        CONFIG_FILE(sections, SweepConfig, .title = "`tare sweep`", .initial = &initial,
                    .check = grid_finish, .release = release);
    size_t rows = 0, dimensions = 0;
    model_keys[dimensions++] =
        (ConfigKey)CONFIG_KEY(TEXT, SweepModel, size, .required = true, .check = check_size_name,
                              .doc = "name of the model's dimensions, for model_size");
    for (size_t i = 0; i < num_row_fields; i++) {
        CHECK(rows < MAX_KEYS && dimensions < MAX_KEYS, "more than %d keys", MAX_KEYS);
        const Field *f = &row_fields[i];
        if (is_key(f))
            row_keys[rows++] = key_of(f, CONFIG_SOME, grid_set);
        if (f->group == FIELD_MODEL || f->group == FIELD_SHAPE)
            model_keys[dimensions++] = key_of(f, CONFIG_ONE, set_model_field);
    }
    sections[1].num_keys = dimensions;
    sections[2].num_keys = sections[3].num_keys = rows;
    return &file;
}
