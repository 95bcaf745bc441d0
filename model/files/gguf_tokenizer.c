/* gguf_tokenizer: the tokenizer of a GGUF file as tokenizer.json; see gguf_model.h. */
#include <stdlib.h>
#include <string.h>

#include "model/files/gguf.h"
#include "model/files/gguf_model.h"
#include "model/tokenizer/pre_tokenizer.h"

/* tokenizer.ggml.token_type. */
enum { TOKEN_NORMAL = 1, TOKEN_CONTROL = 3, TOKEN_USER_DEFINED = 4, TOKEN_UNUSED = 5 };

/* What llama.cpp calls the pre-tokenizers. */
static const struct {
    const char *name;
    SplitRule rule;
    bool digits, nfc;
    bool llama3; /* whole words first, and a first token unless the file says otherwise */
} pres[] = {
    {"gpt-2", SPLIT_GPT2, false, false, false},      {"smollm", SPLIT_GPT2, true, false, false},
    {"llama-bpe", SPLIT_LLAMA3, false, false, true}, {"llama3", SPLIT_LLAMA3, false, false, true},
    {"llama-v3", SPLIT_LLAMA3, false, false, true},  {"qwen2", SPLIT_QWEN2, false, true, false},
};

static int find_pre(const Gguf *g, size_t *pre, Err *err)
{
    const char *model = gguf_text(g, "tokenizer.ggml.model"),
               *name = gguf_text(g, "tokenizer.ggml.pre"),
               *arch = gguf_text(g, "general.architecture");
    if (!model || strcmp(model, "gpt2") != 0)
        return err_set(err, "tokenizer.ggml.model '%.60s' is not built; gpt2, byte-level BPE, is",
                       model ? model : "");
    if (!name && arch && strcmp(arch, "gpt2") == 0)
        name = "gpt-2";
    for (*pre = 0; name && *pre < COUNT_OF(pres); ++*pre)
        if (strcmp(name, pres[*pre].name) == 0)
            return 0;
    return err_set(
        err, "tokenizer.ggml.pre '%.60s' is not built; gpt-2, llama-bpe, qwen2 and smollm are",
        name ? name : "");
}

static json_t *pre_tokenizer(size_t pre)
{
    bool alone = pres[pre].rule == SPLIT_GPT2;
    json_t *bytes = json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 0,
                              "trim_offsets", 1, "use_regex", (int)alone);
    if (alone && !pres[pre].digits)
        return bytes;
    json_t *first =
        alone ? json_pack("{s:s, s:b}", "type", "Digits", "individual_digits", 1)
              : json_pack("{s:s, s:{s:s}, s:s, s:b}", "type", "Split", "pattern", "Regex",
                          split_rule_regex(pres[pre].rule), "behavior", "Isolated", "invert", 0);
    return json_pack("{s:s, s:[o, o]}", "type", "Sequence", "pretokenizers", first, bytes);
}

/* A text without a NUL, or NULL. */
static char *text_of(GgufText t)
{
    if (memchr(t.at, 0, t.len))
        return NULL;
    char *copy = xmalloc(t.len + 1);
    memcpy(copy, t.at, t.len);
    copy[t.len] = '\0';
    return copy;
}

static json_t *added_token(const char *content, size_t id, bool special)
{
    return json_pack("{s:I, s:s, s:b, s:b, s:b, s:b, s:b}", "id", (json_int_t)id, "content",
                     content, "single_word", 0, "lstrip", 0, "rstrip", 0, "normalized", 0,
                     "special", (int)special);
}

/* Every token that is used is in the vocabulary, those that are looked for in the text too. */
static int add_tokens(const GgufText *tokens, const double *types, size_t count, json_t *vocab,
                      json_t *added, Err *err)
{
    for (size_t i = 0; i < count; i++) {
        int type = types && types[i] >= 0 && types[i] <= 6 ? (int)types[i] : TOKEN_NORMAL;
        char *text = text_of(tokens[i]);
        bool used = type != TOKEN_UNUSED, taken = text && json_object_get(vocab, text);
        if (used && (!text || taken)) {
            free(text);
            return err_set(err, "tokenizer.ggml.tokens: token %zu %s", i,
                           taken ? "is there twice" : "has a NUL");
        }
        if (used)
            json_object_set_new(vocab, text, json_integer((json_int_t)i));
        if (type == TOKEN_CONTROL || type == TOKEN_USER_DEFINED)
            json_array_append_new(added, added_token(text, i, type == TOKEN_CONTROL));
        free(text);
    }
    return 0;
}

static int read_tokens(const Gguf *g, json_t *vocab, json_t *added, Err *err)
{
    size_t count = 0, num_types = 0;
    GgufText *tokens = gguf_texts(g, "tokenizer.ggml.tokens", &count);
    double *types = gguf_numbers(g, "tokenizer.ggml.token_type", &num_types);
    int rc = gguf_check_kind(g, "tokenizer.ggml.token_type", GGUF_NUMBERS, err);
    if (rc == 0 && !tokens)
        rc = err_set(err, "tokenizer.ggml.tokens is missing, or no list of texts");
    else if (rc == 0 && types && num_types != count)
        rc = err_set(err, "tokenizer.ggml.token_type has %zu values for %zu tokens", num_types,
                     count);
    if (rc == 0)
        rc = add_tokens(tokens, types, count, vocab, added, err);
    free(tokens);
    free(types);
    return rc;
}

static int read_merges(const Gguf *g, json_t *merges, Err *err)
{
    size_t count = 0;
    GgufText *texts = gguf_texts(g, "tokenizer.ggml.merges", &count);
    if (!texts)
        return err_set(err, "tokenizer.ggml.merges is missing, or no list of texts");
    int rc = 0;
    for (size_t i = 0; i < count && rc == 0; i++) {
        char *text = text_of(texts[i]);
        if (text)
            json_array_append_new(merges, json_string(text));
        else
            rc = err_set(err, "tokenizer.ggml.merges: merge %zu has a NUL", i);
        free(text);
    }
    free(texts);
    return rc;
}

/* The text of tokenizer.ggml.KEY_token_id; NULL where there is none. Caller frees. */
static char *named_token(const Gguf *g, const char *name, double *id)
{
    char *key = xasprintf("tokenizer.ggml.%s_token_id", name), *text = NULL;
    size_t count = 0;
    GgufText *tokens = gguf_texts(g, "tokenizer.ggml.tokens", &count);
    if (tokens && gguf_number(g, key, id) && *id >= 0 && *id < (double)count)
        text = text_of(tokens[(size_t)*id]);
    free(tokens);
    free(key);
    return text;
}

/* A token that is to be added has to be there. */
static int check_added(const Gguf *g, const char *name, Err *err)
{
    double wanted = 0, id;
    char *flag = xasprintf("tokenizer.ggml.add_%s_token", name),
         *key = xasprintf("tokenizer.ggml.%s_token_id", name), *token = named_token(g, name, &id);
    int rc = gguf_check_kind(g, flag, GGUF_NUMBER, err);
    if (rc == 0)
        rc = gguf_check_kind(g, key, GGUF_NUMBER, err);
    if (rc == 0 && gguf_number(g, flag, &wanted) && wanted != 0 && !token)
        rc = err_set(err, "%s is true, but %s names no token", flag, key);
    free(flag);
    free(key);
    free(token);
    return rc;
}

/* The token before, or after, every text. */
static json_t *post_processor(const Gguf *g, size_t pre)
{
    double first = pres[pre].llama3, last = 0, id;
    gguf_number(g, "tokenizer.ggml.add_bos_token", &first);
    gguf_number(g, "tokenizer.ggml.add_eos_token", &last);
    json_t *single = json_array(), *special = json_object();
    for (int i = 0; i < 3; i++) {
        bool text = i == 1;
        char *token = text ? NULL : named_token(g, i == 0 ? "bos" : "eos", &id);
        if (text) {
            json_array_append_new(single,
                                  json_pack("{s:{s:s, s:i}}", "Sequence", "id", "A", "type_id", 0));
        } else if (token && (i == 0 ? first : last) != 0) {
            json_array_append_new(
                single, json_pack("{s:{s:s, s:i}}", "SpecialToken", "id", token, "type_id", 0));
            json_object_set_new(special, token,
                                json_pack("{s:s, s:[I], s:[s]}", "id", token, "ids", (json_int_t)id,
                                          "tokens", token));
        }
        free(token);
    }
    json_t *pair = json_pack("[{s:{s:s, s:i}}, {s:{s:s, s:i}}]", "Sequence", "id", "A", "type_id",
                             0, "Sequence", "id", "B", "type_id", 1);
    return json_pack("{s:s, s:o, s:o, s:o}", "type", "TemplateProcessing", "single", single, "pair",
                     pair, "special_tokens", special);
}

static json_t *build(const Gguf *g, size_t pre, json_t *vocab, json_t *merges, json_t *added)
{
    json_t *model = json_pack(
        "{s:s, s:n, s:n, s:n, s:n, s:b, s:b, s:b, s:O, s:O}", "type", "BPE", "dropout", "unk_token",
        "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", 0, "byte_fallback", 0,
        "ignore_merges", (int)pres[pre].llama3, "vocab", vocab, "merges", merges);
    json_t *bytes = json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 1,
                              "trim_offsets", 1, "use_regex", 1);
    return json_pack("{s:s, s:n, s:n, s:O, s:o, s:o, s:o, s:o, s:o}", "version", "1.0",
                     "truncation", "padding", "added_tokens", added, "normalizer",
                     pres[pre].nfc ? json_pack("{s:s}", "type", "NFC") : json_null(),
                     "pre_tokenizer", pre_tokenizer(pre), "post_processor", post_processor(g, pre),
                     "decoder", bytes, "model", model);
}

json_t *gguf_tokenizer(const char *path, Err *err)
{
    Gguf *g = gguf_open(path, err);
    if (!g)
        return NULL;
    size_t pre = 0;
    json_t *vocab = json_object(), *merges = json_array(), *added = json_array(), *all = NULL;
    if (find_pre(g, &pre, err) == 0 && read_tokens(g, vocab, added, err) == 0 &&
        read_merges(g, merges, err) == 0 && check_added(g, "bos", err) == 0 &&
        check_added(g, "eos", err) == 0)
        all = build(g, pre, vocab, merges, added);
    else
        err_prefix(err, "'%s'", path);
    json_decref(vocab);
    json_decref(merges);
    json_decref(added);
    gguf_free(g);
    return all;
}

json_t *gguf_tokenizer_config(const char *path, Err *err)
{
    static const char *const names[] = {"bos", "eos", "unknown", "padding"}, *const keys[] = {
                                                                                 "bos_token",
                                                                                 "eos_token",
                                                                                 "unk_token",
                                                                                 "pad_token"};
    Gguf *g = gguf_open(path, err);
    if (!g)
        return NULL;
    json_t *config = json_pack("{s:s, s:b}", "tokenizer_class", "PreTrainedTokenizerFast",
                               "clean_up_tokenization_spaces", 0);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        double id;
        char *token = named_token(g, names[i], &id);
        if (token)
            json_object_set_new(config, keys[i], json_string(token));
        free(token);
    }
    const char *template = gguf_text(g, "tokenizer.chat_template");
    if (template)
        json_object_set_new(config, "chat_template", json_string(template));
    gguf_free(g);
    return config;
}
