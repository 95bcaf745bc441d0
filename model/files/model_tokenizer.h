/* model_tokenizer: the tokenizer of a model, of a Hugging Face directory or of a GGUF file. */
#ifndef TARE_MODEL_FILES_MODEL_TOKENIZER_H
#define TARE_MODEL_FILES_MODEL_TOKENIZER_H

#include "model/tokenizer/tokenizer.h"

/* As tokenizer_load, for either. NULL, naming the file and the part that is at fault. */
Tokenizer *model_tokenizer_load(const char *model, Err *err);

#endif
