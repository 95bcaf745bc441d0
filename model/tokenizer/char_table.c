/* char_table: see char_table.h. */
#include "model/tokenizer/char_table.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum { CODE_POINTS = 0x110000, MAX_EXPANSION = 16 };

/* ---- the properties: utf8proc, then the differences ---- */

enum Property {
    CONTROL = 1,    /* removed by cleaning */
    MARK = 2,       /* removed by accent stripping */
    DECOMPOSES = 4, /* NFD is another text */
    LOWER = 8,      /* lower_delta knows its lower case */
    PUNCT = 16,
    SPACE = 32,
    WORD = 64,
    LETTER = 128,
    NUMBER = 256,
    NUMERIC = 512,
    LATER = 1024,
};

typedef struct Properties {
    uint16_t of[CODE_POINTS]; /* enum Property */
    uint8_t combining[CODE_POINTS];
} Properties;

typedef struct UnicodeDelta {
    uint32_t first, last;
    uint8_t value;
} UnicodeDelta;

typedef struct LowerDelta {
    uint32_t first, last;
    int32_t lower, then; /* of the first; `then` follows it unless 0 */
} LowerDelta;

#include "model/tokenizer/unicode_delta.inc"

#define BIT(c) (1u << (c))
enum {
    OTHER = BIT(UTF8PROC_CATEGORY_CC) | BIT(UTF8PROC_CATEGORY_CF) | BIT(UTF8PROC_CATEGORY_CO),
    PUNCTUATION = BIT(UTF8PROC_CATEGORY_PC) | BIT(UTF8PROC_CATEGORY_PD) |
                  BIT(UTF8PROC_CATEGORY_PS) | BIT(UTF8PROC_CATEGORY_PE) |
                  BIT(UTF8PROC_CATEGORY_PI) | BIT(UTF8PROC_CATEGORY_PF) | BIT(UTF8PROC_CATEGORY_PO),
    SEPARATOR = BIT(UTF8PROC_CATEGORY_ZS) | BIT(UTF8PROC_CATEGORY_ZL) | BIT(UTF8PROC_CATEGORY_ZP),
    LETTERS = BIT(UTF8PROC_CATEGORY_LU) | BIT(UTF8PROC_CATEGORY_LL) | BIT(UTF8PROC_CATEGORY_LT) |
              BIT(UTF8PROC_CATEGORY_LM) | BIT(UTF8PROC_CATEGORY_LO),
    NUMBERS = BIT(UTF8PROC_CATEGORY_ND) | BIT(UTF8PROC_CATEGORY_NL) | BIT(UTF8PROC_CATEGORY_NO),
    LETTER_LIKE = LETTERS | BIT(UTF8PROC_CATEGORY_MN) | BIT(UTF8PROC_CATEGORY_MC) |
                  BIT(UTF8PROC_CATEGORY_ME) | BIT(UTF8PROC_CATEGORY_ND) |
                  BIT(UTF8PROC_CATEGORY_NL) | BIT(UTF8PROC_CATEGORY_PC),
};

static bool is_ascii_symbol(uint32_t c)
{
    return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') ||
           (c >= '{' && c <= '~');
}

static bool is_hangul_syllable(uint32_t c)
{
    return c >= 0xac00 && c <= 0xd7a3;
}

static uint16_t property_of(uint32_t c, const utf8proc_property_t *p)
{
    uint32_t category = BIT(p->category);
    bool text_control = c == '\t' || c == '\n' || c == '\r';
    bool zero_width_joiner = c == 0x200c || c == 0x200d;
    uint16_t is = 0;
    is |= ((category & OTHER) && !text_control) || c == 0xfffd ? CONTROL : 0;
    is |= category & BIT(UTF8PROC_CATEGORY_MN) ? MARK : 0;
    is |= p->decomp_seqindex != UINT16_MAX || is_hangul_syllable(c) ? DECOMPOSES : 0;
    is |= (category & PUNCTUATION) || is_ascii_symbol(c) ? PUNCT : 0;
    is |= (category & SEPARATOR) || (c >= '\t' && c <= '\r') || c == 0x85 ? SPACE : 0;
    is |= (category & LETTER_LIKE) || zero_width_joiner ? WORD : 0;
    is |= category & LETTERS ? LETTER : 0;
    is |= category & NUMBERS ? NUMBER | NUMERIC : 0;
    return is;
}

static void apply(Properties *p, uint16_t property, const UnicodeDelta *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (uint32_t c = rows[i].first; c <= rows[i].last; c++)
            p->of[c] = (uint16_t)(rows[i].value ? p->of[c] | property : p->of[c] & ~property);
}

/* Of characters that decompose in later versions only: these, and what would join to become one. */
static void set_later_parts(Properties *p, UnicodeDelta d)
{
    for (uint32_t c = d.first; c <= d.last; c++) {
        int32_t parts[MAX_EXPANSION];
        utf8proc_ssize_t n = utf8proc_decompose_char((int32_t)c, parts, MAX_EXPANSION,
                                                     UTF8PROC_DECOMPOSE, &(int){0});
        p->of[c] |= LATER;
        for (utf8proc_ssize_t i = 1; i < n && n <= MAX_EXPANSION; i++)
            p->of[parts[i]] |= LATER;
    }
}

static Properties *properties_new(void)
{
    Properties *p = xmalloc(sizeof *p);
    for (uint32_t c = 0; c < CODE_POINTS; c++) {
        const utf8proc_property_t *u = utf8proc_get_property((int32_t)c);
        p->of[c] = property_of(c, u);
        p->combining[c] = (uint8_t)u->combining_class;
    }
    apply(p, CONTROL, control_delta, COUNT_OF(control_delta));
    apply(p, MARK, mark_delta, COUNT_OF(mark_delta));
    apply(p, DECOMPOSES, decomposes_delta, COUNT_OF(decomposes_delta));
    apply(p, PUNCT, punct_delta, COUNT_OF(punct_delta));
    apply(p, WORD, word_delta, COUNT_OF(word_delta));
    apply(p, LETTER, letter_delta, COUNT_OF(letter_delta));
    apply(p, NUMBER, number_delta, COUNT_OF(number_delta));
    apply(p, NUMERIC, numeric_delta, COUNT_OF(numeric_delta));
    for (size_t i = 0; i < COUNT_OF(combining_delta); i++) {
        UnicodeDelta d = combining_delta[i];
        memset(p->combining + d.first, d.value, d.last - d.first + 1);
        for (uint32_t c = d.first; c <= d.last; c++)
            p->of[c] |= LATER;
    }
    for (size_t i = 0; i < COUNT_OF(decomposes_delta); i++)
        set_later_parts(p, decomposes_delta[i]);
    for (size_t i = 0; i < COUNT_OF(lower_delta); i++)
        for (uint32_t c = lower_delta[i].first; c <= lower_delta[i].last; c++)
            p->of[c] |= LOWER;
    return p;
}

/* ---- one code point through the whole normaliser ---- */

typedef struct Expansion {
    int32_t c[MAX_EXPANSION];
    size_t count;
    bool starter; /* some part, stripped or not, is of class 0: no mark moves across */
} Expansion;

static void push(Expansion *e, int32_t c)
{
    CHECK(e->count < MAX_EXPANSION, "an expansion of more than %d code points", MAX_EXPANSION);
    e->c[e->count++] = c;
}

static void push_lower(Expansion *e, const Properties *p, int32_t c)
{
    if (!(p->of[c] & LOWER)) {
        push(e, utf8proc_tolower(c));
        return;
    }
    const LowerDelta *d = lower_delta;
    while ((uint32_t)c > d->last)
        d++;
    push(e, d->lower + c - (int32_t)d->first);
    if (d->then)
        push(e, d->then);
}

/* BERT's "Chinese characters". Extension E should begin at 2B820; the library says 2B920. */
static bool is_cjk(uint32_t c)
{
    return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) ||
           (c >= 0x20000 && c <= 0x2a6df) || (c >= 0x2a700 && c <= 0x2b81f) ||
           (c >= 0x2b920 && c <= 0x2ceaf) || (c >= 0xf900 && c <= 0xfaff) ||
           (c >= 0x2f800 && c <= 0x2fa1f);
}

/* Cleaning and CJK spacing are not in here: they look at the code point itself. */
static Expansion strip_and_lower(const Properties *p, BertOptions o, uint32_t c)
{
    int32_t parts[MAX_EXPANSION] = {(int32_t)c};
    utf8proc_ssize_t count = 1;
    Expansion e = {.count = 0};
    if (o.strip_accents && p->of[c] & DECOMPOSES)
        count = utf8proc_decompose_char((int32_t)c, parts, MAX_EXPANSION, UTF8PROC_DECOMPOSE,
                                        &(int){0});
    CHECK(count > 0 && count <= MAX_EXPANSION, "U+%04X decomposes into %td", c, count);
    for (utf8proc_ssize_t i = 0; i < count; i++) {
        e.starter |= p->combining[parts[i]] == 0;
        if (o.strip_accents && p->of[parts[i]] & MARK)
            continue;
        if (o.lowercase)
            push_lower(&e, p, parts[i]);
        else
            push(&e, parts[i]);
    }
    return e;
}

/* ---- the table ---- */

static void store_text(CharTable *t, CharInfo *info, const Expansion *e, bool isolate, size_t limit)
{
    unsigned char text[4 * MAX_EXPANSION + 2];
    size_t len = 0;
    if (isolate)
        text[len++] = ' ';
    for (size_t i = 0; i < e->count; i++)
        len += (size_t)utf8proc_encode_char(e->c[i], text + len);
    if (isolate)
        text[len++] = ' ';
    CHECK(len <= limit, "a replacement of %zu bytes", len);
    info->text = (uint32_t)t->pool.len;
    info->text_len = (uint8_t)len;
    bytes_append(&t->pool, text, len);
}

static CharInfo info_of(CharTable *t, const Properties *p, BertOptions o, uint32_t c)
{
    uint16_t is = p->of[c];
    CharInfo info = {.action = CHAR_COPY};
    info.flags = (uint8_t)((is & PUNCT ? CHAR_PUNCT : 0) | (is & SPACE ? CHAR_SPACE : 0) |
                           (is & WORD ? CHAR_WORD : 0) | (is & LETTER ? CHAR_LETTER : 0) |
                           (is & NUMBER ? CHAR_NUMBER : 0) | (is & NUMERIC ? CHAR_NUMERIC : 0) |
                           (is & LATER ? CHAR_LATER : 0));
    if (is & CONTROL) {
        info.action = CHAR_DROP;
        return info;
    }
    Expansion e = {.c = {' '}, .count = 1};
    if (!(is & SPACE))
        e = strip_and_lower(p, o, c);
    bool same = e.count == 1 && e.c[0] == (int32_t)c;
    bool cjk = o.isolate_cjk && is_cjk(c);
    info.action = !same ? CHAR_REPLACE : cjk ? CHAR_ISOLATE : CHAR_COPY;
    if (o.strip_accents) {
        info.combining = p->combining[c];
        if (e.count == 0 && !e.starter)
            info.action = CHAR_DROP;
        for (size_t i = 0; i < e.count; i++)
            if (p->combining[e.c[i]])
                info.action = CHAR_ORDERED;
    }
    if (info.action == CHAR_REPLACE || info.action == CHAR_ORDERED)
        store_text(t, &info, &e, cjk,
                   3 * (size_t)utf8proc_encode_char((int32_t)c, (uint8_t[4]){0}));
    return info;
}

/* A page equal to the one before shares it: planes of nothing, and most of CJK, take one page. */
static CharTable *build(BertOptions options)
{
    CharTable *t = xcalloc(1, sizeof *t);
    Properties *p = properties_new();
    size_t used = 0, capacity = 0;
    for (uint32_t i = 0; i < CHAR_PAGES; i++) {
        if (used == capacity) {
            capacity = capacity ? 2 * capacity : 64;
            t->pages = xrealloc(t->pages, capacity * CHAR_PAGE * sizeof *t->pages);
        }
        CharInfo *page = t->pages + used * CHAR_PAGE;
        for (uint32_t c = 0; c < CHAR_PAGE; c++)
            page[c] = info_of(t, p, options, i * CHAR_PAGE + c);
        if (used == 0 || memcmp(page, page - CHAR_PAGE, CHAR_PAGE * sizeof *page) != 0)
            used++;
        t->page[i] = (uint16_t)(used - 1);
    }
    free(p);
    return t;
}

const CharTable *char_table(BertOptions options)
{
    static CharTable *built[8];
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    CharTable **t =
        &built[options.lowercase | options.strip_accents << 1 | options.isolate_cjk << 2];
    pthread_mutex_lock(&lock);
    if (!*t)
        *t = build(options);
    pthread_mutex_unlock(&lock);
    return *t;
}
