/* weights: which files of a directory hold its weights, one or several; a GGUF file holds its own.
 *
 * The one idea: model.safetensors counts where it is there, as in the transformers library; else
 * model.safetensors.index.json, which says of every tensor in which file, a shard, it is. An index
 * must be true: every tensor of its weight_map is in the shard that it names, and no shard has
 * another. Shards are plain names in the index's own folder. Other keys of the index, such as
 * metadata.total_size, are not read: many are wrong and nothing needs them. */
#pragma once

#include "model/files/safetensors.h"

/* The path of model.safetensors or of the index, of a GGUF file its own. NULL: the directory has
 * none of them. Caller frees. */
char *weights_find(const char *model_dir);

/* What to do about weights in a format that is not read, such as pytorch_model.bin: the end of a
 * sentence, static. NULL: the directory has none of those either. */
const char *weights_advice(const char *model_dir);

/* The sentence for a directory where weights_find finds nothing; -1. */
int weights_missing(const char *model_dir, Err *err);

/* The files that hold the tensors. */
typedef struct WeightFiles {
    char **at;
    size_t count;
} WeightFiles;

/* Lists them for what weights_find returned: itself, or the shards of an index in the order of
 * their names. -1, naming the index, for one that is no JSON or names no shards beside it. */
int weight_files_list(WeightFiles *files, const char *path, Err *err);
void weight_files_release(WeightFiles *files);

/* Opens all tensors of what weights_find returned, as safetensors_open does. NULL, naming the file,
 * for a shard that is missing or refused and for an index that does not tell the truth. */
SafeTensors *weights_open(const char *path, Err *err);
