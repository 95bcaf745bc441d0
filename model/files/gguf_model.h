/* gguf_model: a GGUF file as if it were a Hugging Face directory: its config.json, its tensors
 * under the names of checkpoints, its tokenizer.json.
 *
 * The one idea: llama.cpp renames and rearranges what a checkpoint has; here that is undone
 * once, so that nobody above knows of it. Architectures llama, qwen2, qwen3 and gpt2. Undone are
 * the order of the rows of q and k of llama, which llama.cpp permutes in each head so that
 * neighbours rotate together (k by key/value heads), and the transposition of GPT-2's matrices,
 * but of blocks, whose rows are outputs wherever they come from (checkpoint.h). */
#pragma once

#include <jansson.h>

#include "model/files/safetensors.h"

/* What config.json would say, to be given to json_decref. NULL, naming file and key, for another
 * architecture, a key that is missing, experts, a window of attention, a scaling of the rotation
 * other than Llama 3's with its factors 8 or 32. */
json_t *gguf_config(const char *path, Err *err);

/* All tensors, in the types of the file; those that were rearranged are copies, transposed ones in
 * F32. A name that is not known stays as it is. NULL for what gguf_open refuses and for rows of q
 * or k that are not of the heads. */
SafeTensors *gguf_weights(const char *path, Err *err);

/* What tokenizer.json and tokenizer_config.json would say. NULL, naming file and key, for a
 * tokenizer other than byte-level BPE, or one whose tokenizer.ggml.pre is not gpt-2, llama-bpe,
 * qwen2 or smollm. */
json_t *gguf_tokenizer(const char *path, Err *err);
json_t *gguf_tokenizer_config(const char *path, Err *err);
