/* checkpoint_names: the names that a parameter has in checkpoints, past and present, and the
 * tensors found by them.
 *
 * The one idea: a parameter has one name, its family's; every other spelling of it is tried here
 * and nowhere else. What lies in a tensor is checkpoint_rows.h's. */
#pragma once

#include <string.h>

#include "model/files/checkpoint.h"

static inline bool starts_with(const char *s, const char *start)
{
    return strncmp(s, start, strlen(start)) == 0;
}

/* Number of tensors that a parameter's name stands for: the alternatives in its braces. */
size_t name_parts(const char *name);

/* The name of part `i` in a checkpoint, with the family's prefix where it belongs. Caller frees. */
char *name_of_part(const Family *f, bool prefixed, const char *name, size_t i);

/* Whether a model without a head may lack the tensor: one of a head, or of the pooler before it. */
bool name_belongs_to_head(const Family *f, const char *name);

/* Finds part `i` of a parameter: with the family's prefix or without, which the transformers
 * library adds and takes away tensor by tensor, even before heads; and with the names of a layer
 * norm until 2019, LayerNorm.gamma and LayerNorm.beta. NULL: the file has none. */
const STensor *find_part(const Checkpoint *ck, const char *param, size_t i);

/* The scales beside an I8 tensor; NULL beside any other. */
const STensor *find_scale(const Checkpoint *ck, const STensor *t);
