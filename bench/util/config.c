/* config: see config.h. */
#include "bench/util/config.h"
#include "bench/util/owned.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_SECTIONS = 8, MAX_KEYS = 64, PLACE_SIZE = 100 };

typedef struct Reader {
    const ConfigDocument *document;
    const ConfigFile *file;
    void *out;
    /* Which keys have a value; of a [[name]]: in the element being read. */
    bool seen[MAX_SECTIONS][MAX_KEYS];
} Reader;

static void *member(void *table, size_t offset)
{
    return (char *)table + offset;
}

/* ---- sections and keys ---- */

static const ConfigKey *find_key(const ConfigSection *s, const char *name)
{
    for (size_t i = 0; i < s->num_keys; i++)
        if (strcmp(s->keys[i].name, name) == 0)
            return &s->keys[i];
    return NULL;
}

static const ConfigSection *find_section(const ConfigFile *f, const char *name)
{
    for (size_t i = 1; i < f->num_sections; i++)
        if (strcmp(f->sections[i].name, name) == 0)
            return &f->sections[i];
    return NULL;
}

/* The last section that has the key, of those that --set reaches if it has to: [sweep] goes before
 * [defaults]. */
static const ConfigSection *home_of(const ConfigFile *f, const char *name, bool settable)
{
    for (const ConfigSection *s = f->sections + f->num_sections; s-- > f->sections;)
        if (find_key(s, name) && !(settable && s->size))
            return s;
    return NULL;
}

static bool *seen(Reader *r, const ConfigSection *s, const ConfigKey *key)
{
    size_t section = (size_t)(s - r->file->sections), k = (size_t)(key - s->keys);
    CHECK(section < MAX_SECTIONS && k < MAX_KEYS, "key %zu of section %zu", k, section);
    return &r->seen[section][k];
}

/* ---- what to say about a key that is not there ---- */

/* "belongs ": "in [data]", "in [[cell]]", "at the top". */
static void describe(const ConfigSection *s, char where[PLACE_SIZE])
{
    const char *end = s->size ? "]]" : s->name ? "]" : "";
    snprintf(where, PLACE_SIZE, "%s%s%s",
             s->size   ? "in [["
             : s->name ? "in ["
                       : "at the top",
             s->name ? s->name : "", end);
}

/* `s`: where it was found; NULL = in a --set. */
static int unknown_key(const Reader *r, const ConfigSection *s, const char *name, Err *err)
{
    const ConfigFile *f = r->file;
    const ConfigSection *home = home_of(f, name, false);
    const char *names[MAX_SECTIONS * (MAX_KEYS + 1)];
    char where[PLACE_SIZE];
    size_t count = 0;
    if (home) {
        describe(home, where);
        return err_set(err, "'%s' belongs %s%s", name, where,
                       s ? "" : ", which --set does not reach");
    }
    for (const ConfigFile *other = r->document->first; other; other = other->next)
        if (other != f && (home_of(other, name, false) || find_section(other, name)))
            return other->task ? err_set(err, "'%s' is for task = \"%s\"", name, other->task)
                               : err_set(err, "'%s' is for a file without task", name);
    for (size_t i = 0; i < f->num_sections; i++) {
        const ConfigSection *near = &f->sections[i];
        for (size_t k = 0; k < near->num_keys && (s ? s == near : !near->size); k++)
            names[count++] = near->keys[k].name;
        if (s && !s->name && near->name)
            names[count++] = near->name;
    }
    return err_set(err, "unknown key '%s'%s", name, did_you_mean((Hint){0}, name, names, count));
}

static int check_required(Reader *r, const ConfigSection *s, Err *err)
{
    char where[PLACE_SIZE];
    describe(s, where);
    for (size_t i = 0; i < s->num_keys; i++)
        if (s->keys[i].required && !*seen(r, s, &s->keys[i]))
            return err_set(err, "there is no '%s'%s%s", s->keys[i].name, s->name ? " " : "",
                           s->name ? where : "");
    return 0;
}

/* ---- one table ---- */

static void set_fallbacks(const ConfigSection *s, void *table, void *out)
{
    for (size_t i = 0; i < s->num_keys; i++) {
        const ConfigKey *key = &s->keys[i];
        TomlNode value = {0};
        Err err;
        if (key->set || !key->fallback)
            continue;
        config_parse_value(key, key->fallback, &value);
        CHECK(config_take(&(ConfigAt){"", s, key, &value, table, out}, &err) == 0,
              "default of %s: %s", key->name, err.msg);
        toml_release(&value);
    }
}

/* Whether the value can be a [name] or [[name]]s. */
static int check_section(const ConfigSection *s, const TomlNode *v, Err *err)
{
    bool right = v->kind == (s->size ? TOML_ARRAY : TOML_TABLE);
    for (size_t i = 0; right && s->size && i < v->count; i++)
        right = v->child[i].kind == TOML_TABLE;
    return right ? 0
                 : err_set(err, "%s is %s, not %s%s%s", s->name, toml_kind_name(v->kind),
                           s->size ? "a [[" : "a table", s->size ? s->name : "",
                           s->size ? "]] table" : "");
}

static int read_entry(Reader *r, ConfigAt *at, Err *err)
{
    const char *name = at->value->key;
    const ConfigSection *s = at->section, *section = s->name ? NULL : find_section(r->file, name);
    at->key = find_key(s, name);
    if (section)
        return check_section(section, at->value, err);
    if (!s->name && r->file->task && strcmp(name, "task") == 0)
        return 0;
    if (!at->key)
        return unknown_key(r, s, name, err);
    *seen(r, s, at->key) = true;
    return config_take(at, err);
}

static int read_table(Reader *r, const ConfigSection *s, const TomlNode *node, void *table,
                      Err *err)
{
    const char *path = r->document->path;
    for (size_t i = 0; i < node->count; i++) {
        const TomlNode *value = &node->child[i];
        if (read_entry(r, &(ConfigAt){path, s, NULL, value, table, r->out}, err) != 0)
            return err_prefix(err, "%s:%d", path, value->line);
    }
    if ((s->size && check_required(r, s, err) != 0) ||
        (s->check && s->check(&(ConfigAt){path, s, NULL, node, table, r->out}, err) != 0))
        return err_prefix(err, "%s:%d", path, node->line);
    return 0;
}

static int read_section(Reader *r, const ConfigSection *s, Err *err)
{
    const TomlNode *root = &r->document->root, *node = s->name ? toml_get(root, s->name) : root;
    if (!s->size) {
        set_fallbacks(s, r->out, r->out);
        return node ? read_table(r, s, node, r->out, err) : 0;
    }
    if (!node || node->count == 0)
        return s->optional ? 0 : err_set(err, "%s: no [[%s]] table", r->document->path, s->name);
    char **array = (char **)member(r->out, s->offset);
    size_t *count = member(r->out, s->count);
    *array = xcalloc(node->count, s->size);
    while (*count < node->count) {
        const TomlNode *table = &node->child[*count];
        void *element = *array + (*count)++ * s->size;
        memset(r->seen[s - r->file->sections], 0, sizeof r->seen[0]);
        set_fallbacks(s, element, r->out);
        if (read_table(r, s, table, element, err) != 0)
            return -1;
    }
    return 0;
}

/* ---- --set ---- */

/* "key", wherever it is, or "section.key". */
static const ConfigKey *find_setting(const ConfigFile *f, const char *name,
                                     const ConfigSection **section)
{
    const char *dot = strchr(name, '.');
    OWNED char *table = dot ? xasprintf("%.*s", (int)(dot - name), name) : NULL;
    *section = dot ? find_section(f, table) : home_of(f, name, true);
    return *section && !(*section)->size ? find_key(*section, dot ? dot + 1 : name) : NULL;
}

static int apply_setting(Reader *r, const char *setting, Err *err)
{
    const char *equals = strchr(setting, '=');
    const ConfigSection *section;
    OWNED_BY(toml_release) TomlNode value = {0};
    if (!equals || equals == setting)
        return err_set(err, "--set '%s' is not key=value", setting);
    OWNED char *name = xasprintf("%.*s", (int)(equals - setting), setting);
    OWNED char *place = xasprintf("--set %s", setting);
    const ConfigKey *key = find_setting(r->file, name, &section);
    const ConfigAt at = {place, section, key, &value, r->out, r->out};
    if (!key) {
        unknown_key(r, NULL, name, err);
        return err_prefix(err, "%s", place);
    }
    config_parse_value(key, equals + 1, &value);
    *seen(r, section, key) = true;
    return config_take(&at, err) == 0 ? 0 : err_prefix(err, "%s", place);
}

/* ---- the whole ---- */

static int read_all(Reader *r, const TextList *settings, Err *err)
{
    const ConfigFile *f = r->file;
    for (size_t i = 0; i < f->num_sections; i++)
        if (read_section(r, &f->sections[i], err) != 0)
            return -1;
    for (size_t i = 0; settings && i < settings->count; i++)
        if (apply_setting(r, settings->at[i], err) != 0)
            return -1;
    for (size_t i = 0; i < f->num_sections; i++)
        if (!f->sections[i].size && check_required(r, &f->sections[i], err) != 0)
            return err_prefix(err, "%s", r->document->path);
    if (f->check && f->check(r->out, err) != 0)
        return err_prefix(err, "%s", r->document->path);
    return 0;
}

int config_read(const ConfigDocument *d, void *out, const TextList *settings, Err *err)
{
    Reader r = {.document = d, .file = d->file, .out = out};
    memset(out, 0, d->file->size);
    if (d->file->initial)
        memcpy(out, d->file->initial, d->file->size);
    *(char **)out = xstrdup(d->path);
    int status = read_all(&r, settings, err);
    if (status != 0)
        config_release(d->file, out);
    return status;
}

void config_release_table(const ConfigSection *s, void *table)
{
    for (size_t i = 0; i < s->num_keys; i++)
        if (s->keys[i].kind == CONFIG_TEXT && !s->keys[i].set)
            free(*(char **)member(table, s->keys[i].offset));
}

void config_release(const ConfigFile *file, void *out)
{
    if (file->release)
        file->release(out);
    for (const ConfigSection *s = file->sections; s < file->sections + file->num_sections; s++) {
        char *array = s->size ? *(char **)member(out, s->offset) : NULL;
        for (size_t k = 0; s->size && k < *(size_t *)member(out, s->count); k++)
            config_release_table(s, array + k * s->size);
        if (!s->size)
            config_release_table(s, out);
        free(array);
    }
    free(*(char **)out);
    memset(out, 0, file->size);
}

/* Which kind of file this is, by its task. */
static const ConfigFile *file_of(const ConfigDocument *d, Err *err)
{
    const TomlNode *task = toml_get(&d->root, "task");
    const char *tasks[MAX_SECTIONS], *text = task && task->kind == TOML_STRING ? task->text : "";
    size_t count = 0;
    for (const ConfigFile *f = d->first; f; f = f->next) {
        if (task && f->task && strcmp(f->task, text) == 0)
            return f;
        if (!task && !f->task)
            return f;
        if (f->task)
            tasks[count++] = f->task;
    }
    if (count == 0)
        return d->first; /* where `task` is an unknown key */
    if (!task)
        err_set(err, "%s: there is no 'task', such as task = \"%s\"", d->path, tasks[0]);
    else if (choice_among("task", tasks, count, text, err) < 0)
        err_prefix(err, "%s:%d", d->path, task->line);
    return NULL;
}

static int open_text(ConfigDocument *d, const ConfigFile *first, const char *text, size_t len,
                     const char *path, Err *err)
{
    *d = (ConfigDocument){.path = path, .first = first};
    if (toml_parse(&d->root, text, len, path, err) != 0)
        return -1;
    d->file = file_of(d, err);
    if (!d->file)
        config_close(d);
    return d->file ? 0 : -1;
}

int config_open(ConfigDocument *d, const ConfigFile *first, const char *path, Err *err)
{
    size_t len;
    OWNED char *text = file_read(path, TOML_MAX_BYTES, &len, err);
    return text ? open_text(d, first, text, len, path, err) : -1;
}

void config_close(ConfigDocument *d)
{
    toml_release(&d->root);
}

static int read_and_close(ConfigDocument *d, void *out, const TextList *settings, Err *err)
{
    CHECK(d->file->size == d->first->size, "%s needs config_open", d->file->title);
    int status = config_read(d, out, settings, err);
    config_close(d);
    return status;
}

int config_load(const ConfigFile *file, void *out, const char *path, const TextList *settings,
                Err *err)
{
    ConfigDocument d;
    return config_open(&d, file, path, err) == 0 ? read_and_close(&d, out, settings, err) : -1;
}

int config_load_text(const ConfigFile *file, void *out, const char *text, size_t len,
                     const char *path, const TextList *settings, Err *err)
{
    ConfigDocument d;
    return open_text(&d, file, text, len, path, err) == 0 ? read_and_close(&d, out, settings, err)
                                                          : -1;
}
