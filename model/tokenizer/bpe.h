/* bpe: one word of bytes to token ids by byte-pair encoding (Sennrich et al. 2016, on bytes as in
 * Radford et al. 2019): of all neighbours that a merge joins, the pair of the lowest rank is
 * joined, the leftmost of equals, until none is left. The ids equal those of the BPE model of
 * Hugging Face's `tokenizers`.
 *
 * The one idea: nearly every word has been seen before, so each thread keeps the ids of short
 * words; a word that is new takes a scan for each merge while it is short and a heap where it is
 * long, n log n for n bytes. It does not split text into words: see pre_tokenizer. */
#pragma once

#include "model/tokenizer/id_buffer.h"
#include "model/tokenizer/token_table.h"

/* Joining `left` and `right` gives `id`. */
typedef struct BpeMerge {
    int32_t left, right; /* left -1 marks a free slot */
    uint32_t rank;
    int32_t id;
} BpeMerge;

/* A mark in Bpe.tokens: added beside the vocabulary, so no word gives it. */
enum { BPE_OUTSIDE = 1 };

typedef struct Bpe {
    TokenTable tokens; /* written in the byte alphabet */
    BpeMerge *merges;  /* hashed by their pair */
    unsigned bits;     /* 2^bits of them */
    size_t num_merges;
    int32_t byte_ids[256]; /* -1: a byte without a token, passed over */
    int32_t unk;           /* what such a byte is instead; -1: nothing */
    bool fuse_unk;         /* several such bytes together are one */
    bool whole_words;      /* a word that is a token is that token, whatever the merges say */
    uint64_t serial;       /* no two have the same */
} Bpe;

/* Building: init, tokens into b->tokens, merges by falling importance, complete. */
void bpe_init(Bpe *b);
void bpe_release(Bpe *b);

/* Adds a merge of two tokens, as strings in the byte alphabet; a pair that is there gets the new
 * rank. -1 where one of them, or what they make, is no token. */
int bpe_add_merge(Bpe *b, const char *left, size_t left_len, const char *right, size_t right_len,
                  Err *err);
void bpe_complete(Bpe *b);

/* The id of a token of the vocabulary, -1 if there is none such. */
int32_t bpe_vocab_id(const Bpe *b, const void *token, size_t len);

/* What a thread remembers: made by the first encoding, freed with its IdBuffer. */
void bpe_scratch_free(BpeScratch *s);

/* Appends the ids of a word of len > 0 bytes. */
void bpe_encode_word(const Bpe *b, const unsigned char *word, size_t len, IdBuffer *out);
