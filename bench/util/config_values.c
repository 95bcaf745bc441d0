/* config_values: see config_values.h. */
#include "bench/util/config_values.h"

#include <stdlib.h>
#include <string.h>

#include "bench/util/units.h"

int config_wrong_type(const TomlNode *v, const char *wanted, Err *err)
{
    return err_set(err, "%s is %s, not %s", v->key ? v->key : "an entry", toml_kind_name(v->kind),
                   wanted);
}

int config_unknown(const char *what, const char *name, const char *const *known, size_t count,
                   Err *err)
{
    const char *near = nearest_name(name, known, count);
    return err_set(err, "unknown %s '%s'%s%s%s", what, name, near ? "; did you mean '" : "",
                   near ? near : "", near ? "'?" : "");
}

/* ---- values ---- */

int config_int(const TomlNode *v, int64_t min, int64_t max, int64_t *out, Err *err)
{
    if (v->kind != TOML_INTEGER)
        return config_wrong_type(v, "an integer", err);
    if (v->integer < min || v->integer > max)
        return err_set(err, "%s%s%lld is not within %lld to %lld", v->key ? v->key : "",
                       v->key ? " = " : "", (long long)v->integer, (long long)min, (long long)max);
    *out = v->integer;
    return 0;
}

int config_text(const TomlNode *v, char **out, Err *err)
{
    if (v->kind != TOML_STRING)
        return config_wrong_type(v, "a string", err);
    if (!*v->text)
        return err_set(err, "%s is empty", v->key);
    free(*out);
    *out = xstrdup(v->text);
    return 0;
}

int config_bool(const TomlNode *v, bool *out, Err *err)
{
    if (v->kind != TOML_BOOLEAN)
        return config_wrong_type(v, "true or false", err);
    *out = v->boolean;
    return 0;
}

int config_seconds(const TomlNode *v, double *out, Err *err)
{
    if (v->text && v->kind != TOML_BOOLEAN && parse_duration(v->text, out) == 0)
        return 0;
    return err_set(err, "%s is not a time like \"10m\"", v->key);
}

int config_list(const TomlNode *v, const TomlNode **items, size_t *count, Err *err)
{
    bool list = v->kind == TOML_ARRAY;
    *items = list ? v->child : v;
    *count = list ? v->count : 1;
    if (*count == 0 || *count > CONFIG_MAX_LIST)
        return err_set(err, "%s lists %zu values; 1 to %d are possible", v->key, *count,
                       CONFIG_MAX_LIST);
    return 0;
}

/* ---- tables ---- */

static bool is_one_of(const char *name, const char *const *names)
{
    for (; names && *names; names++)
        if (strcmp(*names, name) == 0)
            return true;
    return false;
}

static int read_key(const TomlNode *v, const ConfigKey *keys, size_t num_keys,
                    const char *const *others, void *target, Err *err)
{
    const char *known[CONFIG_MAX_LIST];
    for (size_t k = 0; k < num_keys; k++) {
        if (strcmp(keys[k].name, v->key) == 0)
            return keys[k].set(target, v, err);
        known[k] = keys[k].name;
    }
    if (is_one_of(v->key, others))
        return 0;
    return config_unknown("key", v->key, known, num_keys, err);
}

int config_read_keys(const TomlNode *table, const ConfigKey *keys, size_t num_keys,
                     const char *const *others, void *target, const char *path, Err *err)
{
    CHECK(num_keys <= CONFIG_MAX_LIST, "%zu keys", num_keys);
    for (size_t i = 0; i < table->count; i++) {
        const TomlNode *v = &table->child[i];
        if (read_key(v, keys, num_keys, others, target, err) != 0)
            return err_prefix(err, "%s:%d", path, v->line);
    }
    return 0;
}

int config_parse_setting(TomlNode *document, const char *setting, Err *err)
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
