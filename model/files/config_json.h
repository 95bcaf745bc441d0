/* config_json: Hugging Face's config.json, read as a ModelConfig. Which keys a family has is its
 * row's business (model/families/family.h); writing one is model_dir.h's. */
#pragma once

#include <jansson.h>

#include "model/config.h"

/* Reads MODEL_DIR/config.json, or what a GGUF file says instead (gguf_model.h). A missing key
 * has the default that the transformers library gives it, an unknown one is ignored. -1, naming
 * file and key, for a value that model_config_check refuses, a wrong type, an unknown model_type
 * or activation, and for a setting that changes the mathematics and is not built:
 * scale_attn_weights off, scale_attn_by_inverse_layer_idx, reorder_and_upcast_attn,
 * add_cross_attention, tie_last_hidden_states off, is_decoder of an encoder, a
 * position_embedding_type other than absolute.
 *
 * The head is what `architectures` says: ...ForSequenceClassification has a classifier,
 * GPT2LMHeadModel and GPT2DoubleHeadsModel have an LM head, so has a gpt2 that names no
 * architecture. Refused are task heads that are not built: token classification, question
 * answering, multiple choice, a classifier on GPT-2. Everything else, such as GPT2Model or
 * BertForMaskedLM, is HEAD_NONE. An encoder that names no architecture is HEAD_NONE too, with
 * head_open set. num_labels is set in any case. */
int model_config_load(const char *model_dir, ModelConfig *c, Err *err);

enum { CONFIG_JSON_MAX_BYTES = 16 << 20 }; /* a larger file is refused */

/* The file itself, an object, for other keys of it: to be given to json_decref. NULL: err is
 * set. */
json_t *config_json_read(const char *model_dir, Err *err);

/* What the library calls an activation. */
const char *config_act_name(Act act);
