/* gpt2: the family of GPT-2 (Radford et al. 2019), a decoder.
 *
 *   x = word[token] + position[t]
 *   num_layers times:  x = x + proj(attention(qkv(norm1(x))));  x = x + down(gelu(up(norm2(x))))
 *   hidden = norm(x);  logits = hidden word^T
 *
 * Each layer is one recompute block. Names and the transposed Conv1D weights are those of
 * Hugging Face checkpoints; initial values are GPT-2's: N(0, 0.02), residual projections /
 * sqrt(2 layers). */
#include <math.h>
#include <stdio.h>

#include "autograd/ops.h"
#include "model/families/family.h"

/* ---- the recording ---- */

static const float init_std = 0.02f;

static Tensor *norm(Graph *g, Params *p, const ModelConfig *c, Tensor *x, const char *name)
{
    Tensor *w =
        params_get(p, (ParamSpec){.rows = c->d_model, .init = INIT_ONES}, "%s.weight", name);
    Tensor *b = params_get(p, (ParamSpec){.rows = c->d_model, .init = INIT_ZEROS}, "%s.bias", name);
    return op_layernorm(g, x, w, b, c->norm_eps);
}

typedef struct Layer {
    Graph *g;
    Params *p;
    const ModelConfig *c;
    const RecordWants *want;
    size_t index;
} Layer;

/* The linear layer NAME of block `index`, from x to `out` channels. */
static Tensor *linear(const Layer *l, Tensor *x, const char *name, size_t out, Act act,
                      Tensor *residual)
{
    float std = residual ? init_std / sqrtf(2.0f * (float)l->c->num_layers) : init_std;
    ParamSpec weight = {.rows = out,
                        .cols = tensor_channels(x),
                        .init = INIT_NORMAL,
                        .std = std,
                        .transposed = true};
    Tensor *w = params_get(l->p, weight, "h.%zu.%s.weight", l->index, name);
    Tensor *b = params_get(l->p, (ParamSpec){.rows = out, .init = INIT_ZEROS}, "h.%zu.%s.bias",
                           l->index, name);
    if (residual && l->want->dropout > 0)
        return op_dropout(l->g, op_linear(l->g, x, w, b, act, NULL), l->want->dropout, residual,
                          false);
    return op_linear(l->g, x, w, b, act, residual);
}

static Tensor *layer_norm(const Layer *l, Tensor *x, const char *name)
{
    char full[64];
    snprintf(full, sizeof full, "h.%zu.%s", l->index, name);
    return norm(l->g, l->p, l->c, x, full);
}

static Tensor *layer(const Layer *l, Tensor *x, const Recording *r)
{
    size_t C = l->c->d_model;
    graph_block_begin(l->g);
    Tensor *qkv = linear(l, layer_norm(l, x, "ln_1"), "attn.c_attn", 3 * C, ACT_NONE, NULL);
    Tensor *heads = record_causal_attention(l->g, l->c, l->want, r, qkv);
    x = linear(l, heads, "attn.c_proj", C, ACT_NONE, x);
    Tensor *up = linear(l, layer_norm(l, x, "ln_2"), "mlp.c_fc", l->c->d_ff, l->c->act, NULL);
    x = linear(l, up, "mlp.c_proj", C, ACT_NONE, x);
    graph_block_end(l->g);
    return x;
}

static void record(Graph *g, const ModelConfig *c, Params *p, const RecordWants *want, Recording *r)
{
    ParamSpec table = {
        .rows = c->vocab_size, .cols = c->d_model, .init = INIT_NORMAL, .std = init_std};
    Tensor *word = params_get(p, table, "wte.weight");
    table.rows = c->max_positions;
    Tensor *position = params_get(p, table, "wpe.weight");
    Tensor *x = op_embedding(g, r->tokens, r->sequences, word, position, NULL, NULL, -1);
    if (want->dropout > 0)
        x = op_dropout(g, x, want->dropout, NULL, false);
    for (size_t i = 0; i < c->num_layers; i++) {
        r->hidden[i] = x;
        x = layer(&(Layer){g, p, c, want, i}, x, r);
    }
    x = norm(g, p, c, record_wanted_rows(g, want, r, x), "ln_f");
    r->hidden[c->num_layers] = x;
    if (c->head == HEAD_NONE)
        return;
    table.rows = c->vocab_size;
    Tensor *head = c->tied_head ? word : params_get(p, table, "lm_head.weight");
    if (want->loss)
        r->loss = op_linear_cross_entropy(g, x, head, r->targets);
    if (want->logits)
        r->logits = op_linear(g, x, head, NULL, ACT_NONE, NULL);
}

/* ---- the closed forms ---- */

static double params(const ModelConfig *c)
{
    double C = c->d_model, F = c->d_ff, norm = 2 * C;
    double tables = (double)(c->vocab_size + c->max_positions) * C;
    double layer = 4 * linear_params(C, C) + linear_params(C, F) + linear_params(F, C) + 2 * norm;
    bool own_head = c->head == HEAD_LM && !c->tied_head;
    return tables + (double)c->num_layers * layer + norm +
           (own_head ? (double)c->vocab_size * C : 0);
}

static double flops(const ModelConfig *c, double T)
{
    double C = c->d_model, F = c->d_ff;
    double layer = T * (8 * C * C + 4 * C * F) + 2 * T * (T + 1) * C;
    double head = c->head == HEAD_LM ? T * 2 * C * (double)c->vocab_size : 0;
    return (double)c->num_layers * layer + head;
}

/* ---- the row ---- */

static const char *const lm_classes[] = {"GPT2LMHeadModel", "GPT2DoubleHeadsModel", NULL};
static const char *const heads[] = {"lm_head.", NULL};
/* Masks that the model needs no table for, the head beside a tied table, int8 too, and that of
 * GPT2DoubleHeadsModel. */
static const char *const unused[] = {"h.*.attn.bias",          "h.*.attn.masked_bias",
                                     "lm_head.weight",         "lm_head.weight.scale",
                                     "multiple_choice_head.*", NULL};

const Family family_gpt2 = {
    .model_type = "gpt2",
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
    .act_key = "activation_function",
    .default_act = "gelu_new",
    .eps_key = "layer_norm_epsilon",
    .default_eps = 1e-5,
    .lm_classes = lm_classes,
    .prefix = "transformer.",
    .heads = heads,
    .table = "wte.weight",
    .lm_head = "lm_head.weight",
    .unused = unused,
    .causal = true,
    .record = record,
    .params = params,
    .flops = flops,
};
