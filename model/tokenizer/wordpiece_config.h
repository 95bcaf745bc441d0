/* wordpiece_config: how a tokenizer is set up, from the JSON files of its directory, as the
 * transformers library (5.x) reads them for a BertTokenizer or DistilBertTokenizer, or for
 * another class whose tokenizer.json has BERT's parts.
 *
 * Reads of tokenizer_config.json, which is optional: tokenizer_class, do_lower_case, strip_accents,
 * tokenize_chinese_chars, split_special_tokens, truncation_side, padding_side, the named special
 * tokens (cls_token ...), extra_special_tokens or additional_special_tokens, added_tokens_decoder.
 * Where it has no added_tokens_decoder, it also reads the older special_tokens_map.json and
 * added_tokens.json and the added_tokens of tokenizer.json; where it has no side, that of the
 * latter's truncation and padding. Where it names no class, config.json may. Ignores everything
 * else, as the library does: never_split, the ids given to added tokens, which only order them. The
 * vocabulary is wordpiece.c's business. */
#pragma once

#include <jansson.h>

#include "model/tokenizer/added_tokens.h"

typedef struct WordPieceConfig {
    BertOptions normalizer;
    bool split_special; /* special tokens in the text are text */
    bool truncate_left, pad_left;
    char *unk, *cls, *sep;
    char *pad;         /* NULL: explicitly none */
    AddedToken *added; /* in the order in which new ones get their ids, which are not set */
    size_t num_added, num_listed; /* the first num_listed are listed by a file, the others named */
} WordPieceConfig;

/* Reads the directory's files beside `tokenizer`, the object of its tokenizer.json, or empty. -1,
 * naming file and key, for a file that is not JSON, a wrong type, or a class that is neither built
 * nor described by tokenizer.json. */
int wordpiece_config_load(WordPieceConfig *c, const char *model_dir, json_t *tokenizer, Err *err);
void wordpiece_config_release(WordPieceConfig *c);
