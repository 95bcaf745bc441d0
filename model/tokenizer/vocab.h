/* vocab: the tokens of a vocabulary, found whole or as the longest piece that begins a text. A
 * token that begins with "##" continues a word. It knows no special tokens. */
#pragma once

#include "model/tokenizer/trie.h"
#include "model/tokenizer/word_table.h"

enum { VOCAB_MAX_BYTES = TRIE_MAX_NODES - 2, VOCAB_MAX_IDS = 1 << 24 };

typedef struct Vocab {
    Trie tokens;
    WordTable words;    /* the short tokens again, tried before the trie */
    uint32_t continued; /* the trie's node after "##" */
    int32_t num_ids;    /* one more than the largest */
    /* Whether an id below has no token, so that the library would give it to a new one. It counts
     * all empty lines of a vocab.txt as one token: one makes no gap. */
    bool has_gaps;
} Vocab;

/* Reads a file with a token a line; its id is the number of the line, from 0. Trims white space at
 * the end of a line; an empty line is a token that no text has. -1, with file and line, for a file
 * that cannot be read, text that is not UTF-8, and a token that appears twice. */
int vocab_load(Vocab *v, const char *path, Err *err);
void vocab_release(Vocab *v);

/* Reads it from memory; `path` is for messages. */
int vocab_parse(Vocab *v, const char *text, size_t len, const char *path, Err *err);

/* Builds a vocabulary token by token: init, adds, complete. Adding returns the id that the token
 * has already, and changes nothing, or -1; an empty token only takes its id. Tokens of more than
 * VOCAB_MAX_BYTES together are our bug. */
void vocab_init(Vocab *v);
int32_t vocab_add(Vocab *v, const char *token, size_t len, int32_t id);
void vocab_complete(Vocab *v);

/* The id of a token, -1 if there is none such. */
int32_t vocab_id(const Vocab *v, const char *token);

/* The id of a whole word of len > 0 bytes; -1 if it is no token, or one too long for the table. */
static inline int32_t vocab_word(const Vocab *v, const unsigned char *word, size_t len)
{
    return len <= WORD_TABLE_MAX_LEN ? word_table_find(&v->words, word, len) : -1;
}

/* Length and id of the longest token that begins text or, with `continues`, that continues a word
 * with it; 0 if there is none. */
static inline size_t vocab_longest(const Vocab *v, bool continues, const unsigned char *text,
                                   size_t len, int32_t *id)
{
    return trie_longest(&v->tokens, continues ? v->continued : TRIE_ROOT, text, len, id);
}
