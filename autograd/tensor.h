/* tensor: a node of the graph: its shape, what made it, and where its numbers lie while a plan runs.
 *
 * A tensor owns nothing. Graph owns the nodes, the model's Params own weights and their gradients,
 * Exec owns the arena that the pointers below reach into. Everything is row-major. */
#ifndef TARE_AUTOGRAD_TENSOR_H
#define TARE_AUTOGRAD_TENSOR_H

#include "autograd/base.h"
#include "autograd/dtype.h"

enum { MAX_DIMS = 4, MAX_INPUTS = 6 };

/* Who fills a tensor, and for how long its data must last. */
typedef enum Life {
    LIFE_INPUT,      /* written from outside before a run; lasts the whole run */
    LIFE_PARAM,      /* weights: data and grad are owned by the model, shared by all recordings */
    LIFE_ACTIVATION, /* made by a step, dead after its last reader */
} Life;

/* A weight as gemm_run likes it best. Of an fp32 weight it is a lasting copy, made lazily by the first op
 * that reads it and made again when the weight has changed; of a smaller format it is the weight.
 * `memory` is NULL where there is neither. */
typedef struct WeightPack {
    void *memory;
    uint64_t packed_version; /* of the weight that `memory` holds; 0 = none yet */
    uint64_t weight_version; /* starts at 1, raised by whoever changes the weight */
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
    Tensor *in[MAX_INPUTS]; /* an optional input that is absent is NULL */
    bool needs_grad;        /* a parameter is among its ancestors, or it is one */
    bool multiplies;        /* a parameter that is the weight of a matrix product: worth packing */
    bool keep;              /* its data outlives its last reader, until the end of the run */
    bool lean;              /* backward makes large aux values again instead of keeping them */

    void *data;       /* NULL until a plan places it, and for a weight that is only packed */
    float *scale;     /* [rows] of an i8 parameter held as rows: a weight is level x scale */
    float *grad;      /* NULL when no gradient is wanted */
    void *aux;        /* what forward keeps for backward beside data */
    WeightPack *pack; /* parameters only; NULL = never packed */
};

/* Number of elements. */
size_t tensor_count(const Tensor *t);
/* Bytes of data. */
size_t tensor_bytes(const Tensor *t);
/* The last dimension, and the product of all before it: a tensor seen as rows x channels. */
size_t tensor_channels(const Tensor *t);
size_t tensor_rows(const Tensor *t);

#endif
