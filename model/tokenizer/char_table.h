/* char_table: what BERT's normaliser and word splitter do with each of the 1,114,112 code points,
 * and the classes that byte-level pre-tokenizers ask for.
 *
 * The one idea: cleaning, CJK spacing, accent stripping (NFD without nonspacing marks) and
 * lowercasing are each a function of one code point, so their composition is a table, built once
 * in a process.
 * Only the canonical order of combining marks is not; those few code points are CHAR_ORDERED.
 *
 * The properties are utf8proc's, corrected by unicode_delta.inc to those of the Hugging Face
 * `tokenizers` library, which mixes Unicode versions. The table knows no text: see
 * bert_normalize. */
#pragma once

#include "model/tokenizer/utf8.h"

typedef struct BertOptions {
    bool lowercase;
    bool strip_accents;
    bool isolate_cjk; /* spaces around ideographs: tokenize_chinese_chars */
} BertOptions;

enum CharAction {
    CHAR_COPY,    /* stays as it is */
    CHAR_DROP,    /* vanishes, and marks on both sides meet */
    CHAR_ISOLATE, /* stays, between two spaces */
    CHAR_REPLACE, /* becomes its replacement text, which may be empty */
    CHAR_ORDERED, /* as CHAR_REPLACE, with marks to sort canonically among their neighbours */
};

enum CharFlag {
    CHAR_PUNCT = 1,    /* a word of its own */
    CHAR_SPACE = 2,    /* White_Space, which is \s */
    CHAR_WORD = 4,     /* \w of regular expressions */
    CHAR_LETTER = 8,   /* \p{L} */
    CHAR_NUMBER = 16,  /* \p{N} */
    CHAR_NUMERIC = 32, /* a digit to the pre-tokenizer Digits */
    CHAR_LATER = 64,   /* sorts and composes with others only in Unicode versions after theirs */
};

typedef struct CharInfo {
    uint32_t text;     /* where the replacement begins in the pool */
    uint8_t text_len;  /* at most 3 times the bytes of the code point itself */
    uint8_t action;    /* enum CharAction */
    uint8_t flags;     /* enum CharFlag */
    uint8_t combining; /* canonical combining class; 0 where accents are not stripped */
} CharInfo;

enum { CHAR_PAGE = 256, CHAR_PAGES = 0x110000 / CHAR_PAGE };

typedef struct CharTable {
    CharInfo *pages;           /* [number of different pages][CHAR_PAGE] */
    uint16_t page[CHAR_PAGES]; /* which of them holds code points CHAR_PAGE i and up */
    ByteBuffer pool;
} CharTable;

/* The table of these options. It lives as long as the process; any thread may ask for it. */
const CharTable *char_table(BertOptions options);

static inline const CharInfo *char_info(const CharTable *t, uint32_t c)
{
    return &t->pages[t->page[c / CHAR_PAGE] * CHAR_PAGE + c % CHAR_PAGE];
}
