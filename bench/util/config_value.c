/* config_value: one value of a config: is it what its key says, and where does it go. See
 * config.h. */
#include "bench/util/config.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>

#include "bench/util/units.h"
#include "bench/util/owned.h"

typedef union Value {
    int64_t integer;
    double real;
    bool truth;
    const char *text;
} Value;

typedef struct KindRule {
    const char *wanted;
    unsigned toml; /* a bit for each TomlKind that it may be */
} KindRule;

enum { STRING = 1 << TOML_STRING, INTEGER = 1 << TOML_INTEGER, REAL = 1 << TOML_REAL };

static const KindRule rules[] = {
    [CONFIG_TEXT] = {"a string", STRING},
    [CONFIG_INT] = {"an integer", INTEGER},
    [CONFIG_REAL] = {"a number", INTEGER | REAL},
    [CONFIG_BOOL] = {"true or false", 1 << TOML_BOOLEAN},
    [CONFIG_TIME] = {"a time like \"10m\"", STRING | INTEGER | REAL},
    [CONFIG_BYTES] = {"a size like \"6 GiB\"", STRING | INTEGER | REAL},
    [CONFIG_CHOICE] = {"a string", STRING},
};

static int wrong_kind(const ConfigKey *key, const TomlNode *v, Err *err)
{
    return err_set(err, "%s is %s, not %s", key->name, toml_kind_name(v->kind),
                   rules[key->kind].wanted);
}

static int check_range(const ConfigKey *key, const TomlNode *v, Err *err)
{
    if (key->positive)
        return v->real > 0 && v->real <= DBL_MAX
                   ? 0
                   : err_set(err, "%s is %s, not a positive number", key->name, v->text);
    if (v->real >= key->min && v->real <= key->max)
        return 0;
    if (key->max > 0x1p62)
        return err_set(err, "%s is %s, less than %.16g", key->name, v->text, key->min);
    return err_set(err, "%s is %s, outside %.16g to %.16g", key->name, v->text, key->min, key->max);
}

/* A word in the place of a number. */
static int take_word(const ConfigKey *key, const TomlNode *v, Err *err)
{
    const char *words = key->choices ? key->choices : "", *number = rules[key->kind].wanted;
    if (*words && choice_check("", words, v->text, err) == 0)
        return 0;
    OWNED char *allowed = xasprintf("%s%s%s", number, *words ? "|" : "", words);
    return choice_check(key->name, allowed, v->text, err);
}

static int take_choice(const ConfigKey *key, const void *out, const char *text, Err *err)
{
    if (key->choices)
        return choice_find(key->name, key->choices, text, err);
    size_t count = 0;
    while (key->choice(out, count))
        count++;
    OWNED const char **names = xcalloc(count + 1, sizeof *names);
    for (size_t i = 0; i < count; i++)
        names[i] = key->choice(out, i);
    return choice_among(key->name, names, count, text, err);
}

static int take(const ConfigKey *key, const void *out, const TomlNode *v, Value *x, Err *err)
{
    bool word = v->kind == TOML_STRING && key->kind == CONFIG_INT && key->choices;
    if (!word && !(rules[key->kind].toml >> v->kind & 1))
        return wrong_kind(key, v, err);
    switch (key->kind) {
    case CONFIG_TEXT:
        x->text = v->text;
        return *v->text ? 0 : err_set(err, "%s is empty", key->name);
    case CONFIG_INT:
        x->integer = v->integer;
        return word ? take_word(key, v, err) : check_range(key, v, err);
    case CONFIG_REAL:
        x->real = v->real;
        return check_range(key, v, err);
    case CONFIG_BOOL:
        x->truth = v->boolean;
        return 0;
    case CONFIG_TIME:
        return parse_duration(v->text, &x->real) == 0 ? 0 : take_word(key, v, err);
    case CONFIG_BYTES:
        return parse_bytes(v->text, &x->integer) == 0 ? 0 : take_word(key, v, err);
    case CONFIG_CHOICE:
        x->integer = take_choice(key, out, v->text, err);
        return x->integer < 0 ? -1 : 0;
    }
    return -1;
}

/* The i-th of its values goes to the member. */
static int store(const ConfigKey *key, void *member, size_t i, const Value *x, Err *err)
{
    if (key->count != CONFIG_ONE) {
        ConfigInts *list = member;
        CHECK(key->kind == CONFIG_INT || key->kind == CONFIG_CHOICE, "a list of %s", key->name);
        if (i == CONFIG_MAX_LIST)
            return err_set(err, "%s lists more than %d values", key->name, CONFIG_MAX_LIST);
        list->at[i] = x->integer;
        list->count = i + 1;
    } else if (key->kind == CONFIG_TEXT) {
        free(*(char **)member);
        *(char **)member = xstrdup(x->text);
    } else {
        memcpy(member, x, key->kind == CONFIG_BOOL ? sizeof x->truth : sizeof *x);
    }
    return 0;
}

int config_take(const ConfigAt *at, Err *err)
{
    const ConfigKey *key = at->key;
    bool list = at->value->kind == TOML_ARRAY;
    const TomlNode *items = list ? at->value->child : at->value;
    size_t count = list ? at->value->count : 1;
    void *member = (char *)at->table + key->offset;
    if (list && key->count == CONFIG_ONE)
        return wrong_kind(key, at->value, err);
    if (count == 0 && key->count != CONFIG_ANY)
        return err_set(err, "%s is an empty list", key->name);
    if (count == 0)
        ((ConfigInts *)member)->count = 0;
    for (size_t i = 0; i < count; i++) {
        Value x = {0};
        if (take(key, at->out, &items[i], &x, err) != 0 ||
            (!key->set && store(key, member, i, &x, err) != 0))
            return -1;
    }
    if (key->set && key->set(at, err) != 0)
        return -1;
    return key->check ? key->check(at, err) : 0;
}

/* The value of the document "value = TEXT". */
static bool parse_toml(const char *text, TomlNode *value)
{
    Err ignored;
    OWNED_BY(toml_release) TomlNode document = {0};
    OWNED char *line = xasprintf("value = %s", text);
    bool whole = toml_parse(&document, line, strlen(line), "", &ignored) == 0;
    if (whole && (whole = document.count == 1)) {
        *value = *document.child;
        *document.child = (TomlNode){.kind = TOML_DATE};
    }
    return whole;
}

void config_parse_value(const ConfigKey *key, const char *text, TomlNode *value)
{
    bool wants_text = rules[key->kind].toml & STRING, quoted = *text && strchr("\"'[", *text);
    if (strcmp(text, "True") == 0 || strcmp(text, "False") == 0)
        text = *text == 'T' ? "true" : "false";
    if ((wants_text && !quoted) || !parse_toml(text, value))
        *value = (TomlNode){.kind = TOML_STRING, .text = xstrdup(text)};
    free(value->key);
    value->key = NULL;
    value->line = 0;
}
