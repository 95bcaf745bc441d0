/* added_tokens: finds words such as [MASK] in a text before it is normalised and split, by the
 * matching rules of Hugging Face's `AddedVocabulary`. It does not choose the words: see
 * wordpiece_config, bpe_json. */
#pragma once

#include "model/tokenizer/char_table.h"
#include "model/tokenizer/id_buffer.h"
#include "model/tokenizer/trie.h"

typedef struct AddedToken {
    char *content;
    bool single_word;    /* only where neither neighbour is a word character */
    bool lstrip, rstrip; /* takes the white space before, after it along */
    bool normalized;     /* its normalised form is looked for in normalised text */
    bool special;        /* split_special_tokens turns it off */
    int32_t id;
} AddedToken;

/* Finds a set of tokens; borrows them. */
typedef struct AddedMatcher {
    Trie patterns;    /* values are indices into tokens */
    bool begins[256]; /* whether a pattern begins with this byte */
    const AddedToken *tokens;
    const CharTable *chars;
    bool skip_special;
} AddedMatcher;

void added_matcher_init(AddedMatcher *m, const AddedToken *tokens, const CharTable *chars,
                        bool skip_special);
void added_matcher_release(AddedMatcher *m);

/* Adds tokens[index], to be found where the text is `pattern`. -1 when another token has the same
 * pattern, or it is empty. */
int added_matcher_add(AddedMatcher *m, size_t index, const void *pattern, size_t len, Err *err);

/* A search in progress: `at` is where the next match may begin, `rest` where the text not yet taken
 * by a match begins. They differ, since a match may take white space along. Begin with both 0. */
typedef struct AddedSearch {
    const unsigned char *text;
    size_t len, at, rest;
} AddedSearch;

typedef struct AddedMatch {
    size_t start, stop;
    int32_t id;
} AddedMatch;

/* The next match, leftmost and then longest; false when there is none. */
bool added_next(const AddedMatcher *m, AddedSearch *s, AddedMatch *match);

/* Appends the ids of a piece of text without added tokens. */
typedef void EncodePart(const void *tokenizer, const unsigned char *text, size_t len,
                        IdBuffer *out);

/* Appends the ids of the added tokens of a text, and gives what lies between them to `part`. */
void encode_around(const AddedMatcher *m, const unsigned char *text, size_t len, EncodePart *part,
                   const void *tokenizer, IdBuffer *out);
