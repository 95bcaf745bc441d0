/* config: what a model is before any memory exists: its family, dimensions and constants.
 *
 * Plain data. What follows from it, checks, counts and FLOPs, is model/families/family.h; reading
 * it from a file is model/files/config_json.h. */
#pragma once

#include "autograd/base.h"
#include "autograd/kernels/kernels.h"

typedef struct Family Family; /* model/families/family.h */
typedef enum ModelHead { HEAD_NONE, HEAD_LM, HEAD_CLASSIFIER } ModelHead;

/* No dimension may exceed this: the product of two stays within 2^48. */
enum { MAX_DIMENSION = 1 << 24 };

/* Rotary embedding: plane i of a head turns by theta^(-2i/head_dim) a position. With a factor the
 * slow planes turn slower, as Llama 3 does to read beyond `original` positions: those of wavelength
 * above original / low by the factor, below original / high not at all, in between smoothly. */
typedef struct Rope {
    double theta;
    bool interleaved;         /* channels 2i and 2i+1 are a plane, instead of i and i + half */
    double factor, low, high; /* factor 0: no scaling */
    double original;
} Rope;

typedef struct ModelConfig {
    const Family *family;
    ModelHead head;
    size_t vocab_size, d_model, num_layers, num_heads, d_ff;
    size_t max_positions; /* rows of the learned position table; MAX_DIMENSION where none limits */
    size_t type_vocab_size; /* BERT's segment table; 0 = none */
    bool head_open;         /* an encoder's config.json named no architecture: its weights decide */
    size_t num_labels;      /* of a classifier head */
    bool tied_head;         /* the LM head is the token table */
    Act act;
    float norm_eps;
    /* The token table's row of padding is read like any other, but gets no gradient from that; a
     * tied head gives it one. */
    bool has_pad_token;
    size_t pad_token;
    /* Decoders with rotary embedding; all 0 elsewhere. */
    size_t num_kv_heads; /* a divisor of num_heads; 0 = num_heads */
    size_t head_dim;     /* 0 = d_model / num_heads */
    bool qkv_bias, qk_norm;
    Rope rope;
    /* Weights begin as truncated normals of std sqrt(2 / (in + out)), the token table of std 1, cut
     * at 3 std; otherwise as normals of std 0.02. */
    bool xavier;
} ModelConfig;
