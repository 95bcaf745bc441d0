/* checkpoint: between a Hugging Face directory and Params: which tensor of the file is which
 * parameter, under what name, and how it lies there.
 *
 * Tensors of the base model may carry its prefix ("transformer.", "distilbert.", "bert."); heads
 * never do. Everything in the file is accounted for: read, known to be unused, or an error.
 *
 * A quantised matrix NAME is I8, with levels -127 to 127, and has beside it NAME.scale, F32, one for
 * each output of the matrix: weight = level x scale. NAME keeps the shape it has in fp32, so an output
 * (for a table: an entry) is a row, but in a Conv1D matrix of GPT-2, stored [in, out], a column. */
#ifndef TARE_MODEL_FILES_CHECKPOINT_H
#define TARE_MODEL_FILES_CHECKPOINT_H

#include "model/config.h"
#include "model/params.h"
#include "model/files/safetensors.h"

#define SCALE_SUFFIX ".scale"

typedef struct Checkpoint {
    char *path; /* of model.safetensors */
    SafeTensors *file;
    ModelConfig config;
    bool prefixed; /* base tensors carry the model's prefix */
    /* Set before the weights are checked or loaded: a head, or pooler, that the file lacks is no error and
     * keeps its initial weights. */
    bool fresh_head;
    /* By checkpoint_check and checkpoint_load, for one message: known tensors and heads that are not read;
     * NULL = none. */
    char *unused;
} Checkpoint;

/* Reads MODEL_DIR's config.json, opens its model.safetensors, and settles the head: what the config
 * leaves open, the weights tell. -1 also for fewer than half of the weights that the config says. */
int checkpoint_open(Checkpoint *ck, const char *model_dir, Err *err);
void checkpoint_release(Checkpoint *ck);

/* Whether the file holds this model: -1 as of checkpoint_load, but no weight is read. */
int checkpoint_check(Checkpoint *ck, Err *err);

/* Fills every allocated weight of p (which recorded ck->config), in the format that p has, from F32,
 * F16, BF16 or quantised tensors: an int8 model takes levels and scales as they are, any other is
 * dequantised. -1 for a missing tensor, a wrong shape or dtype, or a tensor that no model of this kind
 * has. */
int checkpoint_load(Checkpoint *ck, Params *p, Err *err);

/* A list of tensors for safetensors_write that owns its names and, where it had to, its data. */
typedef struct TensorList {
    STensor *at;
    void **owned;
    size_t count, capacity;
} TensorList;

void tensor_list_release(TensorList *l);

/* Appends one fp32 tensor that borrows data; the name is copied. */
void tensor_list_add(TensorList *l, const char *name, size_t ndim, const size_t *shape,
                     const float *data);

/* The same, but data, from xmalloc, belongs to the list from now on. */
void tensor_list_take(TensorList *l, const char *name, size_t ndim, const size_t *shape,
                      float *data);

/* Appends `block` (p->weights or p->grads) under the names and shapes that checkpoints of this
 * configuration use, each behind `before` ("grad." or ""); joined parameters are taken apart,
 * transposed ones turned back. Borrows the block. */
void checkpoint_export(const ModelConfig *c, bool prefixed, const Params *p, const float *block,
                       const char *before, TensorList *out);

#endif
