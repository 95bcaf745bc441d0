/* config_json: model_config_load of config.h. One table holds what each model_type calls its keys
 * and their defaults; what is not in a table here is ignored, as the many keys of such files must
 * be. */
#include "model/config.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef enum Dimension {
    VOCAB_SIZE,
    D_MODEL,
    NUM_LAYERS,
    NUM_HEADS,
    D_FF,
    MAX_POSITIONS,
    TYPE_VOCAB_SIZE,
    NUM_LABELS,
    NUM_DIMENSIONS,
} Dimension;

static const size_t places[NUM_DIMENSIONS] = {
    [VOCAB_SIZE] = offsetof(ModelConfig, vocab_size),
    [D_MODEL] = offsetof(ModelConfig, d_model),
    [NUM_LAYERS] = offsetof(ModelConfig, num_layers),
    [NUM_HEADS] = offsetof(ModelConfig, num_heads),
    [D_FF] = offsetof(ModelConfig, d_ff),
    [MAX_POSITIONS] = offsetof(ModelConfig, max_positions),
    [TYPE_VOCAB_SIZE] = offsetof(ModelConfig, type_vocab_size),
    [NUM_LABELS] = offsetof(ModelConfig, num_labels),
};

/* What a model_type calls a dimension, a second key that means the same, and the value where the
 * file has neither (0: it follows from the others). */
typedef struct Key {
    const char *name, *alias;
    size_t fallback;
} Key;

/* What a model_type calls its keys, and the transformers library's defaults (version 5.23). */
typedef struct Format {
    const char *model_type;
    ModelType type;
    const char *act_key, *default_act;
    const char *eps_key; /* NULL: fixed */
    double default_eps;
    Key keys[NUM_DIMENSIONS]; /* a NULL name: this model_type has no such dimension */
} Format;

static const Format formats[] = {
    {
        .model_type = "gpt2",
        .type = MODEL_GPT2,
        .act_key = "activation_function",
        .default_act = "gelu_new",
        .eps_key = "layer_norm_epsilon",
        .default_eps = 1e-5,
        .keys =
            {
                [VOCAB_SIZE] = {"vocab_size", NULL, 50257},
                [D_MODEL] = {"n_embd", "hidden_size", 768},
                [NUM_LAYERS] = {"n_layer", "num_hidden_layers", 12},
                [NUM_HEADS] = {"n_head", "num_attention_heads", 12},
                [D_FF] = {"n_inner", NULL, 0},
                [MAX_POSITIONS] = {"n_positions", "max_position_embeddings", 1024},
                [NUM_LABELS] = {"num_labels", NULL, 2},
            },
    },
    {
        .model_type = "distilbert",
        .type = MODEL_DISTILBERT,
        .act_key = "activation",
        .default_act = "gelu",
        .default_eps = 1e-12,
        .keys =
            {
                [VOCAB_SIZE] = {"vocab_size", NULL, 30522},
                [D_MODEL] = {"dim", "hidden_size", 768},
                [NUM_LAYERS] = {"n_layers", "num_hidden_layers", 6},
                [NUM_HEADS] = {"n_heads", "num_attention_heads", 12},
                [D_FF] = {"hidden_dim", NULL, 3072},
                [MAX_POSITIONS] = {"max_position_embeddings", NULL, 512},
                [NUM_LABELS] = {"num_labels", NULL, 2},
            },
    },
    {
        .model_type = "bert",
        .type = MODEL_BERT,
        .act_key = "hidden_act",
        .default_act = "gelu",
        .eps_key = "layer_norm_eps",
        .default_eps = 1e-12,
        .keys =
            {
                [VOCAB_SIZE] = {"vocab_size", NULL, 30522},
                [D_MODEL] = {"hidden_size", NULL, 768},
                [NUM_LAYERS] = {"num_hidden_layers", NULL, 12},
                [NUM_HEADS] = {"num_attention_heads", NULL, 12},
                [D_FF] = {"intermediate_size", NULL, 3072},
                [MAX_POSITIONS] = {"max_position_embeddings", NULL, 512},
                [TYPE_VOCAB_SIZE] = {"type_vocab_size", NULL, 2},
                [NUM_LABELS] = {"num_labels", NULL, 2},
            },
    },
};

/* The transformers library's names; those of one function differ there by rounding only. */
static const struct {
    const char *name;
    Act act;
} acts[] = {
    {"gelu_new", ACT_GELU_TANH},
    {"gelu_pytorch_tanh", ACT_GELU_TANH},
    {"gelu_python_tanh", ACT_GELU_TANH},
    {"gelu_fast", ACT_GELU_TANH},
    {"gelu_accurate", ACT_GELU_TANH},
    {"gelu", ACT_GELU_ERF},
    {"gelu_python", ACT_GELU_ERF},
    {"relu", ACT_RELU},
    {"tanh", ACT_TANH},
    {"linear", ACT_NONE},
};

/* Settings that change the mathematics, with the one value that is built. */
static const struct {
    const char *key;
    bool built;
} fixed_settings[] = {
    {"scale_attn_weights", true},       {"scale_attn_by_inverse_layer_idx", false},
    {"reorder_and_upcast_attn", false}, {"add_cross_attention", false},
    {"sinusoidal_pos_embds", false},    {"tie_last_hidden_states", true},
};

static const json_t *get(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_null(value) ? NULL : value;
}

static int read_bool(const json_t *root, const char *key, bool fallback, bool *out, Err *err)
{
    const json_t *value = get(root, key);
    if (value && !json_is_boolean(value))
        return err_set(err, "%s must be true or false", key);
    *out = value ? json_is_true(value) : fallback;
    return 0;
}

static int refuse_unless(const json_t *root, const char *key, bool built, Err *err)
{
    bool value = built;
    if (read_bool(root, key, built, &value, err) != 0)
        return -1;
    if (value != built)
        return err_set(err, "%s = %s changes the mathematics and is not built", key,
                       value ? "true" : "false");
    return 0;
}

static int refuse_settings(const json_t *root, ModelType type, Err *err)
{
    for (size_t i = 0; i < COUNT_OF(fixed_settings); i++)
        if (refuse_unless(root, fixed_settings[i].key, fixed_settings[i].built, err) != 0)
            return -1;
    if (type == MODEL_BERT && refuse_unless(root, "is_decoder", false, err) != 0)
        return -1;
    const char *key = "position_embedding_type";
    const json_t *value = get(root, key);
    const char *name = json_string_value(value);
    if (value && (!name || strcmp(name, "absolute") != 0))
        return err_set(err, "%s must be \"absolute\"; %s is not built", key,
                       name ? name : "anything else");
    return 0;
}

/* Null counts as missing only where the default follows from other keys. */
static int read_dimension(const json_t *root, const Key *key, size_t *out, Err *err)
{
    const json_t *value = json_object_get(root, key->name);
    const json_t *other = key->alias ? json_object_get(root, key->alias) : NULL;
    if (value && other && !json_equal(value, other))
        return err_set(err, "%s and %s mean the same and differ", key->name, key->alias);
    const char *name = value ? key->name : key->alias;
    value = value ? value : other;
    *out = key->fallback;
    if (!value || (json_is_null(value) && key->fallback == 0))
        return 0;
    if (!json_is_integer(value))
        return err_set(err, "%s must be a whole number", name);
    json_int_t number = json_integer_value(value);
    if (number < 0)
        return err_set(err, "%s is negative", name);
    *out = (size_t)number;
    return model_dimension_check(name, *out, err);
}

static int read_dimensions(const json_t *root, const Format *format, ModelConfig *c, Err *err)
{
    const Key *keys = format->keys;
    for (Dimension d = 0; d < NUM_DIMENSIONS; d++)
        if (keys[d].name &&
            read_dimension(root, &keys[d], (size_t *)((char *)c + places[d]), err) != 0)
            return -1;
    if (c->d_model % c->num_heads != 0)
        return err_set(err, "%s %zu does not divide %s %zu", keys[NUM_HEADS].name, c->num_heads,
                       keys[D_MODEL].name, c->d_model);
    if (c->d_ff == 0)
        c->d_ff = 4 * c->d_model;
    const json_t *labels = get(root, "id2label");
    if (labels && !json_is_object(labels))
        return err_set(err, "id2label must be an object");
    if (labels)
        c->num_labels = json_object_size(labels);
    return 0;
}

static int read_act(const json_t *root, const Format *format, Act *act, Err *err)
{
    const json_t *value = json_object_get(root, format->act_key);
    const char *name = value ? json_string_value(value) : format->default_act;
    if (!name)
        return err_set(err, "%s must be a string", format->act_key);
    for (size_t i = 0; i < COUNT_OF(acts); i++)
        if (strcmp(acts[i].name, name) == 0) {
            *act = acts[i].act;
            return 0;
        }
    return err_set(err, "%s '%.40s' is not built", format->act_key, name);
}

static int read_eps(const json_t *root, const Format *format, float *eps, Err *err)
{
    const json_t *value = format->eps_key ? json_object_get(root, format->eps_key) : NULL;
    if (value && !json_is_number(value))
        return err_set(err, "%s must be a number", format->eps_key);
    *eps = (float)(value ? json_number_value(value) : format->default_eps);
    if (!(*eps > 0) || isinf(*eps))
        return err_set(err, "%s is %g, but must be positive", format->eps_key, (double)*eps);
    return 0;
}

/* GPT-2 has a pad_token_id, too, but its token table takes no notice of it. */
static int read_pad_token(const json_t *root, ModelConfig *c, Err *err)
{
    const json_t *value = json_object_get(root, "pad_token_id");
    if (c->type == MODEL_GPT2 || json_is_null(value))
        return 0;
    json_int_t id = json_integer_value(value);
    if (value && (!json_is_integer(value) || id < 0 || (size_t)id >= c->vocab_size))
        return err_set(err, "pad_token_id must be null or from 0 to %zu", c->vocab_size - 1);
    c->has_pad_token = true;
    c->pad_token = (size_t)id;
    return 0;
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

/* See model_config_load in the header for the rule. */
static int read_head(const json_t *root, ModelConfig *c, Err *err)
{
    const json_t *list = get(root, "architectures");
    const json_t *first = json_array_get(list, 0);
    const char *name = json_string_value(first);
    if ((list && !json_is_array(list)) || (first && !name))
        return err_set(err, "architectures must be a list of strings");
    bool gpt2 = c->type == MODEL_GPT2,
         classifier = name && ends_with(name, "ForSequenceClassification");
    if (name && ((gpt2 && classifier) || ends_with(name, "ForTokenClassification") ||
                 ends_with(name, "ForQuestionAnswering") || ends_with(name, "ForMultipleChoice")))
        return err_set(err, "architectures: the head of %.80s is not built", name);
    bool lm = gpt2 && (!name || strcmp(name, "GPT2LMHeadModel") == 0 ||
                       strcmp(name, "GPT2DoubleHeadsModel") == 0);
    c->head = lm ? HEAD_LM : classifier ? HEAD_CLASSIFIER : HEAD_NONE;
    c->head_open = !gpt2 && !name;
    return 0;
}

static const Format *find_format(const json_t *root, Err *err)
{
    const char *name = json_string_value(json_object_get(root, "model_type"));
    for (size_t i = 0; name && i < COUNT_OF(formats); i++)
        if (strcmp(formats[i].model_type, name) == 0)
            return &formats[i];
    if (name)
        err_set(err, "model_type '%.40s' is not built; gpt2, distilbert and bert are", name);
    else
        err_set(err, "no model_type; gpt2, distilbert and bert are understood");
    return NULL;
}

static int read_config(const json_t *root, ModelConfig *c, Err *err)
{
    const Format *format = find_format(root, err);
    if (!format)
        return -1;
    *c = (ModelConfig){.type = format->type};
    if (refuse_settings(root, c->type, err) != 0 || read_head(root, c, err) != 0 ||
        read_dimensions(root, format, c, err) != 0 || read_act(root, format, &c->act, err) != 0 ||
        read_eps(root, format, &c->norm_eps, err) != 0 || read_pad_token(root, c, err) != 0 ||
        read_bool(root, "tie_word_embeddings", true, &c->tied_head, err) != 0)
        return -1;
    return model_config_check(c, err);
}

int model_config_load(const char *model_dir, ModelConfig *c, Err *err)
{
    enum { MAX_CONFIG_BYTES = 16 << 20 };
    char *path = xasprintf("%s/config.json", model_dir);
    size_t length;
    json_t *root = NULL;
    int status = -1;
    char *text = file_read(path, MAX_CONFIG_BYTES, &length, err);
    if (!text)
        goto done;
    json_error_t where;
    root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &where);
    if (!root)
        err_set(err, "'%s', line %d, column %d: %s", path, where.line, where.column, where.text);
    else if (!json_is_object(root))
        err_set(err, "'%s' is not a JSON object", path);
    else if ((status = read_config(root, c, err)) != 0)
        err_prefix(err, "'%s'", path);
done:
    json_decref(root);
    free(text);
    free(path);
    return status;
}
