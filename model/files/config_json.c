/* config_json: see config_json.h. What no table names is ignored: such files have many keys. */
#include "model/files/config_json.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/families/family.h"
#include "model/files/gguf.h"
#include "model/files/gguf_model.h"
#include "model/json.h"

/* The transformers library's names, that of GPT-2 or BERT first. Those of one function differ there
 * by rounding only. */
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

const char *config_act_name(Act act)
{
    size_t i = 0;
    while (acts[i].act != act)
        i++;
    return acts[i].name;
}

/* Settings that change the mathematics, with the one value that is built. */
static const struct {
    const char *key;
    bool built;
} fixed_settings[] = {
    {"scale_attn_weights", true},       {"scale_attn_by_inverse_layer_idx", false},
    {"reorder_and_upcast_attn", false}, {"add_cross_attention", false},
    {"tie_last_hidden_states", true},
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

static int refuse_settings(const json_t *root, const Family *family, Err *err)
{
    for (size_t i = 0; i < COUNT_OF(fixed_settings); i++)
        if (refuse_unless(root, fixed_settings[i].key, fixed_settings[i].built, err) != 0)
            return -1;
    if (!family->causal && refuse_unless(root, "is_decoder", false, err) != 0)
        return -1;
    if (get(root, "quantization_config"))
        return err_set(err, "quantization_config is not built; plain weights are");
    const char *key = "position_embedding_type";
    const json_t *value = get(root, key);
    const char *name = json_string_value(value);
    if (value && (!name || strcmp(name, "absolute") != 0))
        return err_set(err, "%s must be \"absolute\"; %s is not built", key,
                       name ? name : "anything else");
    return 0;
}

/* Null counts as missing only where the default follows from other keys. */
static int read_dimension(const json_t *root, const DimensionKey *key, size_t *out, Err *err)
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

static int read_dimensions(const json_t *root, ModelConfig *c, Err *err)
{
    const DimensionKey *keys = c->family->keys;
    for (Dimension d = 0; d < NUM_DIMENSIONS; d++)
        if (keys[d].name && read_dimension(root, &keys[d], model_dimension(c, d), err) != 0)
            return -1;
    if (!c->family->rotary && c->d_model % c->num_heads != 0)
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

static int read_act(const json_t *root, const Family *family, Act *act, Err *err)
{
    const json_t *value = json_object_get(root, family->act_key);
    const char *name = value ? json_string_value(value) : family->default_act;
    if (!name)
        return err_set(err, "%s must be a string", family->act_key);
    for (size_t i = 0; i < COUNT_OF(acts); i++)
        if (strcmp(acts[i].name, name) == 0) {
            *act = acts[i].act;
            return 0;
        }
    return err_set(err, "%s '%.40s' is not built", family->act_key, name);
}

static int read_eps(const json_t *root, const Family *family, float *eps, Err *err)
{
    const json_t *value = family->eps_key ? json_object_get(root, family->eps_key) : NULL;
    if (value && !json_is_number(value))
        return err_set(err, "%s must be a number", family->eps_key);
    *eps = (float)(value ? json_number_value(value) : family->default_eps);
    if (!(*eps > 0) || isinf(*eps))
        return err_set(err, "%s is %g, but must be positive", family->eps_key, (double)*eps);
    return 0;
}

/* GPT-2 has a pad_token_id, too, but no row of its table is held there. A negative one counts from
 * the end of the table, as PyTorch's padding_idx does. Without the key it is 0 in an encoder and
 * none in a decoder. */
static int read_pad_token(const json_t *root, ModelConfig *c, Err *err)
{
    const json_t *value = json_object_get(root, "pad_token_id");
    if (!c->family->pad_row_held || json_is_null(value) || (!value && c->family->causal))
        return 0;
    json_int_t id = json_integer_value(value);
    json_int_t rows = (json_int_t)c->vocab_size;
    if (value && (!json_is_integer(value) || id < -rows || id >= rows))
        return err_set(err, "pad_token_id must be null or from %lld to %lld", (long long)-rows,
                       (long long)rows - 1);
    c->has_pad_token = true;
    c->pad_token = (size_t)(id < 0 ? id + rows : id);
    return 0;
}

/* ---- decoders with rotary embedding ---- */

static int read_number(const json_t *root, const char *key, double fallback, double *out, Err *err)
{
    const json_t *value = get(root, key);
    if (value && !json_is_number(value))
        return err_set(err, "%s must be a number", key);
    *out = value ? json_number_value(value) : fallback;
    if (!(*out > 0) || isinf(*out))
        return err_set(err, "%s is %g, but must be positive", key, *out);
    return 0;
}

static int read_count(const json_t *root, const char *key, size_t fallback, size_t *out, Err *err)
{
    const DimensionKey as = {key, NULL, fallback};
    *out = fallback;
    return get(root, key) ? read_dimension(root, &as, out, err) : 0;
}

/* `rope_parameters` (transformers 5) or `rope_scaling`: NULL where there is none. */
static int find_scaling(const json_t *root, const json_t **out, Err *err)
{
    const json_t *newer = get(root, "rope_parameters"), *older = get(root, "rope_scaling");
    *out = newer ? newer : older;
    if (*out && !json_is_object(*out))
        return err_set(err, "%s must be an object", newer ? "rope_parameters" : "rope_scaling");
    return 0;
}

static int read_scaling(const json_t *scaling, Rope *r, Err *err)
{
    const json_t *type =
        get(scaling, "rope_type") ? get(scaling, "rope_type") : get(scaling, "type");
    const char *name = type ? json_string_value(type) : "default";
    if (!name || (strcmp(name, "default") != 0 && strcmp(name, "llama3") != 0))
        return err_set(err, "rope_type %.40s is not built; default and llama3 are",
                       name ? name : "of another kind than text");
    if (strcmp(name, "default") == 0)
        return 0;
    if (!get(scaling, "factor") || !get(scaling, "low_freq_factor") ||
        !get(scaling, "high_freq_factor") || !get(scaling, "original_max_position_embeddings"))
        return err_set(err, "rope_type llama3 needs factor, low_freq_factor, high_freq_factor and "
                            "original_max_position_embeddings");
    if (read_number(scaling, "factor", 1, &r->factor, err) != 0 ||
        read_number(scaling, "low_freq_factor", 1, &r->low, err) != 0 ||
        read_number(scaling, "high_freq_factor", 1, &r->high, err) != 0 ||
        read_number(scaling, "original_max_position_embeddings", 1, &r->original, err) != 0)
        return -1;
    return r->high > r->low ? 0
                            : err_set(err, "high_freq_factor is %g, not above low_freq_factor %g",
                                      r->high, r->low);
}

static int read_rope(const json_t *root, Rope *r, Err *err)
{
    const json_t *scaling;
    double rotated = 1;
    if (find_scaling(root, &scaling, err) != 0)
        return -1;
    const json_t *theta_in = scaling && get(scaling, "rope_theta") ? scaling : root;
    if (read_number(theta_in, "rope_theta", 10000, &r->theta, err) != 0 ||
        (scaling && read_scaling(scaling, r, err) != 0) ||
        read_number(scaling && get(scaling, "partial_rotary_factor") ? scaling : root,
                    "partial_rotary_factor", 1, &rotated, err) != 0)
        return -1;
    return rotated == 1 ? 0 : err_set(err, "partial_rotary_factor is %g; only 1 is built", rotated);
}

/* A window of attention changes the result beyond its length. */
static int refuse_window(const json_t *root, const Family *family, Err *err)
{
    const json_t *window = json_object_get(root, "sliding_window");
    bool missing = !window && family->default_window;
    if (family->default_window && (missing || !json_is_null(window)))
        return err_set(err,
                       missing ? "sliding_window is missing, which stands for %zu, and is not "
                                 "built; null is"
                               : "sliding_window is not built; null is",
                       family->default_window);
    const json_t *types = get(root, "layer_types"), *type;
    size_t i;
    json_array_foreach (types, i, type)
        if (!json_is_string(type) || strcmp(json_string_value(type), "full_attention") != 0)
            return err_set(err, "layer_types: %.40s is not built; full_attention is",
                           json_is_string(type) ? json_string_value(type) : "what is no text");
    return refuse_unless(root, "use_sliding_window", false, err);
}

static int read_rotary(const json_t *root, ModelConfig *c, Err *err)
{
    const Family *f = c->family;
    const json_t *act = get(root, f->act_key);
    if (act && (!json_is_string(act) || (strcmp(json_string_value(act), "silu") != 0 &&
                                         strcmp(json_string_value(act), "swish") != 0)))
        return err_set(err, "%s must be silu; another gate is not built", f->act_key);
    c->max_positions = MAX_DIMENSION;
    c->qkv_bias = f->qkv_bias;
    c->qk_norm = f->qk_norm;
    c->rope.interleaved = f->interleaved;
    if (refuse_window(root, f, err) != 0 ||
        refuse_unless(root, "attention_bias", false, err) != 0 ||
        refuse_unless(root, "mlp_bias", false, err) != 0 ||
        read_count(root, "num_key_value_heads", f->default_kv_heads, &c->num_kv_heads, err) != 0 ||
        read_count(root, "head_dim", f->default_head_dim, &c->head_dim, err) != 0)
        return -1;
    return read_rope(root, &c->rope, err);
}

static bool is_lm_class(const Family *family, const char *name)
{
    const char *const *class = family->lm_classes;
    while (class && *class && strcmp(*class, name) != 0)
        class ++;
    return class && *class;
}

/* See model_config_load in the header for the rule. */
static int read_head(const json_t *root, ModelConfig *c, Err *err)
{
    const json_t *list = get(root, "architectures");
    const json_t *first = json_array_get(list, 0);
    const char *name = json_string_value(first);
    const Family *family = c->family;
    if ((list && !json_is_array(list)) || (first && !name))
        return err_set(err, "architectures must be a list of strings");
    bool classifier = name && text_ends_with(name, "ForSequenceClassification");
    if (name &&
        ((classifier && !family->classifier_class) ||
         text_ends_with(name, "ForTokenClassification") ||
         text_ends_with(name, "ForQuestionAnswering") || text_ends_with(name, "ForMultipleChoice")))
        return err_set(err, "architectures: the head of %.80s is not built", name);
    bool lm = name ? is_lm_class(family, name) : family->lm_classes != NULL;
    c->head = lm ? HEAD_LM : classifier ? HEAD_CLASSIFIER : HEAD_NONE;
    c->head_open = !name && !lm;
    return 0;
}

static int read_config(const json_t *root, ModelConfig *c, Err *err)
{
    const Family *family = family_find(json_string_value(json_object_get(root, "model_type")), err);
    if (!family)
        return -1;
    *c = (ModelConfig){.family = family};
    if (refuse_settings(root, family, err) != 0 || read_head(root, c, err) != 0 ||
        read_dimensions(root, c, err) != 0 ||
        (family->rotary ? read_rotary(root, c, err) : read_act(root, family, &c->act, err)) != 0 ||
        read_eps(root, family, &c->norm_eps, err) != 0 || read_pad_token(root, c, err) != 0 ||
        read_bool(root, "tie_word_embeddings", !family->rotary, &c->tied_head, err) != 0)
        return -1;
    return model_config_check(c, err);
}

json_t *config_json_read(const char *model_dir, Err *err)
{
    if (path_check_model(model_dir, err) != 0)
        return NULL;
    if (path_is_gguf(model_dir))
        return gguf_config(model_dir, err);
    char *path = xasprintf("%s/config.json", model_dir);
    json_t *root = json_read_object(path, CONFIG_JSON_MAX_BYTES, err);
    free(path);
    return root;
}

int model_config_load(const char *model_dir, ModelConfig *c, Err *err)
{
    json_t *root = config_json_read(model_dir, err);
    int status = root ? read_config(root, c, err) : -1;
    if (root && status != 0)
        err_prefix(err, "'%s%s'", model_dir, path_is_gguf(model_dir) ? "" : "/config.json");
    json_decref(root);
    return status;
}
