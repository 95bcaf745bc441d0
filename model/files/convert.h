/* convert: a checkpoint's weights in another number format, as a new directory.
 *
 * The one idea: type and rank alone decide what becomes of a tensor. bf16 and fp16 take every
 * floating-point tensor. int8 takes the matrices, tables of embeddings included, as I8 with scales
 * beside them (checkpoint.h says how), and makes other floating-point tensors fp32; so do q8_0 and
 * q4_0, which take matrices as U8, a GGUF's blocks of the format as they are. Integers stay as they
 * are. Reading such files is checkpoint.h's business. */
#pragma once

#include "autograd/tensor.h"
#include "model/files/checkpoint.h"

/* Called between tensors and before the directory gets its name; true gives the conversion up. */
typedef bool ConvertStop(void);

/* Writes out_dir with model.safetensors in `format` (any but DT_I32), config.json with its dtype
 * changed, and the tokenizer's files. out_dir must not exist; it is made as OUT.tmp.PID and renamed
 * once it is complete. -1, leaving nothing behind, for a model that checkpoint_open,
 * checkpoint_check or precision_takes refuses or that is quantised already, a weight that is not
 * finite or beyond the format's largest number, a file that cannot be written, or when `stop`
 * (NULL: never) says so. */
int model_convert(const char *model_dir, const char *out_dir, DType format, ConvertStop *stop,
                  Err *err);

/* Bytes of the checkpoint's tensors once converted (DT_F32 too), with scales, without the
 * header. */
size_t converted_bytes(const Checkpoint *ck, DType format);
