/* recording: what to record of a model and what the recording offers to whoever runs it, the same
 * for every family. Making one is model/families/family.h. */
#pragma once

#include "autograd/ops.h"
#include "model/config.h"
#include "model/params.h"

/* What to record beside the layers themselves. */
typedef struct RecordWants {
    size_t batch, context;
    /* 0: every sequence has `context` positions. Otherwise sequences have any lengths up to that
     * and follow each other without padding, in `rows` positions together. */
    size_t rows;
    bool mask; /* an input that hides keys; not with rows */
    /* an input of token types, where the family has a table for them; without, all are 0 */
    bool types;
    bool loss; /* targets, and the mean cross-entropy over those >= 0 */
    /* Keep every hidden state readable. Without, the last one of a classifier is [B,C], of the
     * first tokens alone. */
    bool hidden;
    bool logits; /* whole logits, readable (a classifier always makes them) */
    /* Rate of dropout after the embeddings, after each projection that a residual is added to, and
     * before a classifier; 0 records none. Attention weights are not dropped. */
    float dropout;
    DType attention; /* of its products: see op_attention */
    /* 0, or positions of each sequence in a cache of keys and values of cache_type, one a layer; of
     * a causal model, with rows, without mask. The rows follow what the cache holds (Exec.past);
     * the last hidden state and the logits are those of each sequence's last row, [B,C] and
     * [B,V]. */
    size_t capacity;
    DType cache_type;
} RecordWants;

typedef struct Recording {
    Tensor *tokens;      /* input i32 [B,T], or [1,rows] */
    Sequences sequences; /* with `starts`, an input, where rows were asked for */
    Tensor *mask;        /* input i32 [B,T], or NULL */
    Tensor *types;       /* input i32 like tokens, or NULL */
    Tensor *targets;     /* input i32 like tokens (LM head) or [B] (classifier), or NULL */
    /* [num_layers + 1] of [n,C], n positions, numbered as Hugging Face's output_hidden_states: 0 is
     * the embedding, num_layers the last hidden state. */
    Tensor **hidden;
    Tensor *logits; /* [n,V] or, over a cache, [B,V]; of a classifier [B,num_labels]; or NULL */
    Tensor *loss;   /* [1], or NULL */
} Recording;

/* The heads of its attention. */
static inline Heads model_heads(const ModelConfig *c)
{
    return (Heads){.count = c->num_heads,
                   .kv = c->num_kv_heads ? c->num_kv_heads : c->num_heads,
                   .channels = c->head_dim ? c->head_dim : c->d_model / c->num_heads};
}
