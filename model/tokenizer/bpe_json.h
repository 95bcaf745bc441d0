/* bpe_json: sets up a byte-level tokenizer from the files of a Hugging Face directory.
 *
 * The one idea: tokenizer.json says everything, and each of its parts is one that is built or is
 * refused by name: model BPE on bytes; normalizer NFC; pre_tokenizer ByteLevel, Digits and
 * ByteLevel, or Split and ByteLevel with a regular expression of pre_tokenizer.h; post_processor
 * ByteLevel, TemplateProcessing; decoder ByteLevel. Of its truncation only the side is
 * read, where tokenizer_config.json names none.
 *
 * Where there is none, vocab.json and merges.txt are the tables, the class of tokenizer_config.json
 * (GPT2Tokenizer, Qwen2Tokenizer; GPT-2's without it) the settings; its added_tokens_decoder and
 * added_tokens.json name the added tokens. */
#pragma once

#include <jansson.h>

#include "model/tokenizer/byte_level.h"

/* Whether the directory's tokenizer is of this kind: tokenizer.json (here its object, empty where
 * there is none) has a model BPE, or there are vocab.json and merges.txt and no vocab.txt. */
bool bpe_json_is_for(const char *model_dir, const json_t *tokenizer);

/* Fills b, which begins uninitialised. -1, naming file and part; b is released then. */
int bpe_json_load(ByteLevel *b, const char *model_dir, const json_t *tokenizer, Err *err);

/* The same from a tokenizer.json in memory alone; `place` begins messages. */
int bpe_json_read(ByteLevel *b, const json_t *tokenizer, const char *place, Err *err);
