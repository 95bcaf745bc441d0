/* bpe_json: see bpe_json.h. */
#include "model/tokenizer/bpe_json.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/json.h"
#include "model/tokenizer/tokenizer_json.h"

enum { MAX_FILE_BYTES = 256 << 20 };

static const char *type_of(const json_t *part)
{
    const char *type = json_string_value(json_object_get(part, "type"));
    return type ? type : "";
}

static bool is_type(const json_t *part, const char *type)
{
    return strcmp(type_of(part), type) == 0;
}

static bool is_there(const char *model_dir, const char *name)
{
    char *path = xasprintf("%s/%s", model_dir, name);
    bool there = access(path, F_OK) == 0;
    free(path);
    return there;
}

bool bpe_json_is_for(const char *model_dir, const json_t *tokenizer)
{
    const json_t *model = json_object_get(tokenizer, "model");
    if (model) /* an old file has no type, but merges */
        return is_type(model, "BPE") || (!*type_of(model) && json_object_get(model, "merges"));
    return !is_there(model_dir, "vocab.txt") && is_there(model_dir, "vocab.json") &&
           is_there(model_dir, "merges.txt");
}

/* A key that is missing or null leaves the value. */
static int get_bool(const json_t *object, const char *key, bool *value, Err *err)
{
    const json_t *v = json_object_get(object, key);
    if (!v || json_is_null(v))
        return 0;
    if (!json_is_boolean(v))
        return err_set(err, "'%s' must be true or false", key);
    *value = json_is_true(v);
    return 0;
}

/* ---- vocabulary and merges ---- */

static int read_vocab(TokenTable *tokens, json_t *vocab, Err *err)
{
    const char *token;
    json_t *id;
    if (!json_is_object(vocab))
        return err_set(err, "'vocab' must be an object of ids");
    json_object_foreach (vocab, token, id) {
        json_int_t value = json_integer_value(id);
        if (!json_is_integer(id) || value < 0 || value >= TOKEN_MAX_IDS)
            return err_set(err, "the id of '%.60s' must be from 0 to %d", token, TOKEN_MAX_IDS - 1);
        if (!token_table_add(tokens, token, strlen(token), (int32_t)value))
            return err_set(err, "'%.60s' has the id %d of another token", token, (int)value);
    }
    return 0;
}

/* "a b", as merges.txt has it too. */
static int add_line(Bpe *b, const char *line, size_t len, Err *err)
{
    const char *space = memchr(line, ' ', len), *end = line + len;
    if (!space || memchr(space + 1, ' ', (size_t)(end - space - 1)))
        return err_set(err, "'%.*s' is not two tokens with a space between",
                       (int)(len < 100 ? len : 100), line);
    return bpe_add_merge(b, line, (size_t)(space - line), space + 1, (size_t)(end - space - 1),
                         err);
}

static int read_merges(Bpe *b, const json_t *merges, Err *err)
{
    size_t i;
    json_t *merge;
    if (!json_is_array(merges))
        return err_set(err, "'merges' must be a list");
    json_array_foreach (merges, i, merge) {
        const char *left, *right;
        int rc = 0;
        if (json_is_string(merge))
            rc = add_line(b, json_string_value(merge), json_string_length(merge), err);
        else if (json_unpack(merge, "[s, s!]", &left, &right) == 0)
            rc = bpe_add_merge(b, left, strlen(left), right, strlen(right), err);
        else
            rc = err_set(err, "it is not two tokens");
        if (rc != 0)
            return err_prefix(err, "merges[%zu]", i);
    }
    return 0;
}

static int check_empty(const json_t *model, const char *key, Err *err)
{
    const json_t *v = json_object_get(model, key);
    bool empty = !v || json_is_null(v) || (json_is_string(v) && !*json_string_value(v));
    return empty ? 0 : err_set(err, "model: %s is not built", key);
}

static int check_off(const json_t *model, const char *key, Err *err)
{
    const json_t *v = json_object_get(model, key);
    bool off = !v || json_is_null(v) || json_is_false(v) ||
               (json_is_number(v) && json_number_value(v) == 0);
    return off ? 0 : err_set(err, "model: %s is not built", key);
}

static int read_model(ByteLevel *b, const json_t *model, Err *err)
{
    if (check_off(model, "dropout", err) != 0 || check_off(model, "byte_fallback", err) != 0 ||
        check_empty(model, "continuing_subword_prefix", err) != 0 ||
        check_empty(model, "end_of_word_suffix", err) != 0 ||
        get_bool(model, "fuse_unk", &b->bpe.fuse_unk, err) != 0 ||
        get_bool(model, "ignore_merges", &b->bpe.whole_words, err) != 0)
        return -1;
    if (read_vocab(&b->bpe.tokens, json_object_get(model, "vocab"), err) != 0 ||
        read_merges(&b->bpe, json_object_get(model, "merges"), err) != 0)
        return err_prefix(err, "model");
    return 0;
}

/* ---- the other parts ---- */

static int read_normalizer(ByteLevel *b, const json_t *part, Err *err)
{
    b->nfc = is_type(part, "NFC");
    return !part || json_is_null(part) || b->nfc
               ? 0
               : err_set(err, "normalizer '%.60s' is not built; NFC is", type_of(part));
}

/* ByteLevel, whose own rule is GPT-2's. */
static int read_byte_level(ByteLevel *b, const json_t *part, bool splits, Err *err)
{
    bool use_regex = true;
    if (get_bool(part, "add_prefix_space", &b->pre.prefix_space, err) != 0 ||
        get_bool(part, "use_regex", &use_regex, err) != 0)
        return -1;
    return use_regex == splits ? 0
                               : err_set(err, "ByteLevel with use_regex %s is not built here",
                                         use_regex ? "true" : "false");
}

static int read_split(ByteLevel *b, const json_t *part, Err *err)
{
    const char *regex =
                   json_string_value(json_object_get(json_object_get(part, "pattern"), "Regex")),
               *behavior = json_string_value(json_object_get(part, "behavior"));
    bool invert = false;
    if (get_bool(part, "invert", &invert, err) != 0)
        return -1;
    if (!regex || !split_rule_of(regex, &b->pre.rule))
        return err_set(err, "the pattern of Split is not built: '%.200s'", regex ? regex : "");
    if (invert || !behavior || strcmp(behavior, "Isolated") != 0)
        return err_set(err, "Split with invert, or a behavior other than Isolated, is not built");
    return 0;
}

static int read_pair(ByteLevel *b, const json_t *first, const json_t *second, Err *err)
{
    bool digits = is_type(first, "Digits");
    if (!is_type(second, "ByteLevel") || (!digits && !is_type(first, "Split")))
        return err_set(err, "a Sequence of '%.60s' and '%.60s' is not built", type_of(first),
                       type_of(second));
    if (!digits && read_split(b, first, err) != 0)
        return -1;
    if (digits && get_bool(first, "individual_digits", &b->pre.digits, err) != 0)
        return -1;
    if (digits && !b->pre.digits)
        return err_set(err, "Digits that keeps digits together is not built");
    if (read_byte_level(b, second, digits, err) != 0)
        return -1;
    return digits || !b->pre.prefix_space
               ? 0
               : err_set(err, "Split with add_prefix_space is not built");
}

static int read_pre_tokenizer(ByteLevel *b, const json_t *part, Err *err)
{
    if (is_type(part, "ByteLevel"))
        return read_byte_level(b, part, true, err);
    const json_t *list = json_object_get(part, "pretokenizers");
    if (is_type(part, "Sequence") && json_array_size(list) == 2)
        return read_pair(b, json_array_get(list, 0), json_array_get(list, 1), err);
    return err_set(err, "'%.60s' is not built; ByteLevel, alone or after Digits or Split, is",
                   type_of(part));
}

static int push_special(AroundIds *around, const json_t *template, const char *name, Err *err)
{
    const json_t *token =
        json_object_get(json_object_get(template, "special_tokens"), name ? name : "");
    const json_t *ids = json_object_get(token, "ids");
    size_t i;
    json_t *id;
    if (!name || json_array_size(ids) == 0)
        return err_set(err, "special_tokens has no ids for '%.60s'", name ? name : "");
    json_array_foreach (ids, i, id) {
        json_int_t value = json_integer_value(id);
        if (!json_is_integer(id) || value < 0 || value >= TOKEN_MAX_IDS)
            return err_set(err, "the id of '%.60s' must be from 0 to %d", name, TOKEN_MAX_IDS - 1);
        if (around->count == BYTE_LEVEL_MAX_AROUND)
            return err_set(err, "more than %d ids around a text are not built",
                           BYTE_LEVEL_MAX_AROUND);
        around->ids[around->count++] = (int32_t)value;
    }
    return 0;
}

/* "single" is a list of special tokens with the text, Sequence A, among them. */
static int read_template(ByteLevel *b, const json_t *part, Err *err)
{
    size_t i, texts = 0;
    json_t *piece;
    json_array_foreach (json_object_get(part, "single"), i, piece) {
        const json_t *special = json_object_get(piece, "SpecialToken");
        if (!special)
            texts++;
        else if (push_special(texts ? &b->last : &b->first, part,
                              json_string_value(json_object_get(special, "id")), err) != 0)
            return -1;
    }
    return texts == 1 ? 0 : err_set(err, "its 'single' has %zu texts where 1 is known", texts);
}

static int read_post_processor(ByteLevel *b, const json_t *part, Err *err)
{
    size_t i;
    json_t *each;
    if (!part || json_is_null(part) || is_type(part, "ByteLevel"))
        return 0;
    if (is_type(part, "TemplateProcessing"))
        return read_template(b, part, err);
    if (!is_type(part, "Sequence"))
        return err_set(err, "'%.60s' is not built; ByteLevel and TemplateProcessing are",
                       type_of(part));
    json_array_foreach (json_object_get(part, "processors"), i, each) {
        if (is_type(each, "Sequence"))
            return err_set(err, "a Sequence in a Sequence is not built");
        if (b->first.count + b->last.count > 0)
            return err_set(err, "a Sequence with something after TemplateProcessing is not built");
        if (read_post_processor(b, each, err) != 0)
            return -1;
    }
    return 0;
}

static int check_decoder(const json_t *part, Err *err)
{
    return !part || json_is_null(part) || is_type(part, "ByteLevel")
               ? 0
               : err_set(err, "decoder '%.60s' is not built; ByteLevel is", type_of(part));
}

/* ---- added tokens ---- */

static int add_token(ByteLevel *b, const json_t *token, Err *err)
{
    AddedToken t = {.content = (char *)json_string_value(json_object_get(token, "content"))};
    if (!t.content)
        return err_set(err, "an added token has no 'content'");
    if (get_bool(token, "special", &t.special, err) != 0)
        return -1;
    t.normalized = !t.special;
    if (get_bool(token, "single_word", &t.single_word, err) != 0 ||
        get_bool(token, "lstrip", &t.lstrip, err) != 0 ||
        get_bool(token, "rstrip", &t.rstrip, err) != 0 ||
        get_bool(token, "normalized", &t.normalized, err) != 0)
        return err_prefix(err, "added token '%.200s'", t.content);
    return byte_level_add_token(b, t, err);
}

static int read_tokenizer(ByteLevel *b, const json_t *root, Err *err)
{
    size_t i;
    json_t *token;
    if (read_model(b, json_object_get(root, "model"), err) != 0 ||
        read_normalizer(b, json_object_get(root, "normalizer"), err) != 0 ||
        check_decoder(json_object_get(root, "decoder"), err) != 0)
        return -1;
    if (read_pre_tokenizer(b, json_object_get(root, "pre_tokenizer"), err) != 0)
        return err_prefix(err, "pre_tokenizer");
    if (read_post_processor(b, json_object_get(root, "post_processor"), err) != 0)
        return err_prefix(err, "post_processor");
    json_array_foreach (json_object_get(root, "added_tokens"), i, token) {
        if (add_token(b, token, err) != 0)
            return -1;
    }
    const json_t *unk = json_object_get(json_object_get(root, "model"), "unk_token");
    return byte_level_complete(b, json_string_value(unk), err);
}

/* ---- vocab.json and merges.txt ---- */

static int read_merges_file(Bpe *b, const char *path, Err *err)
{
    size_t len, line = 1;
    char *text = file_read(path, MAX_FILE_BYTES, &len, err);
    int rc = text ? 0 : -1;
    for (size_t at = 0, next; rc == 0 && at < len; at = next, line++) {
        const char *end = memchr(text + at, '\n', len - at);
        next = end ? (size_t)(end - text) + 1 : len;
        size_t n = next - at - (end ? 1 : 0);
        n -= n > 0 && text[at + n - 1] == '\r';
        if (n == 0 || (n >= 8 && memcmp(text + at, "#version", 8) == 0))
            continue;
        if (add_line(b, text + at, n, err) != 0)
            rc = err_prefix(err, "%s:%zu", path, line);
    }
    free(text);
    return rc;
}

static int read_class(ByteLevel *b, const json_t *config, Err *err)
{
    static const char *const gpt2[] = {"", "GPT2Tokenizer", "GPT2TokenizerFast"},
                             *const qwen2[] = {"Qwen2Tokenizer", "Qwen2TokenizerFast"};
    const char *name = json_string_value(json_object_get(config, "tokenizer_class"));
    bool known = false;
    for (size_t i = 0; i < COUNT_OF(gpt2); i++)
        known |= strcmp(name ? name : "", gpt2[i]) == 0;
    for (size_t i = 0; i < COUNT_OF(qwen2) && !known; i++)
        b->nfc |= strcmp(name, qwen2[i]) == 0;
    b->pre.rule = b->nfc ? SPLIT_QWEN2 : SPLIT_GPT2;
    if (!known && !b->nfc)
        return err_set(err,
                       "tokenizer_class '%.60s' is not built without tokenizer.json; "
                       "GPT2Tokenizer and Qwen2Tokenizer are",
                       name);
    return known ? get_bool(config, "add_prefix_space", &b->pre.prefix_space, err) : 0;
}

typedef struct Listed {
    json_int_t id;
    json_t *token;
} Listed;

static int by_id(const void *a, const void *b)
{
    json_int_t x = ((const Listed *)a)->id, y = ((const Listed *)b)->id;
    return (x > y) - (x < y);
}

/* Of added_tokens_decoder {id: token} and added_tokens.json {content: id}, in the order of ids. */
static int add_listed(ByteLevel *b, json_t *decoder, json_t *added, Err *err)
{
    Listed *list = xcalloc(json_object_size(decoder) + json_object_size(added) + 1, sizeof *list);
    size_t count = 0;
    const char *key;
    json_t *value;
    int rc = 0;
    json_object_foreach (decoder, key, value)
        list[count++] = (Listed){strtol(key, NULL, 10), json_incref(value)};
    json_object_foreach (added, key, value)
        list[count++] = (Listed){json_integer_value(value),
                                 json_pack("{s:s, s:b}", "content", key, "special", 1)};
    qsort(list, count, sizeof *list, by_id);
    for (size_t i = 0; i < count; i++) {
        if (rc == 0)
            rc = add_token(b, list[i].token, err);
        json_decref(list[i].token);
    }
    free(list);
    return rc;
}

static int add_end_of_text(ByteLevel *b, Err *err)
{
    static const char name[] = "<|endoftext|>";
    AddedToken t = {.content = (char *)name, .special = true};
    bool known = token_table_find(&b->bpe.tokens, name, strlen(name)) >= 0;
    return known ? byte_level_add_token(b, t, err) : 0;
}

static int read_tables(ByteLevel *b, const char *model_dir, Err *err)
{
    char *vocab_path = xasprintf("%s/vocab.json", model_dir),
         *merges_path = xasprintf("%s/merges.txt", model_dir);
    json_t *vocab = json_read_object(vocab_path, MAX_FILE_BYTES, err);
    int rc = vocab ? read_vocab(&b->bpe.tokens, vocab, err) : -1;
    if (vocab && rc != 0)
        err_prefix(err, "%s", vocab_path);
    if (rc == 0)
        rc = read_merges_file(&b->bpe, merges_path, err);
    json_decref(vocab);
    free(vocab_path);
    free(merges_path);
    return rc;
}

static int read_directory(ByteLevel *b, const char *model_dir, Err *err)
{
    json_t *config = tokenizer_file(model_dir, "tokenizer_config.json", err);
    json_t *added = config ? tokenizer_file(model_dir, "added_tokens.json", err) : NULL;
    int rc = added ? read_tables(b, model_dir, err) : -1;
    if (rc == 0 && (read_class(b, config, err) != 0 ||
                    add_listed(b, json_object_get(config, "added_tokens_decoder"), added, err) ||
                    add_end_of_text(b, err) != 0 || byte_level_complete(b, NULL, err) != 0))
        rc = err_prefix(err, "%s", model_dir);
    json_decref(config);
    json_decref(added);
    return rc;
}

int bpe_json_read(ByteLevel *b, const json_t *tokenizer, const char *place, Err *err)
{
    byte_level_init(b);
    if (read_tokenizer(b, tokenizer, err) == 0)
        return 0;
    byte_level_release(b);
    return err_prefix(err, "%s", place);
}

/* What the transformers library adds to a tokenizer.json. */
static int read_side(ByteLevel *b, const char *model_dir, const json_t *tokenizer, Err *err)
{
    json_t *config = tokenizer_file(model_dir, "tokenizer_config.json", err);
    int rc = config ? 0 : -1;
    if (config && tokenizer_side(&b->truncate_left, config, tokenizer, "truncation", err) != 0)
        rc = err_prefix(err, "%s/tokenizer_config.json", model_dir);
    json_decref(config);
    return rc;
}

/* b is initialised, and to be released where this fails. */
static int load(ByteLevel *b, const char *model_dir, const json_t *tokenizer, Err *err)
{
    if (!json_object_get(tokenizer, "model"))
        return read_directory(b, model_dir, err);
    return read_tokenizer(b, tokenizer, err) == 0 ? 0
                                                  : err_prefix(err, "%s/tokenizer.json", model_dir);
}

int bpe_json_load(ByteLevel *b, const char *model_dir, const json_t *tokenizer, Err *err)
{
    byte_level_init(b);
    if (load(b, model_dir, tokenizer, err) == 0 && read_side(b, model_dir, tokenizer, err) == 0)
        return 0;
    byte_level_release(b);
    return -1;
}
