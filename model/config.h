/* config: what a model is before any memory exists: its family, dimensions and constants.
 *
 * Plain data. What follows from it, checks, counts and FLOPs, is model/families/family.h; reading
 * it from a file is model/files/config_json.h. */
#ifndef TARE_MODEL_CONFIG_H
#define TARE_MODEL_CONFIG_H

#include "autograd/base.h"
#include "autograd/kernels/kernels.h"

typedef struct Family Family; /* model/families/family.h */
typedef enum ModelHead { HEAD_NONE, HEAD_LM, HEAD_CLASSIFIER } ModelHead;

/* No dimension may exceed this: the product of two stays within 2^48. */
enum { MAX_DIMENSION = 1 << 24 };

typedef struct ModelConfig {
    const Family *family;
    ModelHead head;
    size_t vocab_size, d_model, num_layers, num_heads, d_ff;
    size_t max_positions;   /* rows of the learned position table */
    size_t type_vocab_size; /* BERT's segment table; 0 = none */
    bool head_open;         /* an encoder's config.json named no architecture: its weights decide */
    size_t num_labels;      /* of a classifier head */
    bool tied_head;         /* the LM head is the token table */
    Act act;
    float norm_eps;
    /* The token table's row of padding is read like any other, but gets no gradient. */
    bool has_pad_token;
    size_t pad_token;
} ModelConfig;

#endif
