/* gpt2: the decoder of GPT-2 (Radford et al. 2019) recorded as a graph.
 *
 *   x = word[token] + position[t]
 *   num_layers times:  x = x + proj(attention(qkv(norm1(x))));  x = x + down(gelu(up(norm2(x))))
 *   hidden = norm(x);  logits = hidden word^T
 *
 * Each layer is one recompute block. Names and the transposed Conv1D weights are those of Hugging
 * Face checkpoints; initial values are GPT-2's: N(0, 0.02), residual projections / sqrt(2 layers). */
#include <math.h>

#include "autograd/ops.h"
#include "model/recording.h"

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
    float dropout;
    DType attention;
    size_t index;
} Layer;

/* The linear layer NAME of block `index`, from x to `out` channels. */
static Tensor *linear(const Layer *l, Tensor *x, const char *name, size_t out, Act act,
                      Tensor *residual)
{
    float std = residual ? init_std / sqrtf(2.0f * (float)l->c->num_layers) : init_std;
    ParamSpec weight = {out, tensor_channels(x), INIT_NORMAL, std, .transposed = true};
    Tensor *w = params_get(l->p, weight, "h.%zu.%s.weight", l->index, name);
    Tensor *b = params_get(l->p, (ParamSpec){.rows = out, .init = INIT_ZEROS}, "h.%zu.%s.bias",
                           l->index, name);
    if (residual && l->dropout > 0)
        return op_dropout(l->g, op_linear(l->g, x, w, b, act, NULL), l->dropout, residual);
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
    Tensor *heads =
        op_attention(l->g, qkv, r->mask, r->sequences, l->c->num_heads, true, l->attention);
    x = linear(l, heads, "attn.c_proj", C, ACT_NONE, x);
    Tensor *up = linear(l, layer_norm(l, x, "ln_2"), "mlp.c_fc", l->c->d_ff, l->c->act, NULL);
    x = linear(l, up, "mlp.c_proj", C, ACT_NONE, x);
    graph_block_end(l->g);
    return x;
}

void gpt_record(Graph *g, const ModelConfig *c, Params *p, const RecordWants *want, Recording *r)
{
    ParamSpec table = {c->vocab_size, c->d_model, INIT_NORMAL, init_std, false};
    Tensor *word = params_get(p, table, "wte.weight");
    table.rows = c->max_positions;
    Tensor *position = params_get(p, table, "wpe.weight");
    Tensor *x = op_embedding(g, r->tokens, r->sequences, word, position, NULL, -1);
    if (want->dropout > 0)
        x = op_dropout(g, x, want->dropout, NULL);
    for (size_t i = 0; i < c->num_layers; i++) {
        r->hidden[i] = x;
        x = layer(&(Layer){g, p, c, want->dropout, want->attention, i}, x, r);
    }
    x = norm(g, p, c, x, "ln_f");
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
