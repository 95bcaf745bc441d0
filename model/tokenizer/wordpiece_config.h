/* wordpiece_config: how a tokenizer is set up, from the JSON files beside vocab.txt, as the
 * transformers library (5.x) reads them for a BertTokenizer or DistilBertTokenizer.
 *
 * tokenizer_config.json is optional: do_lower_case, strip_accents, tokenize_chinese_chars,
 * split_special_tokens, truncation_side, padding_side, the named special tokens (cls_token ...),
 * extra_special_tokens or additional_special_tokens, added_tokens_decoder. Where it has no
 * added_tokens_decoder, the older special_tokens_map.json and added_tokens.json and the
 * added_tokens of a tokenizer.json are read too. Everything else is ignored, as there: never_split,
 * the vocabulary, truncation and padding of a tokenizer.json, the ids given to added tokens, which
 * only order them. */
#ifndef TARE_MODEL_TOKENIZER_WORDPIECE_CONFIG_H
#define TARE_MODEL_TOKENIZER_WORDPIECE_CONFIG_H

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

/* -1 for a file that is not JSON or holds a wrong type, naming file and key. */
int wordpiece_config_load(WordPieceConfig *c, const char *model_dir, Err *err);
void wordpiece_config_release(WordPieceConfig *c);

#endif
