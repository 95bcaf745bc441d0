/* model_dir: the model of a row that is in a directory or a GGUF file, instead of random weights.
 *
 * The one idea: what the files say is asked often and read once a process. */
#pragma once

#include "model/config.h"
#include "model/params.h"
#include "bench/row/row.h"

/* The configuration of a decoder's checkpoint whose tensors are all there; what of its tensors is
 * not used is named on standard error, the first time. -1 for what
 * checkpoint_check refuses, and for a model that generates nothing. */
int model_dir_config(const char *dir, ModelConfig *m, Err *err);

/* What model_size calls it: the last part of its path, without .gguf. */
void model_dir_name(const char *dir, FieldTEXT name);

/* Fills the allocated weights of a row's model: those of its model_dir, else random ones of its
 * seed. -1: the files cannot be read. */
int row_weights_fill(const RowConfig *c, Params *p, Err *err);
