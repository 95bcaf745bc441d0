/* pre_tokenizer: see pre_tokenizer.h. */
#include "model/tokenizer/pre_tokenizer.h"

#include <string.h>

enum { LETTER = CHAR_LETTER, NUMBER = CHAR_NUMBER, SPACE = CHAR_SPACE };

#define AFTER_CONTRACTION "[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define CONTRACTION       "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}"

static const char *const regexes[] = {
    [SPLIT_GPT2] =
        "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
    [SPLIT_LLAMA3] = CONTRACTION "{1,3}| ?" AFTER_CONTRACTION,
    [SPLIT_QWEN2] = CONTRACTION "| ?" AFTER_CONTRACTION,
};

bool split_rule_of(const char *regex, SplitRule *rule)
{
    for (size_t i = 0; i < COUNT_OF(regexes); i++)
        if (strcmp(regex, regexes[i]) == 0) {
            *rule = (SplitRule)i;
            return true;
        }
    return false;
}

const char *split_rule_regex(SplitRule rule)
{
    return regexes[rule];
}

void pre_tokenizer_init(PreTokenizer *p)
{
    *p = (PreTokenizer){.rule = SPLIT_GPT2, .chars = char_table((BertOptions){0})};
    for (uint32_t c = 0; c < COUNT_OF(p->ascii); c++)
        p->ascii[c] = char_info(p->chars, c)->flags;
}

typedef const unsigned char *Place;

static inline uint8_t flags_at(const PreTokenizer *p, Place at, size_t *n)
{
    uint32_t c;
    if (*at < 0x80) {
        *n = 1;
        return p->ascii[*at];
    }
    *n = utf8_decode(at, &c);
    return char_info(p->chars, c)->flags;
}

/* LETTER, NUMBER, SPACE, or 0 for everything else. */
static inline uint8_t class_at(const PreTokenizer *p, Place at, size_t *n)
{
    return flags_at(p, at, n) & (LETTER | NUMBER | SPACE);
}

/* The end of the characters of this class that begin at `at`, at most `most`. */
static inline Place run_end(const PreTokenizer *p, Place at, Place end, uint8_t class, size_t most)
{
    size_t n;
    for (; at < end && most > 0 && class_at(p, at, &n) == class; most--)
        at += n;
    return at;
}

/* Bytes of 's, 't, 're, 've, 'm, 'll or 'd, 0 for none. With `fold` in either case: U+017F, the
 * long s, is an s too. */
static size_t contraction(Place at, Place end, bool fold)
{
    size_t left = (size_t)(end - at);
    if (left < 2 || *at != '\'')
        return 0;
    unsigned char lower = fold ? 0x20 : 0, c = at[1] | lower, d = left > 2 ? at[2] | lower : 0;
    if (c == 's' || c == 't' || c == 'm' || c == 'd')
        return 2;
    if ((c == 'r' && d == 'e') || (c == 'v' && d == 'e') || (c == 'l' && d == 'l'))
        return 3;
    return fold && left > 2 && at[1] == 0xc5 && at[2] == 0xbf ? 3 : 0;
}

static bool is_newline(unsigned char c)
{
    return c == '\r' || c == '\n';
}

/* White space that something else follows leaves its last character to it, unless it is the only
 * one: \s+(?!\S)|\s+. */
static Place space_end(const PreTokenizer *p, Place at, Place end)
{
    Place last = at;
    size_t n;
    for (Place next = at; next < end && class_at(p, next, &n) == SPACE; next += n)
        last = next;
    Place after = run_end(p, last, end, SPACE, 1);
    return after == end || last == at ? after : last;
}

static Place gpt2_end(const PreTokenizer *p, Place at, Place end)
{
    size_t n = contraction(at, end, false);
    if (n > 0)
        return at + n;
    Place from = *at == ' ' && at + 1 < end ? at + 1 : at;
    uint8_t class = class_at(p, from, &n);
    return class == SPACE ? space_end(p, at, end) : run_end(p, from + n, end, class, SIZE_MAX);
}

/* \s*[\r\n]+, else the rest of the rules for white space. */
static Place lines_end(const PreTokenizer *p, Place at, Place end)
{
    Place newline = NULL;
    size_t n;
    for (Place next = at; next < end && class_at(p, next, &n) == SPACE; next += n)
        newline = is_newline(*next) ? next : newline;
    return newline ? newline + 1 : space_end(p, at, end);
}

static Place llama3_end(const PreTokenizer *p, Place at, Place end, size_t most_digits)
{
    size_t n = contraction(at, end, true), m = 0;
    if (n > 0)
        return at + n;
    uint8_t class = class_at(p, at, &n);
    if (class == NUMBER)
        return run_end(p, at, end, NUMBER, most_digits);
    if (class == LETTER)
        return run_end(p, at + n, end, LETTER, SIZE_MAX);
    bool last = at + n == end;
    uint8_t next = last ? (uint8_t)SPACE : class_at(p, at + n, &m);
    if (!last && next == LETTER && !is_newline(*at))
        return run_end(p, at + n + m, end, LETTER, SIZE_MAX);
    if (class == SPACE && (*at != ' ' || next != 0))
        return lines_end(p, at, end);
    at = run_end(p, at + n, end, 0, SIZE_MAX);
    while (at < end && is_newline(*at))
        at++;
    return at;
}

size_t pre_tokenizer_word(const PreTokenizer *p, const unsigned char *text, size_t len)
{
    Place end = text + len, at = NULL;
    switch (p->rule) {
    case SPLIT_GPT2:
        at = gpt2_end(p, text, end);
        break;
    case SPLIT_LLAMA3:
        at = llama3_end(p, text, end, 3);
        break;
    case SPLIT_QWEN2:
        at = llama3_end(p, text, end, 1);
        break;
    }
    return (size_t)(at - text);
}

size_t pre_tokenizer_piece(const PreTokenizer *p, const unsigned char *text, size_t len)
{
    size_t n = 0, at = 0;
    if (!p->digits)
        return len;
    while (at < len && !(flags_at(p, text + at, &n) & CHAR_NUMERIC))
        at += n;
    return at > 0 ? at : n;
}
