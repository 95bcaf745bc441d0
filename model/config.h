/* config: what a model is, before any memory exists: its dimensions, its parameters counted, its
 * FLOPs in closed form.
 *
 * The five named sizes are those of GPT-2 (Radford et al. 2019) and the 2.7B of GPT-3 (Brown et al.
 * 2020, table 2.1): tied embeddings, learned positions, pre-norm, tanh GELU, d_ff = 4 d_model.
 * Hugging Face `config.json` is read for model_type gpt2, distilbert and bert. */
#ifndef TARE_MODEL_CONFIG_H
#define TARE_MODEL_CONFIG_H

#include "autograd/base.h"
#include "autograd/kernels/kernels.h"

typedef enum ModelType { MODEL_GPT2, MODEL_DISTILBERT, MODEL_BERT } ModelType;
typedef enum ModelHead { HEAD_NONE, HEAD_LM, HEAD_CLASSIFIER } ModelHead;

/* No dimension may exceed this: the product of two stays within 2^48. */
enum { MAX_DIMENSION = 1 << 24 };

typedef struct ModelConfig {
    ModelType type;
    ModelHead head;
    size_t vocab_size, d_model, num_layers, num_heads, d_ff;
    size_t max_positions;   /* rows of the learned position table */
    size_t type_vocab_size; /* BERT's segment table; 0 = none */
    bool head_open;         /* an encoder's config.json named no architecture: its weights decide */
    size_t num_labels;      /* of a classifier head */
    bool tied_head;         /* the LM head is the token table */
    Act act;
    float norm_eps;
    bool has_pad_token; /* encoders: this row of the token table is read like any other, but gets */
    size_t pad_token;   /* no gradient (PyTorch's padding_idx) */
} ModelConfig;

typedef struct NamedSize {
    const char *name;
    size_t d_model, num_layers, num_heads;
} NamedSize;

extern const NamedSize model_sizes[];
extern const size_t num_model_sizes;
const NamedSize *model_size_find(const char *name); /* NULL when there is none */

/* A GPT of these dimensions with the defaults above; max_positions = max(1024, context). */
ModelConfig model_config_gpt(size_t d_model, size_t num_layers, size_t num_heads, size_t vocab_size,
                             size_t context);

/* From 1 to MAX_DIMENSION, or a sentence that names the key. */
int model_dimension_check(const char *key, size_t value, Err *err);

/* Every dimension the model uses from 1 to MAX_DIMENSION, heads dividing d_model, a positive
 * norm_eps, the total number of parameters within 2^48. One sentence naming the offending key
 * otherwise. */
int model_config_check(const ModelConfig *c, Err *err);

/* Reads MODEL_DIR/config.json of a gpt2, distilbert or bert; a missing key has the default that
 * the transformers library gives it, an unknown one is ignored. -1, naming file and key, for a
 * value that model_config_check refuses, a wrong type, an unknown model_type or activation, and
 * for a setting that changes the mathematics and is not built: scale_attn_weights off,
 * scale_attn_by_inverse_layer_idx, reorder_and_upcast_attn, add_cross_attention,
 * sinusoidal_pos_embds, tie_last_hidden_states off, is_decoder of a BERT, a
 * position_embedding_type other than absolute.
 *
 * The head is what `architectures` says: ...ForSequenceClassification has a classifier,
 * GPT2LMHeadModel and GPT2DoubleHeadsModel have an LM head, so has a gpt2 that names no
 * architecture; task heads that are not built (token classification, question answering, multiple
 * choice, a classifier on GPT-2) are refused; everything else, such as GPT2Model or
 * BertForMaskedLM, is HEAD_NONE. An encoder that names no architecture is HEAD_NONE too, with
 * head_open set. num_labels is set in any case. */
int model_config_load(const char *model_dir, ModelConfig *c, Err *err);

/* Number of weights, a tied head counted once; of an encoder without a classifier, neither pooler
 * nor masked-LM head. Exact for every config that model_config_check accepts. */
size_t model_num_params(const ModelConfig *c);

/* Model FLOPs of one trial on `batch` sequences of `context` tokens, in closed form. What is
 * counted, with C = d_model and F = d_ff:
 *   2 in out             per row of every linear layer: 8 C C + 4 C F per token and layer
 *   2 T (T+1) C          per sequence and layer of causal attention (query-key and weights-value
 *                        products over the visible half), 4 T T C of full attention
 *   2 C V                per token of an LM head
 *   2 C C + 2 C K        per sequence of a classifier of K labels (its two layers see one row); what
 *                        follows attention in the last layer counts for that row alone: nothing else
 *                        is read
 * Embedding, norms, activations, softmax and loss count nothing. backward = true is forward and
 * backward, three times the forward figure: each product has two gradients. Recomputation is not
 * counted. */
double model_flops(const ModelConfig *c, size_t batch, size_t context, bool backward);

#endif
