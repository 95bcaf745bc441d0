/* family: what sets one family of models apart, as one row: its names in Hugging Face's files, its
 * layers, its closed forms.
 *
 * The one idea: nobody else names a family. Code that must know asks config->family, so a new
 * family is one file with its row and one line in families.def (see model/README.md).
 *
 * It reads no files: that is model/files. */
#pragma once

#include "model/recording.h"

/* The sizes of ModelConfig that config.json gives. */
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

size_t *model_dimension(ModelConfig *c, Dimension d);

/* How config.json calls a dimension. */
typedef struct DimensionKey {
    const char *name;  /* NULL: the family has no such dimension */
    const char *alias; /* a second key of the same meaning, or NULL */
    size_t fallback;   /* where the file has neither; 0: it follows from the others */
} DimensionKey;

struct Family {
    const char *model_type; /* as config.json writes it */

    /* config.json; keys and defaults are those of the transformers library, version 5.23. */
    DimensionKey keys[NUM_DIMENSIONS];
    const char *act_key, *default_act;
    const char *eps_key; /* NULL: default_eps is fixed */
    double default_eps;
    /* `architectures` with an LM head, ended by NULL; the first is written. NULL: none is built. A
     * config.json without architectures has an LM head if its family has one. */
    const char *const *lm_classes;
    const char *classifier_class; /* the architecture with a classifier; NULL: none is built */

    /* Checkpoints. Lists end with NULL. */
    const char *prefix;          /* of the base model's tensors in a file that also has a head */
    const char *const *heads;    /* layers that never carry the prefix, each with its dot */
    const char *pooler;          /* a layer of the base model that only a head reads, or NULL */
    const char *table, *lm_head; /* tensors that `tied_head` makes one; NULL: no LM head is built */
    const char *const *unused; /* patterns (fnmatch) of tensors that need not be read, no prefix */

    /* The model. */
    bool causal;       /* position t sees 0 to t: no mask, a target a position. Else an encoder */
    bool pad_row_held; /* reading the token table's row pad_token gives it no gradient */
    /* A decoder with rotary embedding, SwiGLU and RMS norms; then what config.json need not say. */
    bool rotary;
    bool interleaved; /* as Rope says */
    bool qkv_bias, qk_norm;
    size_t default_kv_heads, default_head_dim; /* 0: they follow from the heads */
    /* of a sliding window that a missing key stands for, which is not built */
    size_t default_window;
    void (*record)(Graph *g, const ModelConfig *c, Params *p, const RecordWants *want,
                   Recording *r);           /* layers, logits, loss; r has its inputs */
    double (*params)(const ModelConfig *c); /* as model_num_params */
    double (*flops)(const ModelConfig *c, double context); /* of one sequence, forward */
};

#define FAMILY(name) extern const Family family_##name;
#include "model/families/families.def"
#undef FAMILY

/* The row of a model_type, or NULL, with a sentence that lists those that are built. */
const Family *family_find(const char *model_type, Err *err);

/* From 1 to MAX_DIMENSION, or a sentence that names the key. */
int model_dimension_check(const char *key, size_t value, Err *err);

/* Every dimension the model uses from 1 to MAX_DIMENSION, heads dividing d_model, a positive
 * norm_eps, the total number of parameters within 2^48. One sentence naming the offending key
 * otherwise. */
int model_config_check(const ModelConfig *c, Err *err);

/* Records the model of this configuration; parameters are declared in or found from p. */
void model_record(Graph *g, const ModelConfig *c, Params *p, const RecordWants *want, Recording *r);
void recording_release(Recording *r);

/* For a causal family's record: the attention that `want` asks for, over the layer's own cache or
 * without one. */
Tensor *record_causal_attention(Graph *g, const ModelConfig *c, const RecordWants *want,
                                const Recording *r, Tensor *qkv);

/* The rows whose last hidden state is wanted: all of x or, over a cache, the last of each
 * sequence. */
Tensor *record_wanted_rows(Graph *g, const RecordWants *want, const Recording *r, Tensor *x);

/* Declares the parameters without a recording, and with them how checkpoints store each. Release
 * them with params_release. */
void model_declare(Params *p, const ModelConfig *c);

/* Number of weights, a tied head counted once; of an encoder without a classifier, neither pooler
 * nor masked-LM head. Exact for every config that model_config_check accepts. */
size_t model_num_params(const ModelConfig *c);

/* Model FLOPs of one trial on `batch` sequences of `context` tokens, in closed form. What is
 * counted, with C = d_model and F = d_ff:
 *   2 in out             per row of every linear layer: 8 C C + 4 C F per token and layer
 *   2 T (T+1) C          per sequence and layer of causal attention (query-key and weights-value
 *                        products over the visible half), 4 T T C of full attention
 *   2 C V                per token of an LM head
 *   2 C C + 2 C K        per sequence of a classifier of K labels (its two layers read one row); in
 *                        the last layer, what follows attention counts for that row alone
 * Embedding, norms, activations, softmax and loss count nothing. backward = true is forward and
 * backward, three times the forward figure: each product has two gradients. Recomputation is not
 * counted. */
double model_flops(const ModelConfig *c, size_t batch, size_t context, bool backward);

/* For the rows' closed forms: weights and biases of a linear layer. */
static inline double linear_params(double in, double out)
{
    return in * out + out;
}
