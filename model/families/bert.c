/* bert: DistilBERT (Sanh et al. 2019) and BERT (Devlin et al. 2019) recorded as a graph.
 *
 *   x = norm(word[token] + position[t] + type[0])
 *   num_layers times:  x = norm(x + out(attention(qkv(x))));  x = norm(x + down(act(up(x))))
 *   classifier on the first token: DistilBERT classifier(relu(pre_classifier(x0))),
 *                                  BERT       classifier(tanh(pooler(x0)))
 *
 * The classifier reads nothing else, so unless hidden states are wanted the last layer goes on with the
 * first tokens alone after its attention: the same logits and gradients without three quarters of its
 * products.
 *
 * The norm comes after the residual, the GELU is that of the error function, the mask hides keys. Names are those
 * of Hugging Face checkpoints; q, k and v, kept apart there, are read as one. */
#include "autograd/ops.h"
#include "model/recording.h"

/* Where the two families differ. */
typedef struct Family {
    const char *layer, *qkv, *out, *norm1, *up, *down, *norm2, *pooler;
    Act pooler_act;
} Family;

static const Family distilbert = {
    .layer = "transformer.layer",
    .qkv = "attention.{q_lin,k_lin,v_lin}",
    .out = "attention.out_lin",
    .norm1 = "sa_layer_norm",
    .up = "ffn.lin1",
    .down = "ffn.lin2",
    .norm2 = "output_layer_norm",
    .pooler = "pre_classifier",
    .pooler_act = ACT_RELU,
};

static const Family bert = {
    .layer = "encoder.layer",
    .qkv = "attention.self.{query,key,value}",
    .out = "attention.output.dense",
    .norm1 = "attention.output.LayerNorm",
    .up = "intermediate.dense",
    .down = "output.dense",
    .norm2 = "output.LayerNorm",
    .pooler = "pooler.dense",
    .pooler_act = ACT_TANH,
};

typedef struct Recorder {
    Graph *g;
    Params *p;
    const ModelConfig *c;
    const Family *f;
    Sequences sequences;
    float dropout;
    Tensor *mask;
    DType attention;
    char prefix[64]; /* of the layer being recorded, with its dot */
} Recorder;

static Tensor *matrix(Recorder *r, size_t rows, size_t cols, const char *name)
{
    return params_get(r->p, (ParamSpec){rows, cols, INIT_NORMAL, 0.02f, false}, "%s%s.weight",
                      r->prefix, name);
}

static Tensor *vector(Recorder *r, size_t n, Init init, const char *name, const char *what)
{
    return params_get(r->p, (ParamSpec){.rows = n, .init = init}, "%s%s.%s", r->prefix, name, what);
}

static Tensor *norm(Recorder *r, Tensor *x, const char *name)
{
    size_t C = r->c->d_model;
    return op_layernorm(r->g, x, vector(r, C, INIT_ONES, name, "weight"),
                        vector(r, C, INIT_ZEROS, name, "bias"), r->c->norm_eps);
}

static Tensor *dropout(Recorder *r, Tensor *x, Tensor *residual)
{
    return r->dropout > 0 ? op_dropout(r->g, x, r->dropout, residual) : x;
}

static Tensor *linear(Recorder *r, Tensor *x, size_t out, const char *name, Act act,
                      Tensor *residual)
{
    Tensor *w = matrix(r, out, tensor_channels(x), name);
    Tensor *b = vector(r, out, INIT_ZEROS, name, "bias");
    if (residual && r->dropout > 0)
        return dropout(r, op_linear(r->g, x, w, b, act, NULL), residual);
    return op_linear(r->g, x, w, b, act, residual);
}

/* With only_first the result is [B,C], the first row of each sequence. */
static Tensor *layer(Recorder *r, Tensor *x, bool only_first)
{
    const Family *f = r->f;
    size_t C = r->c->d_model;
    graph_block_begin(r->g);
    Tensor *qkv = linear(r, x, 3 * C, f->qkv, ACT_NONE, NULL);
    Tensor *heads =
        op_attention(r->g, qkv, r->mask, r->sequences, r->c->num_heads, false, r->attention);
    if (only_first) {
        heads = op_first_token(r->g, heads, r->sequences);
        x = op_first_token(r->g, x, r->sequences);
    }
    x = norm(r, linear(r, heads, C, f->out, ACT_NONE, x), f->norm1);
    Tensor *up = linear(r, x, r->c->d_ff, f->up, r->c->act, NULL);
    x = norm(r, linear(r, up, C, f->down, ACT_NONE, x), f->norm2);
    graph_block_end(r->g);
    return x;
}

static Tensor *embeddings(Recorder *r, Tensor *tokens)
{
    const ModelConfig *c = r->c;
    Tensor *word = matrix(r, c->vocab_size, c->d_model, "embeddings.word_embeddings");
    Tensor *position = matrix(r, c->max_positions, c->d_model, "embeddings.position_embeddings");
    Tensor *type = c->type_vocab_size ? matrix(r, c->type_vocab_size, c->d_model,
                                               "embeddings.token_type_embeddings")
                                      : NULL;
    int32_t pad = c->has_pad_token ? (int32_t)c->pad_token : -1;
    Tensor *x = op_embedding(r->g, tokens, r->sequences, word, position, type, pad);
    return dropout(r, norm(r, x, "embeddings.LayerNorm"), NULL);
}

/* first [B,C]: the first row of each sequence. */
static Tensor *classifier(Recorder *r, Tensor *first)
{
    Tensor *pooled = linear(r, first, r->c->d_model, r->f->pooler, r->f->pooler_act, NULL);
    return linear(r, dropout(r, pooled, NULL), r->c->num_labels, "classifier", ACT_NONE, NULL);
}

void encoder_record(Graph *g, const ModelConfig *c, Params *p, const RecordWants *want,
                    Recording *out)
{
    Recorder r = {.g = g,
                  .p = p,
                  .c = c,
                  .f = c->type == MODEL_DISTILBERT ? &distilbert : &bert,
                  .sequences = out->sequences,
                  .dropout = want->dropout,
                  .mask = out->mask,
                  .attention = want->attention};
    bool classifies = c->head == HEAD_CLASSIFIER, only_first = classifies && !want->hidden;
    Tensor *x = out->hidden[0] = embeddings(&r, out->tokens);
    for (size_t i = 0; i < c->num_layers; i++) {
        bool last = i + 1 == c->num_layers;
        snprintf(r.prefix, sizeof r.prefix, "%s.%zu.", r.f->layer, i);
        x = out->hidden[i + 1] = layer(&r, x, last && only_first);
    }
    r.prefix[0] = '\0';
    if (!classifies)
        return;
    out->logits = classifier(&r, only_first ? x : op_first_token(g, x, r.sequences));
    if (want->loss)
        out->loss = op_cross_entropy(g, out->logits, out->targets);
}
