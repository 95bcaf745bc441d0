/* model_tokenizer: the tokenizer of a model, of a Hugging Face directory or of a GGUF file. */
#pragma once

#include "model/tokenizer/tokenizer.h"

/* Whether it has files of one, or a GGUF file's keys, whatever is in them. */
bool model_has_tokenizer(const char *model);

/* As tokenizer_load, for either. NULL, naming the file and the part that is at fault. */
Tokenizer *model_tokenizer_load(const char *model, Err *err);
