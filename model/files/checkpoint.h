/* checkpoint: maps the tensors of a Hugging Face directory to Params, by name, shape and format,
 * and back.
 *
 * The one idea: everything in the file is accounted for: read, known to be unused, or an error.
 * Tensors of the base model may carry their family's prefix ("bert."); those of heads never do.
 *
 * A quantised matrix NAME is I8, with levels -127 to 127; beside it is NAME.scale, F32, one for
 * each output of the matrix: weight = level x scale. NAME keeps the shape it has in fp32, so an
 * output (of a table: an entry) is a row; in a Conv1D matrix of GPT-2, stored [in, out], it is a
 * column.
 *
 * A matrix in groups of q8_0 or q4_0 is U8, [outputs, bytes of a row's groups], the very blocks of
 * a GGUF file (dtype.h); a row is an output in a Conv1D matrix too. Its width says which it is.
 *
 * It computes nothing: reading rows is checkpoint_rows.h, formats in memory are params.h. */
#pragma once

#include "model/config.h"
#include "model/params.h"
#include "model/files/safetensors.h"

#define SCALE_SUFFIX ".scale"

typedef struct Checkpoint {
    char *path; /* of model.safetensors, or of the index of its shards */
    SafeTensors *file;
    ModelConfig config;
    bool prefixed; /* base tensors carry the model's prefix */
    /* For the caller to set before checking or loading: a head or pooler that the file lacks is no
     * error and keeps its initial weights. */
    bool fresh_head;
    /* Set by checkpoint_check and checkpoint_load: names of known tensors and heads that are not
     * read; NULL = none. See unused_print. */
    char *unused;
} Checkpoint;

/* Reads MODEL_DIR/config.json, opens the weights that weights.h finds and, where the config leaves
 * the head open, settles it by them. -1 for what either refuses, and for fewer than half of the
 * weights that the config says. */
int checkpoint_open(Checkpoint *ck, const char *model_dir, Err *err);
void checkpoint_release(Checkpoint *ck);

/* Prints to standard error the one line by which every verb names unused tensors; nothing for
 * NULL. */
void unused_print(const char *unused);

/* Checks that the file holds this model: -1 as checkpoint_load, but reads no weight. */
int checkpoint_check(Checkpoint *ck, Err *err);

/* Fills every allocated weight of p (which recorded ck->config), in the format of p, from F32, F16,
 * BF16 or quantised tensors. An int8 model takes levels and scales as they are, one of q8_0 or q4_0
 * such groups, also a GGUF file's; any other dequantises. -1 for a missing tensor, a wrong shape or
 * dtype, or a tensor that the family does not know. */
int checkpoint_load(Checkpoint *ck, Params *p, Err *err);

/* Tensors for safetensors_write; owns their names and the data that it was given or had to make. */
typedef struct TensorList {
    STensor *at;
    void **owned;
    size_t count;
} TensorList;

void tensor_list_release(TensorList *l);

/* Appends one fp32 tensor. Copies the name, borrows the data. */
void tensor_list_add(TensorList *l, const char *name, size_t ndim, const size_t *shape,
                     const float *data);

/* The same, but takes over the data, which xmalloc gave. */
void tensor_list_take(TensorList *l, const char *name, size_t ndim, const size_t *shape,
                      float *data);

/* Appends `block` (p->weights or p->grads) under the names and shapes of this configuration's
 * checkpoints, each behind `before` ("grad." or ""). Takes joined parameters apart and turns
 * transposed ones back. Borrows the block. */
void checkpoint_export(const ModelConfig *c, bool prefixed, const Params *p, const float *block,
                       const char *before, TensorList *out);
