/* wordpiece_config: see wordpiece_config.h. All sources of added tokens are first brought into the
 * one form {id: token} that added_tokens_decoder has. */
#include "model/tokenizer/wordpiece_config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/tokenizer/tokenizer_json.h"

/* ---- simple settings ---- */

static int get_bool(const json_t *object, const char *key, bool *value, Err *err)
{
    const json_t *v = json_object_get(object, key);
    if (v && !json_is_boolean(v))
        return err_set(err, "'%s' must be true or false", key);
    if (v)
        *value = json_is_true(v);
    return 0;
}

static int read_settings(WordPieceConfig *c, const json_t *config, const json_t *settings, Err *err)
{
    BertOptions *o = &c->normalizer;
    *o = (BertOptions){.lowercase = true, .isolate_cjk = true};
    if (get_bool(settings, "do_lower_case", &o->lowercase, err) != 0 ||
        get_bool(settings, "tokenize_chinese_chars", &o->isolate_cjk, err) != 0 ||
        get_bool(config, "split_special_tokens", &c->split_special, err) != 0)
        return -1;
    o->strip_accents = o->lowercase;
    if (json_is_null(json_object_get(settings, "strip_accents")))
        return 0;
    return get_bool(settings, "strip_accents", &o->strip_accents, err);
}

/* ---- lists of tokens ---- */

typedef struct TokenList {
    AddedToken *tokens;
    size_t count;
} TokenList;

static bool list_has(const TokenList *list, const char *content)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->tokens[i].content, content) == 0)
            return true;
    return false;
}

/* A token that the list has takes the place of the earlier one; an empty one is passed over. */
static void list_add(TokenList *list, AddedToken t)
{
    size_t i = 0;
    while (i < list->count && strcmp(list->tokens[i].content, t.content) != 0)
        i++;
    if (*t.content == '\0')
        return;
    if (i == list->count)
        list->tokens = xrealloc(list->tokens, ++list->count * sizeof t);
    else
        free(list->tokens[i].content);
    list->tokens[i] = t;
    list->tokens[i].content = xstrdup(t.content);
}

static void list_release(TokenList *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->tokens[i].content);
    free(list->tokens);
}

/* The content of a token that is a string or an object; NULL when it is neither. */
static const char *content_of(const json_t *token)
{
    return json_string_value(json_is_object(token) ? json_object_get(token, "content") : token);
}

/* Adds a token. It is special if `special`, or else if its object says so; a special token is
 * looked for in the text before normalisation unless its object says otherwise. */
static int read_token(TokenList *list, const json_t *token, bool special, const char *key, Err *err)
{
    AddedToken t = {.content = (char *)content_of(token)};
    if (!t.content)
        return err_set(err, "'%s' must be a string or an object with 'content'", key);
    bool object_special = false;
    int rc = get_bool(token, "special", &object_special, err);
    t.special = special || object_special;
    t.normalized = !t.special;
    if (rc != 0 || get_bool(token, "single_word", &t.single_word, err) != 0 ||
        get_bool(token, "lstrip", &t.lstrip, err) != 0 ||
        get_bool(token, "rstrip", &t.rstrip, err) != 0 ||
        get_bool(token, "normalized", &t.normalized, err) != 0)
        return err_prefix(err, "'%s'", key);
    list_add(list, t);
    return 0;
}

/* ---- special tokens by name ---- */

static const struct {
    const char *key, *value; /* value: what a BertTokenizer takes where the key is missing */
} token_names[] = {
    {"bos_token", NULL},      {"eos_token", NULL},    {"unk_token", "[UNK]"},
    {"sep_token", "[SEP]"},   {"pad_token", "[PAD]"}, {"cls_token", "[CLS]"},
    {"mask_token", "[MASK]"},
};

static void set_default_names(json_t *config)
{
    for (size_t i = 0; i < COUNT_OF(token_names); i++)
        if (token_names[i].value && !json_object_get(config, token_names[i].key))
            json_object_set_new(config, token_names[i].key, json_string(token_names[i].value));
}

/* In the library's order: the seven names it knows, any other NAME_token, then the extra ones. */
static int read_special(TokenList *special, json_t *config, Err *err)
{
    const char *key;
    json_t *token;
    size_t i;
    for (i = 0; i < COUNT_OF(token_names); i++) {
        token = json_object_get(config, token_names[i].key);
        if (token && !json_is_null(token) &&
            read_token(special, token, true, token_names[i].key, err) != 0)
            return -1;
    }
    json_object_foreach (config, key, token) {
        if (text_ends_with(key, "_token") && json_is_string(token) &&
            read_token(special, token, true, key, err) != 0)
            return -1;
    }
    json_t *extra = json_object_get(config, "extra_special_tokens");
    json_object_foreach (extra, key, token) {
        if (read_token(special, token, true, key, err) != 0)
            return -1;
    }
    if (json_array_size(extra) == 0 && json_object_size(extra) == 0)
        extra = json_object_get(config, "additional_special_tokens");
    json_array_foreach (extra, i, token) {
        const char *content = content_of(token);
        bool known = json_is_string(token) || (content && list_has(special, content));
        if (read_token(special, token, known, "extra_special_tokens", err) != 0)
            return -1;
    }
    return 0;
}

/* ---- tokens listed by id ---- */

static void set_by_id(json_t *decoder, json_int_t id, json_t *token)
{
    char key[32];
    snprintf(key, sizeof key, "%" JSON_INTEGER_FORMAT, id);
    json_object_set_new(decoder, key, token);
}

/* added_tokens.json is {content: id}. */
static int merge_added_tokens(json_t *decoder, json_t *added, const TokenList *special, Err *err)
{
    const char *content;
    json_t *id;
    json_object_foreach (added, content, id) {
        if (!json_is_integer(id))
            return err_set(err, "added_tokens.json: the id of '%.200s' must be an integer",
                           content);
        set_by_id(decoder, json_integer_value(id),
                  json_pack("{s:s, s:b}", "content", content, "special",
                            (int)list_has(special, content)));
    }
    return 0;
}

static int merge_tokenizer_json(json_t *decoder, const json_t *tokenizer, Err *err)
{
    size_t i;
    json_t *token;
    json_array_foreach (json_object_get(tokenizer, "added_tokens"), i, token) {
        const json_t *id = json_object_get(token, "id");
        if (!json_is_integer(id))
            return err_set(err, "tokenizer.json: entry %zu of 'added_tokens' has no id", i);
        set_by_id(decoder, json_integer_value(id), json_incref(token));
    }
    return 0;
}

typedef struct Entry {
    long id;
    json_t *token;
} Entry;

static int by_id(const void *a, const void *b)
{
    long x = ((const Entry *)a)->id, y = ((const Entry *)b)->id;
    return (x > y) - (x < y);
}

static int read_decoder(TokenList *list, json_t *decoder, const TokenList *special, Err *err)
{
    if (!json_is_object(decoder))
        return err_set(err, "'added_tokens_decoder' must be an object");
    Entry *entries = xmalloc((json_object_size(decoder) + 1) * sizeof *entries);
    size_t count = 0;
    int rc = 0;
    const char *key;
    json_t *token;
    json_object_foreach (decoder, key, token) {
        char *end;
        errno = 0;
        entries[count++] = (Entry){.id = strtol(key, &end, 10), .token = token};
        if (end == key || *end || errno || !json_is_object(token)) {
            rc = err_set(err, "'added_tokens_decoder' must map ids to objects, '%.100s' does not",
                         key);
            goto done;
        }
    }
    qsort(entries, count, sizeof *entries, by_id);
    for (size_t i = 0; i < count && rc == 0; i++) {
        const char *content = content_of(entries[i].token);
        bool named = content && list_has(special, content);
        rc = read_token(list, entries[i].token, named, "added_tokens_decoder", err);
    }
done:
    free(entries);
    return rc;
}

/* ---- the files together ---- */

/* What older versions of the library wrote in three files goes into the config. */
static int merge_legacy(json_t *config, const char *model_dir, const json_t *tokenizer, Err *err)
{
    json_t *map = tokenizer_file(model_dir, "special_tokens_map.json", err);
    json_t *added = map ? tokenizer_file(model_dir, "added_tokens.json", err) : NULL;
    json_t *decoder = json_object();
    TokenList special = {0};
    int rc = -1;
    if (!added)
        goto done;
    json_object_update(config, map);
    set_default_names(config);
    if (read_special(&special, config, err) != 0 ||
        merge_added_tokens(decoder, added, &special, err) != 0 ||
        merge_tokenizer_json(decoder, tokenizer, err) != 0)
        err_prefix(err, "%s", model_dir);
    else
        rc = json_object_set(config, "added_tokens_decoder", decoder);
done:
    list_release(&special);
    json_decref(decoder);
    json_decref(added);
    json_decref(map);
    return rc;
}

static int read_added(WordPieceConfig *c, json_t *config, Err *err)
{
    TokenList special = {0}, all = {0};
    int rc = read_special(&special, config, err);
    json_t *decoder = json_object_get(config, "added_tokens_decoder");
    if (rc == 0)
        rc = read_decoder(&all, decoder, &special, err);
    c->num_listed = all.count;
    for (size_t i = 0; i < special.count; i++)
        if (!list_has(&all, special.tokens[i].content))
            list_add(&all, special.tokens[i]);
    c->added = all.tokens;
    c->num_added = all.count;
    list_release(&special);
    return rc;
}

/* A token the tokenizer itself uses. */
static int read_name(char **name, const json_t *config, const char *key, bool optional, Err *err)
{
    const json_t *v = json_object_get(config, key);
    const char *content = content_of(v);
    if (!content && !(optional && json_is_null(v)))
        return err_set(err, "'%s' must be a string", key);
    *name = content ? xstrdup(content) : NULL;
    return 0;
}

/* The library looks into config.json for a class that tokenizer_config.json does not name. */
static int read_class(json_t *config, const char *model_dir, Err *err)
{
    static const char key[] = "tokenizer_class";
    if (json_object_get(config, key) && !json_is_null(json_object_get(config, key)))
        return 0;
    json_t *model = tokenizer_file(model_dir, "config.json", err);
    if (model && json_object_get(model, key))
        json_object_set(config, key, json_object_get(model, key));
    json_decref(model);
    return model ? 0 : -1;
}

static bool is_bert(const json_t *class)
{
    static const char *const built[] = {"BertTokenizer", "BertTokenizerFast", "DistilBertTokenizer",
                                        "DistilBertTokenizerFast"};
    const char *name = json_string_value(class);
    for (size_t i = 0; name && i < COUNT_OF(built); i++)
        if (strcmp(name, built[i]) == 0)
            return true;
    return !class || json_is_null(class);
}

/* What a BertTokenizer has where a key is missing is nothing for another class. */
static void set_no_names(json_t *config)
{
    for (size_t i = 0; i < COUNT_OF(token_names); i++)
        if (!json_object_get(config, token_names[i].key))
            json_object_set_new(config, token_names[i].key, json_null());
}

/* The object that settings and tokens around a text are read from, with a reference: a BERT class
 * has them in `config`, any other, as in the library, in tokenizer.json, which must say all. */
static json_t *settings_of(json_t *config, const char *model_dir, json_t *tokenizer, Err *err)
{
    const json_t *class = json_object_get(config, "tokenizer_class");
    const char *name = json_is_string(class) ? json_string_value(class) : "";
    if (is_bert(class))
        return json_incref(config);
    if (json_object_size(tokenizer) == 0) {
        err_set(err,
                "%s/tokenizer_config.json: tokenizer_class '%.60s' is not built without a "
                "tokenizer.json; BertTokenizer and DistilBertTokenizer are",
                model_dir, name);
        return NULL;
    }
    json_t *settings = tokenizer_json_settings(tokenizer, err);
    if (!settings)
        err_prefix(err, "%s/tokenizer.json", model_dir);
    set_no_names(config);
    return settings;
}

static int read_config(WordPieceConfig *c, json_t *config, const json_t *settings, Err *err)
{
    return read_settings(c, config, settings, err) != 0 || read_added(c, config, err) != 0 ||
                   read_name(&c->unk, settings, "unk_token", false, err) != 0 ||
                   read_name(&c->cls, settings, "cls_token", false, err) != 0 ||
                   read_name(&c->sep, settings, "sep_token", false, err) != 0 ||
                   read_name(&c->pad, config, "pad_token", true, err) != 0
               ? -1
               : 0;
}

int wordpiece_config_load(WordPieceConfig *c, const char *model_dir, json_t *tokenizer, Err *err)
{
    *c = (WordPieceConfig){0};
    json_t *config = tokenizer_file(model_dir, "tokenizer_config.json", err), *settings = NULL;
    int rc = -1;
    if (!config || read_class(config, model_dir, err) != 0 ||
        !(settings = settings_of(config, model_dir, tokenizer, err)))
        goto done;
    if (!json_object_get(config, "added_tokens_decoder") &&
        merge_legacy(config, model_dir, tokenizer, err) != 0)
        goto done;
    set_default_names(config);
    rc = read_config(c, config, settings, err);
    if (rc == 0)
        rc = tokenizer_side(&c->truncate_left, config, tokenizer, "truncation", err);
    if (rc == 0)
        rc = tokenizer_side(&c->pad_left, config, tokenizer, "padding", err);
    if (rc != 0) {
        err_prefix(err, "%s/tokenizer_config.json", model_dir);
        wordpiece_config_release(c);
    }
done:
    json_decref(settings);
    json_decref(config);
    return rc;
}

void wordpiece_config_release(WordPieceConfig *c)
{
    for (size_t i = 0; i < c->num_added; i++)
        free(c->added[i].content);
    free(c->added);
    free(c->unk);
    free(c->cls);
    free(c->sep);
    free(c->pad);
    *c = (WordPieceConfig){0};
}
