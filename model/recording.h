/* recording: what a recorded model offers to whoever runs it, the same for every kind of model. */
#ifndef TARE_MODEL_RECORDING_H
#define TARE_MODEL_RECORDING_H

#include "autograd/ops.h"
#include "model/config.h"
#include "model/params.h"

/* What to record beside the layers themselves. */
typedef struct RecordWants {
    size_t batch, context;
    /* 0: every sequence has `context` positions. Else they have any lengths up to that, one after the
     * other, without padding in between, in so many positions together. */
    size_t rows;
    bool mask;   /* an input that hides keys; not with rows */
    bool loss;   /* targets and the mean cross-entropy over those >= 0 */
    bool hidden; /* keep every hidden state readable; without, a classifier's last is [B,C], of the
                    first tokens alone */
    bool logits; /* whole logits, readable (a classifier always makes them) */
    float
        dropout; /* rate after the embeddings, after each projection that a residual is added to, and
                      before a classifier; 0 records none. Attention weights are not dropped */
    DType attention; /* of its products: see op_attention */
} RecordWants;

typedef struct Recording {
    Tensor *tokens;      /* input i32 [B,T], or [1,rows] */
    Sequences sequences; /* with `starts`, an input, where rows were asked for */
    Tensor *mask;        /* input i32 [B,T], or NULL */
    Tensor *targets; /* input i32 like tokens (a language model) or [B] (a classifier), or NULL */
    /* [num_layers + 1] of [n,C], n positions, numbered as Hugging Face's output_hidden_states: 0 is the
     * embedding, num_layers the last hidden state. */
    Tensor **hidden;
    Tensor *logits; /* [n,V] or [B,num_labels], or NULL */
    Tensor *loss;   /* [1], or NULL */
} Recording;

/* Records the model of this configuration; parameters are declared in or found from p. */
void model_record(Graph *g, const ModelConfig *c, Params *p, const RecordWants *want, Recording *r);
void recording_release(Recording *r);

/* Only declares its parameters, and with them how checkpoints store each. Release them with params_release. */
void model_declare(Params *p, const ModelConfig *c);

/* One recorder a file; model_record picks. */
void gpt_record(Graph *g, const ModelConfig *c, Params *p, const RecordWants *want, Recording *r);
void encoder_record(Graph *g, const ModelConfig *c, Params *p, const RecordWants *want,
                    Recording *r);

#endif
