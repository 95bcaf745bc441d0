/* prompt: a text to the ids that a decoder continues, as it stands or as what a user says in a
 * chat.
 *
 * The one chat format is ChatML (OpenAI 2023), as Qwen and SmolLM2 have it: one turn of the user,
 * then the assistant's begins. A model's own template is not run. */
#pragma once

#include "model/tokenizer/tokenizer.h"

/* Appends the ids of a text: with those that begin and end every text, or in ChatML. */
void prompt_encode(const Tokenizer *t, const char *text, size_t len, bool chat, IdBuffer *ids);

/* Whether the chat template of the model's files (chat_template of tokenizer_config.json, or
 * chat_template.jinja) is ChatML. -1, with its name: it is another one; or there is none. */
int prompt_check_template(const char *model_dir, Err *err);
