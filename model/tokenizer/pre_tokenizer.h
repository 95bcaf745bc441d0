/* pre_tokenizer: where the next word of a text ends, for byte-level tokenizers.
 *
 * The one idea: each regular expression in use is known by its exact text and is a hand-written
 * scanner here; no other expression is understood. The scanners give what Oniguruma gives
 * `tokenizers`, with its Unicode classes (char_table.h). */
#pragma once

#include "model/tokenizer/char_table.h"

typedef enum SplitRule {
    SPLIT_GPT2,   /* Radford et al. 2019 */
    SPLIT_LLAMA3, /* tiktoken's cl100k_base with its possessive quantifiers gone */
    SPLIT_QWEN2,  /* as Llama 3, but every number is one character */
} SplitRule;

typedef struct PreTokenizer {
    const CharTable *chars;
    uint8_t ascii[128]; /* flags of char_table.h */
    SplitRule rule;
    bool digits;       /* every number character is cut out before the rule sees what is between */
    bool prefix_space; /* every piece begins with a space */
} PreTokenizer;

/* Sets up classes; the caller sets the other members. */
void pre_tokenizer_init(PreTokenizer *p);

/* Whether the regular expression is that of a rule. */
bool split_rule_of(const char *regex, SplitRule *rule);
const char *split_rule_regex(SplitRule rule);

/* Bytes of the piece that begins well-formed text of len > 0: one number character, or all up to
 * the next; all of the text where digits is off. */
size_t pre_tokenizer_piece(const PreTokenizer *p, const unsigned char *text, size_t len);

/* Bytes of the word that begins a piece. */
size_t pre_tokenizer_word(const PreTokenizer *p, const unsigned char *text, size_t len);
