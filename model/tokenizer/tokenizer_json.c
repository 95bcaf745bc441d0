/* tokenizer_json: see tokenizer_json.h. */
#include "model/tokenizer/tokenizer_json.h"

#include <errno.h>
#include <string.h>
#include <stdlib.h>
#include <unistd.h>

#include "model/json.h"

json_t *tokenizer_file(const char *model_dir, const char *name, Err *err)
{
    enum { MAX_JSON_BYTES = 256 << 20 }; /* larger than any tokenizer.json in use, some 30 MB */
    char *path = xasprintf("%s/%s", model_dir, name);
    bool there = access(path, F_OK) == 0 || errno != ENOENT;
    json_t *root = there ? json_read_object(path, MAX_JSON_BYTES, err) : json_object();
    free(path);
    return root;
}

static int check_outline(const json_t *root, Err *err)
{
    const json_t *version = json_object_get(root, "version"),
                 *added = json_object_get(root, "added_tokens");
    const char *text = json_string_value(version);
    if (version && (!text || strcmp(text, "1.0") != 0))
        return err_set(err, "'version' must be \"1.0\"");
    return !added || json_is_array(added) ? 0 : err_set(err, "'added_tokens' must be a list");
}

json_t *tokenizer_json_open(const char *model_dir, Err *err)
{
    json_t *root = tokenizer_file(model_dir, "tokenizer.json", err);
    if (!root || json_object_size(root) == 0 || check_outline(root, err) == 0)
        return root;
    err_prefix(err, "%s/tokenizer.json", model_dir);
    json_decref(root);
    return NULL;
}

int tokenizer_side(bool *left, const json_t *config, const json_t *tokenizer, const char *what,
                   Err *err)
{
    char key[32];
    snprintf(key, sizeof key, "%s_side", what);
    const json_t *v = json_object_get(config, key);
    const char *side = json_string_value(v);
    if (v && (!side || (strcmp(side, "left") != 0 && strcmp(side, "right") != 0)))
        return err_set(err, "'%s' must be \"left\" or \"right\"", key);
    if (!v)
        side = json_string_value(json_object_get(json_object_get(tokenizer, what), "direction"));
    *left = side && (strcmp(side, "left") == 0 || strcmp(side, "Left") == 0);
    return 0;
}

/* ---- parts that have to be BERT's ---- */

/* Whether the part is missing, null, or of this type. */
static int check_type(const json_t *root, const char *part, const char *type, Err *err)
{
    const json_t *object = json_object_get(root, part);
    const char *name = json_string_value(json_object_get(object, "type"));
    if (!object || json_is_null(object) || (name && strcmp(name, type) == 0))
        return 0;
    return err_set(err, "%s '%.60s' is not built; BERT's is %s", part, name ? name : "", type);
}

static int check_model(const json_t *model, Err *err)
{
    const json_t *type = json_object_get(model, "type");
    const json_t *prefix = json_object_get(model, "continuing_subword_prefix");
    const json_t *longest = json_object_get(model, "max_input_chars_per_word");
    if (type && (!json_is_string(type) || strcmp(json_string_value(type), "WordPiece") != 0))
        return err_set(err, "model '%.60s' is not built; BERT's is WordPiece",
                       json_is_string(type) ? json_string_value(type) : "");
    if (prefix && (!json_is_string(prefix) || strcmp(json_string_value(prefix), "##") != 0))
        return err_set(err, "continuing_subword_prefix must be \"##\"");
    if (longest && json_integer_value(longest) != WORDPIECE_MAX_CHARS)
        return err_set(err, "max_input_chars_per_word must be %d", WORDPIECE_MAX_CHARS);
    return 0;
}

/* Finds what stands around a text. BertProcessing has [token, id] under cls and sep,
 * TemplateProcessing a list of parts. */
static int read_post_processor(json_t *object, const char **first, const char **last, Err *err)
{
    const char *type = json_string_value(json_object_get(object, "type")), *text;
    int status;
    if (type && strcmp(type, "BertProcessing") == 0)
        status = json_unpack(object, "{s:[s], s:[s]}", "cls", first, "sep", last);
    else if (type && strcmp(type, "TemplateProcessing") == 0)
        status =
            json_unpack(object, "{s:[{s:{s:s}}, {s:{s:s}}, {s:{s:s}}!]}", "single", "SpecialToken",
                        "id", first, "Sequence", "id", &text, "SpecialToken", "id", last);
    else
        return err_set(err, "post_processor '%.60s' is not built; BERT's is TemplateProcessing",
                       type ? type : "");
    return status == 0 ? 0 : err_set(err, "post_processor: a text must be between two tokens");
}

static int check_post_processor(const json_t *root, const char *cls, const char *sep, Err *err)
{
    json_t *object = json_object_get(root, "post_processor");
    const char *first, *last;
    if (!object || json_is_null(object))
        return 0;
    if (read_post_processor(object, &first, &last, err) != 0)
        return -1;
    if (strcmp(first, cls) != 0 || strcmp(last, sep) != 0)
        return err_set(err, "post_processor: a text must be between '%.60s' and '%.60s'", cls, sep);
    return 0;
}

/* ---- settings ---- */

json_t *tokenizer_json_settings(json_t *root, Err *err)
{
    static const char *const parts[] = {"normalizer", "pre_tokenizer", "post_processor", "model"};
    json_t *normalizer = json_object_get(root, "normalizer"), *accents;
    const char *unk, *cls, *sep;
    int clean, chinese, lowercase;
    for (size_t i = 0; i < COUNT_OF(parts); i++)
        if (!json_is_object(json_object_get(root, parts[i])))
            return err_set(err, "%s is missing", parts[i]), NULL;
    if (check_type(root, "normalizer", "BertNormalizer", err) != 0 ||
        read_post_processor(json_object_get(root, "post_processor"), &cls, &sep, err) != 0)
        return NULL;
    if (json_unpack(normalizer, "{s:b, s:b, s:o, s:b}", "clean_text", &clean,
                    "handle_chinese_chars", &chinese, "strip_accents", &accents, "lowercase",
                    &lowercase) != 0 ||
        !clean)
        return err_set(err, "normalizer: not BERT's clean_text, handle_chinese_chars, "
                            "strip_accents and lowercase"),
               NULL;
    if (json_unpack(json_object_get(root, "model"), "{s:s}", "unk_token", &unk) != 0)
        return err_set(err, "model: 'unk_token' must be a string"), NULL;
    return json_pack("{s:b, s:O, s:b, s:s, s:s, s:s}", "do_lower_case", lowercase, "strip_accents",
                     accents, "tokenize_chinese_chars", chinese, "unk_token", unk, "cls_token", cls,
                     "sep_token", sep);
}

/* ---- the vocabulary ---- */

static int add_tokens(Vocab *v, json_t *tokens, Err *err)
{
    const char *token;
    json_t *id;
    size_t bytes = 0;
    if (!json_is_object(tokens))
        return err_set(err, "'vocab' must be an object of ids");
    json_object_foreach (tokens, token, id) {
        json_int_t value = json_integer_value(id);
        if (!json_is_integer(id) || value < 0 || value >= VOCAB_MAX_IDS)
            return err_set(err, "the id of '%.60s' must be from 0 to %d", token, VOCAB_MAX_IDS - 1);
        bytes += strlen(token);
        if (bytes > VOCAB_MAX_BYTES)
            return err_set(err, "the vocabulary has more than %d bytes", VOCAB_MAX_BYTES);
        vocab_add(v, token, strlen(token), (int32_t)value);
    }
    v->has_gaps = (size_t)v->num_ids != json_object_size(tokens);
    return 0;
}

int tokenizer_json_vocab(Vocab *v, const json_t *root, const char *cls, const char *sep,
                         const char *path, Err *err)
{
    const json_t *model = json_object_get(root, "model");
    vocab_init(v);
    if (check_model(model, err) != 0 ||
        check_type(root, "normalizer", "BertNormalizer", err) != 0 ||
        check_type(root, "pre_tokenizer", "BertPreTokenizer", err) != 0 ||
        check_post_processor(root, cls, sep, err) != 0 ||
        add_tokens(v, json_object_get(model, "vocab"), err) != 0) {
        vocab_release(v);
        return err_prefix(err, "%s", path);
    }
    vocab_complete(v);
    return 0;
}
