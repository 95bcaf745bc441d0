/* tokenizer_json: the vocabulary of a tokenizer.json, the file that the transformers library writes
 * today.
 *
 * The one idea: the library's BertTokenizer takes from this file the vocabulary and the added
 * tokens, and nothing else; its settings are those of tokenizer_config.json. So the rest of the
 * file is only checked: a part that is not BERT's is refused by name. Where tokenizer_config.json
 * names another class, as PreTrainedTokenizerFast, the settings are those of the parts. Truncation,
 * padding and the decoder are ignored. Added tokens are read by wordpiece_config. */
#pragma once

#include <jansson.h>

#include "model/tokenizer/vocab.h"

enum { WORDPIECE_MAX_CHARS = 100 }; /* a longer word is unknown */

/* Reads an object from a JSON file of the directory, an empty one where there is no file; the
 * caller gives it to json_decref. NULL: err is set. */
json_t *tokenizer_file(const char *model_dir, const char *name, Err *err);

/* Reads tokenizer.json in the same way, and refuses one of another version than 1.0 or whose
 * added tokens are no list. */
json_t *tokenizer_json_open(const char *model_dir, Err *err);

/* Whether `what`, "truncation" or "padding", is on the left: as tokenizer_config.json (`config`)
 * says under truncation_side, else tokenizer.json under truncation.direction, else not. -1: it
 * names no side. */
int tokenizer_side(bool *left, const json_t *config, const json_t *tokenizer, const char *what,
                   Err *err);

/* Reads model.vocab of the file's object `root` into v. -1, naming `path` and the part, for a
 * vocabulary that is no object of ids, a model, normalizer, pre_tokenizer or post_processor other
 * than BERT's, and a template other than `cls` text `sep`. */
int tokenizer_json_vocab(Vocab *v, const json_t *root, const char *cls, const char *sep,
                         const char *path, Err *err);

/* The settings that the parts of `root` stand for, under the keys that tokenizer_config.json has
 * for a BertTokenizer: do_lower_case, strip_accents, tokenize_chinese_chars, unk_token, cls_token,
 * sep_token. The caller gives the object to json_decref. NULL, naming the part, where one is
 * missing or not BERT's. */
json_t *tokenizer_json_settings(json_t *root, Err *err);
