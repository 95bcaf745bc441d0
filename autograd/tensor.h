/* tensor: a node of the graph: its shape, the op that makes it, and where its numbers lie during a
 * run.
 *
 * A tensor owns nothing. Graph owns the nodes, the model's Params own weights and their gradients,
 * Exec owns the arena that the pointers below reach into. Everything is row-major. */
#pragma once

#include "autograd/base.h"
#include "autograd/dtype.h"

enum { MAX_DIMS = 4, MAX_INPUTS = 6 };

/* Who fills a tensor, and how long its data last. */
typedef enum Life {
    LIFE_INPUT,      /* the caller, before a run; the whole run */
    LIFE_PARAM,      /* the model, which owns data and grad; all recordings share them */
    LIFE_STATE,      /* steps of earlier runs; from run to run, as keys and values of a decoder */
    LIFE_ACTIVATION, /* a step; until its last reader */
} Life;

/* A weight in the form that gemm_run reads fastest (gemm_pack). Of an fp32 weight it is a lasting
 * copy, packed by the first op that reads it and again after the weight has changed; or, as that of
 * a smaller format, the weight itself. `memory` is NULL where there is neither. */
typedef struct WeightPack {
    void *memory;
    uint64_t packed_version; /* of the weight in `memory`; 0: nothing packed yet */
    uint64_t weight_version; /* starts at 1; whoever changes the weight raises it */
} WeightPack;

typedef struct OpDef OpDef;
typedef struct Tensor Tensor;

struct Tensor {
    const OpDef *op;  /* NULL for a leaf */
    const char *name; /* of a parameter or an input; NULL otherwise */
    void *attr;       /* the op's own settings */
    int index;        /* place in its graph, or among the parameters */
    int block;        /* recompute block it belongs to, or -1 */
    Life life;
    DType dtype;
    int ndim, num_inputs;
    size_t shape[MAX_DIMS];
    Tensor *in[MAX_INPUTS]; /* NULL: an optional input that is absent */
    bool needs_grad;        /* it is a parameter or has one among its ancestors */
    bool multiplies;        /* a parameter that is the weight of a matrix product: worth packing */
    bool keep;              /* its data last until the end of the run */
    bool lean; /* backward computes large aux values again; forward does not keep them */

    void *data;       /* NULL before a run, and for a weight that is only packed */
    float *scale;     /* [rows] of an i8 parameter held as rows: a weight is level x scale */
    float *grad;      /* NULL where no gradient is needed */
    void *aux;        /* what forward keeps for backward beside data */
    WeightPack *pack; /* parameters only; NULL: never packed */
};

/* Number of elements. */
size_t tensor_count(const Tensor *t);
/* Bytes of data. */
size_t tensor_bytes(const Tensor *t);
/* The last dimension, and the product of all before it: a tensor seen as rows x channels. */
size_t tensor_channels(const Tensor *t);
size_t tensor_rows(const Tensor *t);
