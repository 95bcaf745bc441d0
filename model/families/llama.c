/* llama: the family of Llama (Touvron et al. 2023), decoders that differ in settings only: Mistral
 * (without its window), Qwen2 (a bias on q, k and v), Qwen3 (norms of q and k), and the model of
 * Stanford's course CS336, which turns interleaved pairs.
 *
 *   x = word[token]
 *   num_layers times:  x = x + out(attention(rope(qkv(norm1(x)))))
 *                      x = x + down(gate(up(norm2(x))))
 *   hidden = norm(x);  logits = hidden head^T
 *
 * Norms are RMS norms, the gate is that of SwiGLU, groups of heads may share keys and values; only
 * qkv may have a bias. Each layer is one recompute block. Names are those of Hugging Face
 * checkpoints, which keep q, k and v, and gate and up, apart; here each is one matrix. */
#include "model/families/llama.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "autograd/ops.h"
#include "model/families/family.h"

/* ---- rotary embedding ---- */

/* One plane under Llama 3's scaling: the wavelength decides. */
static float scaled_frequency(const Rope *r, float frequency)
{
    float slow = (float)(r->original / r->low), fast = (float)(r->original / r->high);
    float wavelength = 2.0f * (float)M_PI / frequency;
    if (wavelength < fast)
        return frequency;
    if (wavelength > slow)
        return frequency / (float)r->factor;
    float smooth = ((float)r->original / wavelength - (float)r->low) / (float)(r->high - r->low);
    return (1.0f - smooth) * frequency / (float)r->factor + smooth * frequency;
}

void rope_frequencies(const Rope *r, size_t channels, float *frequency)
{
    for (size_t i = 0; i < channels / 2; i++) {
        float exponent = (float)(2 * i) / (float)channels;
        float plain = 1.0f / (float)pow((double)(float)r->theta, (double)exponent);
        frequency[i] = r->factor > 0 ? scaled_frequency(r, plain) : plain;
    }
}

/* ---- the recording ---- */

typedef struct Layer {
    Graph *g;
    Params *p;
    const ModelConfig *c;
    const RecordWants *want;
    const float *frequency; /* of the planes of a head */
    char prefix[32];        /* "layers.N." */
} Layer;

static Tensor *norm_weight(const Layer *l, const char *name, size_t channels)
{
    return params_get(l->p, (ParamSpec){.rows = channels, .init = INIT_ONES}, "%s%s.weight",
                      l->prefix, name);
}

static Tensor *norm(const Layer *l, Tensor *x, const char *name)
{
    return op_rmsnorm(l->g, x, norm_weight(l, name, l->c->d_model), l->c->norm_eps);
}

/* A matrix [out, in]; of several parts, out is the sum of their rows. */
static Tensor *matrix(const Layer *l, const char *name, ParamSpec spec, size_t in)
{
    size_t out = spec.parts[0] ? spec.parts[1] : spec.rows; /* of one part: they begin alike */
    spec.cols = in;
    spec.init = l->c->xavier ? INIT_TRUNCATED : INIT_NORMAL;
    spec.std = l->c->xavier ? sqrtf(2.0f / (float)(in + out)) : 0.02f;
    return params_get(l->p, spec, "%s%s.weight", l->prefix, name);
}

/* x + y w^T. */
static Tensor *add_product(const Layer *l, Tensor *x, Tensor *y, const char *name)
{
    size_t out = l->c->d_model;
    Tensor *w = matrix(l, name, (ParamSpec){.rows = out}, tensor_channels(y));
    if (l->want->dropout > 0)
        return op_dropout(l->g, op_linear(l->g, y, w, NULL, ACT_NONE, NULL), l->want->dropout, x,
                          false);
    return op_linear(l->g, y, w, NULL, ACT_NONE, x);
}

static Tensor *attend(const Layer *l, Tensor *x, const Recording *r)
{
    static const char name[] = "self_attn.{q_proj,k_proj,v_proj}";
    const ModelConfig *c = l->c;
    const Heads h = model_heads(c);
    size_t kv = h.kv * h.channels;
    ParamSpec spec = {.rows = heads_width(h), .parts = {h.count * h.channels, kv, kv}};
    Tensor *w = matrix(l, name, spec, c->d_model), *b = NULL;
    if (c->qkv_bias) {
        spec.init = INIT_ZEROS;
        b = params_get(l->p, spec, "%s%s.bias", l->prefix, name);
    }
    Tensor *qkv = op_linear(l->g, x, w, b, ACT_NONE, NULL);
    if (c->qk_norm)
        qkv = op_qk_norm(l->g, qkv, norm_weight(l, "self_attn.q_norm", h.channels),
                         norm_weight(l, "self_attn.k_norm", h.channels), h, c->norm_eps);
    qkv = op_rope(l->g, qkv, r->sequences, h, l->frequency, c->rope.interleaved);
    return record_causal_attention(l->g, c, l->want, r, qkv);
}

static Tensor *layer(const Layer *l, Tensor *x, const Recording *r)
{
    size_t F = l->c->d_ff;
    graph_block_begin(l->g);
    Tensor *heads = attend(l, norm(l, x, "input_layernorm"), r);
    x = add_product(l, x, heads, "self_attn.o_proj");
    Tensor *w = matrix(l, "mlp.{gate_proj,up_proj}", (ParamSpec){.rows = 2 * F, .parts = {F, F}},
                       l->c->d_model);
    Tensor *both = op_linear(l->g, norm(l, x, "post_attention_layernorm"), w, NULL, ACT_NONE, NULL);
    x = add_product(l, x, op_silu_gate(l->g, both), "mlp.down_proj");
    graph_block_end(l->g);
    return x;
}

static void record_layers(Layer *l, Tensor *x, Recording *r)
{
    for (size_t i = 0; i < l->c->num_layers; i++) {
        r->hidden[i] = x;
        snprintf(l->prefix, sizeof l->prefix, "layers.%zu.", i);
        x = layer(l, x, r);
    }
    l->prefix[0] = '\0';
    r->hidden[l->c->num_layers] = norm(l, record_wanted_rows(l->g, l->want, r, x), "norm");
}

static void record(Graph *g, const ModelConfig *c, Params *p, const RecordWants *want, Recording *r)
{
    size_t channels = model_heads(c).channels;
    float *frequency = xmalloc((channels / 2 + 1) * sizeof *frequency);
    rope_frequencies(&c->rope, channels, frequency);
    Layer l = {.g = g, .p = p, .c = c, .want = want, .frequency = frequency};
    ParamSpec table = {.rows = c->vocab_size, .cols = c->d_model};
    table.init = c->xavier ? INIT_TRUNCATED : INIT_NORMAL;
    table.std = c->xavier ? 1.0f : 0.02f;
    Tensor *word = params_get(p, table, "embed_tokens.weight");
    int32_t pad = c->has_pad_token ? (int32_t)c->pad_token : -1;
    Tensor *x = op_embedding(g, r->tokens, r->sequences, word, NULL, NULL, NULL, pad);
    if (want->dropout > 0)
        x = op_dropout(g, x, want->dropout, NULL, false);
    record_layers(&l, x, r);
    free(frequency);
    if (c->head == HEAD_NONE)
        return;
    Tensor *hidden = r->hidden[c->num_layers];
    Tensor *head =
        c->tied_head ? word : matrix(&l, "lm_head", (ParamSpec){.rows = c->vocab_size}, c->d_model);
    if (want->loss)
        r->loss = op_linear_cross_entropy(g, hidden, head, r->targets);
    if (want->logits)
        r->logits = op_linear(g, hidden, head, NULL, ACT_NONE, NULL);
}

/* ---- the closed forms ---- */

static double params(const ModelConfig *c)
{
    const Heads h = model_heads(c);
    double C = c->d_model, F = c->d_ff, V = c->vocab_size, D = h.channels;
    double width = heads_width(h), out = (double)h.count * D;
    double layer = C * width + (c->qkv_bias ? width : 0) + (c->qk_norm ? 2 * D : 0) + out * C +
                   3 * C * F + 2 * C;
    return V * C + (double)c->num_layers * layer + C +
           (c->head == HEAD_LM && !c->tied_head ? V * C : 0);
}

static double flops(const ModelConfig *c, double T)
{
    const Heads h = model_heads(c);
    double C = c->d_model, F = c->d_ff, out = (double)(h.count * h.channels);
    double layer =
        T * 2 * (C * (double)heads_width(h) + out * C + 3 * C * F) + 2 * T * (T + 1) * out;
    double head = c->head == HEAD_LM ? T * 2 * C * (double)c->vocab_size : 0;
    return (double)c->num_layers * layer + head;
}

/* ---- the rows ---- */

static const char *const heads[] = {"lm_head.", NULL};
/* Buffers, and the head beside a tied one, int8 too. */
static const char *const unused[] = {"layers.*.self_attn.rotary_emb.inv_freq",
                                     "rotary_emb.inv_freq", "lm_head.weight",
                                     "lm_head.weight.scale", NULL};
static const char *const llama_classes[] = {"LlamaForCausalLM", NULL};
static const char *const mistral_classes[] = {"MistralForCausalLM", NULL};
static const char *const qwen2_classes[] = {"Qwen2ForCausalLM", NULL};
static const char *const qwen3_classes[] = {"Qwen3ForCausalLM", NULL};
static const char *const cs336_classes[] = {"Cs336ForCausalLM", NULL};

#define LLAMA_ROW(type, classes, vocab, width, ff, layers, eps)                                    \
    .model_type = type, .keys = {[VOCAB_SIZE] = {"vocab_size", NULL, vocab},                       \
                                 [D_MODEL] = {"hidden_size", NULL, width},                         \
                                 [NUM_LAYERS] = {"num_hidden_layers", NULL, layers},               \
                                 [NUM_HEADS] = {"num_attention_heads", NULL, 32},                  \
                                 [D_FF] = {"intermediate_size", NULL, ff},                         \
                                 [NUM_LABELS] = {"num_labels", NULL, 2}},                          \
    .act_key = "hidden_act", .default_act = "silu", .eps_key = "rms_norm_eps", .default_eps = eps, \
    .lm_classes = classes, .prefix = "model.", .heads = heads, .table = "embed_tokens.weight",     \
    .lm_head = "lm_head.weight", .unused = unused, .causal = true, .rotary = true,                 \
    .pad_row_held = true, .record = record, .params = params, .flops = flops

const Family family_llama = {LLAMA_ROW("llama", llama_classes, 32000, 4096, 11008, 32, 1e-6)};
const Family family_mistral = {LLAMA_ROW("mistral", mistral_classes, 32000, 4096, 14336, 32, 1e-6),
                               .default_kv_heads = 8, .default_window = 4096};
const Family family_qwen2 = {LLAMA_ROW("qwen2", qwen2_classes, 151936, 4096, 22016, 32, 1e-6),
                             .default_kv_heads = 32, .qkv_bias = true};
const Family family_qwen3 = {LLAMA_ROW("qwen3", qwen3_classes, 151936, 4096, 22016, 32, 1e-6),
                             .default_kv_heads = 32, .default_head_dim = 128, .qk_norm = true};
/* No type of the transformers library, which would load it as a Llama and turn the wrong pairs. */
const Family family_cs336 = {LLAMA_ROW("cs336", cs336_classes, 10000, 768, 3072, 12, 1e-5),
                             .interleaved = true};
