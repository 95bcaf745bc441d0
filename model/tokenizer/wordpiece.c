/* wordpiece: see wordpiece.h. */
#include "model/tokenizer/wordpiece.h"

#include "model/tokenizer/bert_normalize.h"
#include "model/tokenizer/tokenizer_json.h"
#include "model/tokenizer/wordpiece_config.h"

#include <stdlib.h>
#include <string.h>

enum {
    NUM_SPECIAL = 2,      /* the ones around a text ... */
    NUM_SPECIAL_PAIR = 3, /* ... and around two */
};

/* What a byte of normalised text means to the word splitter. */
enum ByteClass { BYTE_WORD, BYTE_SPACE, BYTE_PUNCT, BYTE_LEAD /* of a longer character */ };

struct WordPiece {
    WordPieceConfig config;
    BertNormalizer normalizer;
    uint8_t byte_class[256]; /* enum ByteClass */
    Vocab vocab;
    int32_t unk, cls, sep, pad;
    int32_t num_ids;
    AddedMatcher raw, normal; /* added tokens found before, after normalisation */
};

/* ---- encoding ---- */

static void encode_pieces(const WordPiece *w, const unsigned char *word, size_t len, IdBuffer *out)
{
    size_t first = out->count;
    bool known = len <= WORDPIECE_MAX_CHARS || utf8_count(word, len) <= WORDPIECE_MAX_CHARS;
    for (size_t at = 0, n; known && at < len; at += n) {
        int32_t id;
        n = vocab_longest(&w->vocab, at > 0, word + at, len - at, &id);
        known = n > 0;
        if (known)
            push_id(out, id);
    }
    if (!known) {
        out->count = first;
        push_id(out, w->unk);
    }
}

static inline void encode_word(const WordPiece *w, const unsigned char *word, size_t len,
                               IdBuffer *out)
{
    int32_t id = vocab_word(&w->vocab, word, len);
    if (id >= 0)
        push_id(out, id);
    else
        encode_pieces(w, word, len, out);
}

/* Whether the character at p, of *n bytes, ends a word: a space, which is the only white space of
 * normalised text, or punctuation. */
static inline bool ends_word(const WordPiece *w, const unsigned char *p, size_t *n)
{
    uint8_t class = w->byte_class[*p];
    *n = 1;
    if (class != BYTE_LEAD)
        return class != BYTE_WORD;
    uint32_t c;
    *n = utf8_decode(p, &c);
    return char_info(w->normalizer.chars, c)->flags & CHAR_PUNCT;
}

/* Normalised text without added tokens. Punctuation is a word by itself. */
static void encode_words(const void *tokenizer, const unsigned char *text, size_t len,
                         IdBuffer *out)
{
    const WordPiece *w = tokenizer;
    const unsigned char *p = text, *end = text + len;
    while (p < end) {
        const unsigned char *word = p;
        bool ended = false;
        size_t n;
        while (p < end && !(ended = ends_word(w, p, &n)))
            p += n;
        if (p > word)
            encode_word(w, word, (size_t)(p - word), out);
        if (ended && *p != ' ')
            encode_word(w, p, n, out);
        if (ended)
            p += n;
    }
}

static void encode_part(const void *tokenizer, const unsigned char *text, size_t len, IdBuffer *out)
{
    const WordPiece *w = tokenizer;
    out->normal.len = 0;
    bert_normalize(&w->normalizer, text, len, &out->normal);
    encode_around(&w->normal, out->normal.data, out->normal.len, encode_words, w, out);
}

/* Keeps `limit` of the `count` ids from `first` on. */
static void truncate_ids(const WordPiece *w, IdBuffer *out, size_t first, size_t count,
                         size_t limit)
{
    id_buffer_truncate(out, first, count, limit, w->config.truncate_left);
}

/* Appends the ids of a text of any bytes, without special ones around it; returns how many. */
static size_t encode_text(const WordPiece *w, WordText text, IdBuffer *out)
{
    size_t before = out->count;
    text = id_buffer_repair(out, text);
    encode_around(&w->raw, (const unsigned char *)text.at, text.len, encode_part, w, out);
    return out->count - before;
}

size_t wordpiece_encode(const WordPiece *w, const char *text, size_t len, size_t max_length,
                        IdBuffer *out)
{
    CHECK(max_length == 0 || max_length >= NUM_SPECIAL, "max_length %zu", max_length);
    size_t first = out->count;
    push_id(out, w->cls);
    size_t count = encode_text(w, (WordText){text, len}, out);
    if (max_length)
        truncate_ids(w, out, first + 1, count, max_length - NUM_SPECIAL);
    push_id(out, w->sep);
    return out->count - first;
}

/* Lowers the numbers of ids of two texts until they are `limit` together, the longer one first, as
 * the library's longest_first does. */
static void share_limit(size_t *a, size_t *b, size_t limit)
{
    size_t *shorter = *a > *b ? b : a, *longer = *a > *b ? a : b;
    if (*a + *b <= limit)
        return;
    if (2 * *shorter > limit)
        *shorter = limit / 2;
    *longer = limit - *shorter;
}

size_t wordpiece_encode_pair(const WordPiece *w, WordText a, WordText b, size_t max_length,
                             IdBuffer *out, size_t *second)
{
    CHECK(max_length == 0 || max_length >= NUM_SPECIAL_PAIR, "max_length %zu", max_length);
    size_t first = out->count;
    push_id(out, w->cls);
    size_t of_a = encode_text(w, a, out), keep_a = of_a;
    push_id(out, w->sep);
    size_t of_b = encode_text(w, b, out), keep_b = of_b;
    if (max_length)
        share_limit(&keep_a, &keep_b, max_length - NUM_SPECIAL_PAIR);
    truncate_ids(w, out, first + of_a + 2, of_b, keep_b);
    truncate_ids(w, out, first + 1, of_a, keep_a);
    push_id(out, w->sep);
    *second = keep_a + 2;
    return out->count - first;
}

size_t wordpiece_num_ids(const WordPiece *w)
{
    return (size_t)w->num_ids;
}

/* ---- loading ---- */

/* The id of a token in the vocabulary, or among the first `count` added ones, -1 if it is in
 * neither. */
static int32_t token_id(const WordPiece *w, const char *token, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(w->config.added[i].content, token) == 0)
            return w->config.added[i].id;
    return vocab_id(&w->vocab, token);
}

static int missing(const char *vocab_path, const char *token, const char *role, Err *err)
{
    return err_set(err, "%s: '%.200s', %s, is missing", vocab_path, token, role);
}

static int set_ids(WordPiece *w, const char *vocab_path, Err *err)
{
    WordPieceConfig *c = &w->config;
    w->num_ids = w->vocab.num_ids;
    for (size_t i = 0; i < c->num_added; i++) {
        AddedToken *t = &c->added[i];
        t->id = vocab_id(&w->vocab, t->content);
        if (t->id >= 0)
            continue;
        if (w->vocab.has_gaps) /* the library would give it the id of a gap */
            return err_set(err, "%s: '%.200s' is missing, and so are tokens of smaller ids",
                           vocab_path, t->content);
        t->id = w->num_ids++;
    }
    w->unk = vocab_id(&w->vocab, c->unk);
    w->cls = token_id(w, c->cls, c->num_listed);
    w->sep = token_id(w, c->sep, c->num_listed);
    w->pad = c->pad ? token_id(w, c->pad, c->num_added) : -1;
    if (w->unk < 0)
        return missing(vocab_path, c->unk, "the unknown token", err);
    if (w->cls < 0)
        return missing(vocab_path, c->cls, "the first token of a text", err);
    if (w->sep < 0)
        return missing(vocab_path, c->sep, "the last token of a text", err);
    return 0;
}

static int init_matchers(WordPiece *w, Err *err)
{
    WordPieceConfig *c = &w->config;
    const CharTable *chars = w->normalizer.chars;
    added_matcher_init(&w->raw, c->added, chars, c->split_special);
    added_matcher_init(&w->normal, c->added, chars, c->split_special);
    ByteBuffer pattern = {0};
    int rc = 0;
    for (size_t i = 0; i < c->num_added && rc == 0; i++) {
        const unsigned char *content = (const unsigned char *)c->added[i].content;
        size_t len = strlen(c->added[i].content);
        pattern.len = 0;
        if (c->added[i].normalized)
            bert_normalize(&w->normalizer, content, len, &pattern);
        else
            bytes_append(&pattern, content, len);
        rc = added_matcher_add(c->added[i].normalized ? &w->normal : &w->raw, i, pattern.data,
                               pattern.len, err);
    }
    bytes_release(&pattern);
    return rc;
}

static void init_normalizer(WordPiece *w)
{
    bert_normalizer_init(&w->normalizer, w->config.normalizer);
    for (unsigned byte = 0; byte < 256; byte++) {
        bool punct = char_info(w->normalizer.chars, byte)->flags & CHAR_PUNCT;
        w->byte_class[byte] = byte >= 0x80  ? BYTE_LEAD
                              : byte == ' ' ? BYTE_SPACE
                              : punct       ? BYTE_PUNCT
                                            : BYTE_WORD;
    }
}

static int load_vocab(WordPiece *w, const char *model_dir, const json_t *tokenizer, Err *err)
{
    const WordPieceConfig *c = &w->config;
    bool is_json = json_object_get(tokenizer, "model");
    char *path = xasprintf("%s/%s", model_dir, is_json ? "tokenizer.json" : "vocab.txt");
    int rc = is_json ? tokenizer_json_vocab(&w->vocab, tokenizer, c->cls, c->sep, path, err)
                     : vocab_load(&w->vocab, path, err);
    if (rc == 0)
        rc = set_ids(w, path, err);
    free(path);
    return rc;
}

WordPiece *wordpiece_load(const char *model_dir, Err *err)
{
    WordPiece *w = xcalloc(1, sizeof *w);
    json_t *tokenizer = tokenizer_json_open(model_dir, err);
    int rc = -1;
    if (tokenizer && wordpiece_config_load(&w->config, model_dir, tokenizer, err) == 0 &&
        load_vocab(w, model_dir, tokenizer, err) == 0) {
        init_normalizer(w);
        rc = init_matchers(w, err);
        if (rc != 0)
            err_prefix(err, "%s", model_dir);
    }
    json_decref(tokenizer);
    if (rc == 0)
        return w;
    wordpiece_free(w);
    return NULL;
}

void wordpiece_free(WordPiece *w)
{
    if (!w)
        return;
    added_matcher_release(&w->raw);
    added_matcher_release(&w->normal);
    vocab_release(&w->vocab);
    wordpiece_config_release(&w->config);
    free(w);
}

/* ---- batches ---- */

static void put_row(const WordPiece *w, const int32_t *ids, size_t count, size_t length,
                    int32_t *row, int32_t *mask)
{
    size_t first = w->config.pad_left ? length - count : 0;
    for (size_t i = 0; i < length; i++) {
        bool padding = i < first || i >= first + count;
        row[i] = padding ? w->pad : ids[i - first];
        mask[i] = !padding;
    }
}

int wordpiece_encode_batch(const WordPiece *w, const char *const *texts, const size_t *lens,
                           size_t batch, size_t max_length, TokenBatch *out, Err *err)
{
    if (w->pad < 0)
        return err_set(err, "the tokenizer has no pad token");
    IdBuffer *each = &out->each;
    size_t *ends = xmalloc((batch + 1) * sizeof *ends);
    each->count = 0;
    out->batch = batch;
    out->length = 0;
    for (size_t i = 0; i < batch; i++) {
        size_t n = wordpiece_encode(w, texts[i], lens[i], max_length, each);
        out->length = n > out->length ? n : out->length;
        ends[i] = each->count;
    }
    if (batch * out->length > out->capacity) {
        out->capacity = batch * out->length;
        out->ids = xrealloc(out->ids, out->capacity * sizeof *out->ids);
        out->mask = xrealloc(out->mask, out->capacity * sizeof *out->mask);
    }
    for (size_t i = 0, start = 0; i < batch; start = ends[i++])
        put_row(w, each->ids + start, ends[i] - start, out->length, out->ids + i * out->length,
                out->mask + i * out->length);
    free(ends);
    return 0;
}

void token_batch_release(TokenBatch *b)
{
    free(b->ids);
    free(b->mask);
    id_buffer_release(&b->each);
    *b = (TokenBatch){0};
}
