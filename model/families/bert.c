/* bert: the families of BERT (Devlin et al. 2019) and DistilBERT (Sanh et al. 2019), encoders.
 *
 *   x = norm(word[token] + position[t] + type[types])
 *   num_layers times:  x = norm(x + out(attention(qkv(x))));  x = norm(x + down(act(up(x))))
 *   classifier on the first token: DistilBERT classifier(relu(pre_classifier(x0))),
 *                                  BERT       classifier(tanh(pooler(x0)))
 *
 * A classifier reads first tokens only. Unless hidden states are wanted, the last layer computes
 * those rows alone after its attention: the same logits and gradients with a quarter of its
 * products.
 *
 * The norm follows the residual, the GELU is that of the error function, the mask hides keys. Names
 * are those of Hugging Face checkpoints, which keep q, k and v apart; here they are one matrix. */
#include <stdio.h>

#include "autograd/ops.h"
#include "model/families/family.h"

/* Where the layers of the two differ. */
typedef struct Names {
    const char *layer, *qkv, *out, *norm1, *up, *down, *norm2, *pooler;
    Act pooler_act;
} Names;

static const Names distilbert = {
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

static const Names bert = {
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
    const Names *names;
    Sequences sequences;
    float dropout;
    bool by_sequence; /* what is recorded next has a row a sequence, not a position */
    Tensor *mask, *types;
    DType attention;
    char prefix[64]; /* of the layer being recorded, with its dot */
} Recorder;

static Tensor *matrix(Recorder *r, size_t rows, size_t cols, const char *name)
{
    return params_get(r->p,
                      (ParamSpec){.rows = rows, .cols = cols, .init = INIT_NORMAL, .std = 0.02f},
                      "%s%s.weight", r->prefix, name);
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
    return r->dropout > 0 ? op_dropout(r->g, x, r->dropout, residual, r->by_sequence) : x;
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
    const Names *f = r->names;
    size_t C = r->c->d_model;
    graph_block_begin(r->g);
    Tensor *qkv = linear(r, x, 3 * C, f->qkv, ACT_NONE, NULL);
    tensor_store(qkv, r->attention); /* which rounds it to that anyway */
    Tensor *heads =
        op_attention(r->g, qkv, r->mask, r->sequences, model_heads(r->c), false, r->attention);
    if (only_first) {
        heads = op_end_token(r->g, heads, r->sequences, false);
        x = op_end_token(r->g, x, r->sequences, false);
        r->by_sequence = true;
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
    Tensor *x = op_embedding(r->g, tokens, r->sequences, word, position, type, r->types, pad);
    return dropout(r, norm(r, x, "embeddings.LayerNorm"), NULL);
}

/* first [B,C]: the first row of each sequence. */
static Tensor *classifier(Recorder *r, Tensor *first)
{
    r->by_sequence = true;
    Tensor *pooled = linear(r, first, r->c->d_model, r->names->pooler, r->names->pooler_act, NULL);
    return linear(r, dropout(r, pooled, NULL), r->c->num_labels, "classifier", ACT_NONE, NULL);
}

static void record(const Names *names, Graph *g, const ModelConfig *c, Params *p,
                   const RecordWants *want, Recording *out)
{
    Recorder r = {.g = g,
                  .p = p,
                  .c = c,
                  .names = names,
                  .sequences = out->sequences,
                  .dropout = want->dropout,
                  .mask = out->mask,
                  .types = out->types,
                  .attention = want->attention};
    bool classifies = c->head == HEAD_CLASSIFIER, only_first = classifies && !want->hidden;
    Tensor *x = out->hidden[0] = embeddings(&r, out->tokens);
    for (size_t i = 0; i < c->num_layers; i++) {
        bool last = i + 1 == c->num_layers;
        snprintf(r.prefix, sizeof r.prefix, "%s.%zu.", r.names->layer, i);
        x = out->hidden[i + 1] = layer(&r, x, last && only_first);
    }
    r.prefix[0] = '\0';
    if (!classifies)
        return;
    out->logits = classifier(&r, only_first ? x : op_end_token(g, x, r.sequences, false));
    if (want->loss)
        out->loss = op_cross_entropy(g, out->logits, out->targets);
}

static void record_distilbert(Graph *g, const ModelConfig *c, Params *p, const RecordWants *want,
                              Recording *r)
{
    record(&distilbert, g, c, p, want, r);
}

static void record_bert(Graph *g, const ModelConfig *c, Params *p, const RecordWants *want,
                        Recording *r)
{
    record(&bert, g, c, p, want, r);
}

/* ---- the closed forms ---- */

static double params(const ModelConfig *c)
{
    double C = c->d_model, F = c->d_ff, norm = 2 * C;
    double tables = (double)(c->vocab_size + c->max_positions + c->type_vocab_size) * C;
    double layer = 4 * linear_params(C, C) + linear_params(C, F) + linear_params(F, C) + 2 * norm;
    double head = linear_params(C, C) + linear_params(C, (double)c->num_labels);
    return tables + norm + (double)c->num_layers * layer + (c->head == HEAD_CLASSIFIER ? head : 0);
}

static double flops(const ModelConfig *c, double T)
{
    double C = c->d_model, F = c->d_ff;
    double layer = T * (8 * C * C + 4 * C * F) + 4 * T * T * C;
    double head = 2 * C * C + 2 * C * (double)c->num_labels;
    double unread = (T - 1) * (2 * C * C + 4 * C * F);
    return (double)c->num_layers * layer + (c->head == HEAD_CLASSIFIER ? head - unread : 0);
}

/* ---- the rows ---- */

static const char *const distilbert_heads[] = {"pre_classifier.", "classifier.", NULL};
static const char *const bert_heads[] = {"classifier.", NULL};
/* Buffers, and heads of other tasks, of either family. */
static const char *const unused[] = {"embeddings.position_ids",
                                     "embeddings.token_type_ids",
                                     "pooler.dense.*",
                                     "cls.*",
                                     "vocab_transform.*",
                                     "vocab_layer_norm.*",
                                     "vocab_projector.*",
                                     "qa_outputs.*",
                                     "pre_classifier.*",
                                     "classifier.*",
                                     NULL};

const Family family_distilbert = {
    .model_type = "distilbert",
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
    .act_key = "activation",
    .default_act = "gelu",
    .default_eps = 1e-12,
    .classifier_class = "DistilBertForSequenceClassification",
    .prefix = "distilbert.",
    .heads = distilbert_heads,
    .unused = unused,
    .pad_row_held = true,
    .record = record_distilbert,
    .params = params,
    .flops = flops,
};

const Family family_bert = {
    .model_type = "bert",
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
    .act_key = "hidden_act",
    .default_act = "gelu",
    .eps_key = "layer_norm_eps",
    .default_eps = 1e-12,
    .classifier_class = "BertForSequenceClassification",
    .prefix = "bert.",
    .heads = bert_heads,
    .pooler = "pooler.dense.",
    .unused = unused,
    .pad_row_held = true,
    .record = record_bert,
    .params = params,
    .flops = flops,
};
