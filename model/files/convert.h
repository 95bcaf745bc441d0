/* convert: a checkpoint's weights in another number format, as a directory of its own.
 *
 * The one idea: what becomes of a tensor depends on its type and rank alone. bf16 and fp16 take every
 * floating-point tensor. int8 takes the matrices, tables of embeddings included: NAME is I8 and
 * NAME.scale is F32 with one scale an output (a weight is level x scale), which is a row, and a column
 * where GPT-2 stores [in, out]; other floating-point tensors become fp32. Integers stay as they are.
 * How such files are read back is checkpoint.h's business. */
#ifndef TARE_MODEL_FILES_CONVERT_H
#define TARE_MODEL_FILES_CONVERT_H

#include "autograd/tensor.h"
#include "model/files/checkpoint.h"

/* Asked between tensors and before the directory gets its name; true gives the conversion up. */
typedef bool ConvertStop(void);

/* Writes out_dir with model.safetensors in `format` (DT_BF16, DT_F16 or DT_I8), config.json with its
 * dtype changed, and the tokenizer's files. out_dir must not exist and appears only when it is complete:
 * it is made beside its place as OUT.tmp.PID and renamed. -1 with nothing left behind: a model that
 * checkpoint_open, checkpoint_check or precision_takes refuses, one that is int8 already, a weight that is
 * not finite or beyond the format's largest number, a file that cannot be written, or `stop` (NULL: never). */
int model_convert(const char *model_dir, const char *out_dir, DType format, ConvertStop *stop,
                  Err *err);

/* Bytes of all tensors of the checkpoint once converted (DT_F32 too), scales included and the header not. */
size_t converted_bytes(const Checkpoint *ck, DType format);

#endif
