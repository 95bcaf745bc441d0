/* config: the named sizes, the checks, and two closed forms; see config.h. Reading Hugging Face's
 * config.json is model/files/config_json.c. */
#include "model/config.h"

#include <math.h>
#include <string.h>

const NamedSize model_sizes[] = {
    {"small", 768, 12, 12}, {"medium", 1024, 24, 16}, {"large", 1280, 36, 20},
    {"xl", 1600, 48, 25},   {"2.7B", 2560, 32, 32},
};
const size_t num_model_sizes = COUNT_OF(model_sizes);

const NamedSize *model_size_find(const char *name)
{
    for (size_t i = 0; i < num_model_sizes; i++)
        if (strcmp(model_sizes[i].name, name) == 0)
            return &model_sizes[i];
    return NULL;
}

ModelConfig model_config_gpt(size_t d_model, size_t num_layers, size_t num_heads, size_t vocab_size,
                             size_t context)
{
    return (ModelConfig){
        .type = MODEL_GPT2,
        .head = HEAD_LM,
        .vocab_size = vocab_size,
        .d_model = d_model,
        .num_layers = num_layers,
        .num_heads = num_heads,
        .d_ff = 4 * d_model,
        .max_positions = context > 1024 ? context : 1024,
        .tied_head = true,
        .act = ACT_GELU_TANH,
        .norm_eps = 1e-5f,
    };
}

static double linear_params(double in, double out)
{
    return in * out + out;
}

/* In double, so that absurd dimensions cannot overflow: whole numbers are exact to 2^53. */
static double count_params(const ModelConfig *c)
{
    double C = c->d_model, F = c->d_ff, norm = 2 * C;
    double tables = (double)(c->vocab_size + c->max_positions + c->type_vocab_size) * C;
    double layer = 4 * linear_params(C, C) + linear_params(C, F) + linear_params(F, C) + 2 * norm;
    double total = tables + (double)c->num_layers * layer + norm;
    if (c->head == HEAD_LM && !c->tied_head)
        total += (double)c->vocab_size * C;
    if (c->head == HEAD_CLASSIFIER)
        total += linear_params(C, C) + linear_params(C, c->num_labels);
    return total;
}

size_t model_num_params(const ModelConfig *c)
{
    return (size_t)count_params(c);
}

double model_flops(const ModelConfig *c, size_t batch, size_t context, bool backward)
{
    double B = batch, T = context, C = c->d_model, F = c->d_ff;
    bool causal = c->type == MODEL_GPT2;
    double attention = causal ? 2 * T * (T + 1) * C : 4 * T * T * C;
    double layer = T * (8 * C * C + 4 * C * F) + attention;
    double sequence = (double)c->num_layers * layer;
    if (c->head == HEAD_LM)
        sequence += T * 2 * C * (double)c->vocab_size;
    if (c->head == HEAD_CLASSIFIER) {
        double unread = (T - 1) * (2 * C * C + 4 * C * F);
        sequence += 2 * C * C + 2 * C * (double)c->num_labels - unread;
    }
    return B * sequence * (backward ? 3 : 1);
}

int model_dimension_check(const char *key, size_t value, Err *err)
{
    if (value == 0 || value > MAX_DIMENSION)
        return err_set(err, "%s is %zu, but must be from 1 to %d", key, value, MAX_DIMENSION);
    return 0;
}

int model_config_check(const ModelConfig *c, Err *err)
{
    const struct {
        const char *key;
        size_t value;
        bool used;
    } dimensions[] = {
        {"vocab_size", c->vocab_size, true},
        {"d_model", c->d_model, true},
        {"num_layers", c->num_layers, true},
        {"num_heads", c->num_heads, true},
        {"d_ff", c->d_ff, true},
        {"max_positions", c->max_positions, true},
        {"type_vocab_size", c->type_vocab_size, c->type == MODEL_BERT},
        {"num_labels", c->num_labels, c->head == HEAD_CLASSIFIER},
    };
    for (size_t i = 0; i < COUNT_OF(dimensions); i++)
        if (dimensions[i].used &&
            model_dimension_check(dimensions[i].key, dimensions[i].value, err) != 0)
            return -1;
    if (c->d_model % c->num_heads != 0)
        return err_set(err, "num_heads %zu does not divide d_model %zu", c->num_heads, c->d_model);
    if (!(c->norm_eps > 0) || isinf(c->norm_eps))
        return err_set(err, "norm_eps is %g, but must be positive", (double)c->norm_eps);
    if (count_params(c) > 0x1p48)
        return err_set(err, "a model of %.3g parameters is beyond the limit of 2^48",
                       count_params(c));
    return 0;
}
