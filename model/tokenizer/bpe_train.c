/* bpe_train: see bpe_train.h. */
#include "model/tokenizer/bpe_train.h"

#include <stdlib.h>
#include <string.h>

#include "model/tokenizer/byte_alphabet.h"
#include "model/tokenizer/pre_tokenizer.h"

enum { FIRST_BITS = 12, BYTES = 256 };

/* A word that occurs: its symbols are ids of tokens. */
typedef struct Word {
    size_t at; /* in Trainer.symbols */
    uint32_t len;
    int64_t count;
} Word;

/* The words in which a pair has newly arisen. */
typedef struct Places {
    uint32_t *words;
    size_t count, capacity;
} Places;

typedef struct PairSlot {
    uint64_t pair; /* left << 32 | right; NO_PAIR: free */
    int64_t count;
    int32_t fresh; /* index of Trainer.fresh, -1: none */
} PairSlot;

#define NO_PAIR UINT64_MAX

/* A pair that may be merged next; its count may be out of date. */
typedef struct Candidate {
    int64_t count;
    uint64_t pair;
    Places places;
} Candidate;

typedef struct Trainer {
    TokenTable names; /* of words: ids are indices */
    Word *words;
    size_t num_words, word_capacity;
    bool too_many; /* more different words than there is room for */
    size_t max_word;
    size_t too_long; /* bytes of a word longer than that; 0: none */
    int32_t *symbols;
    PairSlot *pairs;
    size_t num_pairs;
    unsigned bits;
    Candidate *heap;
    size_t heap_count, heap_capacity;
    Candidate *fresh; /* pairs of the present merge */
    size_t num_fresh, fresh_capacity;
} Trainer;

/* ---- words ---- */

static void count_word(Trainer *t, const unsigned char *word, size_t len)
{
    if (len > t->max_word) {
        t->too_long = len;
        return;
    }
    int32_t i = token_table_find(&t->names, word, len);
    if (i >= 0) {
        t->words[i].count++;
        return;
    }
    if (t->num_words == TOKEN_MAX_IDS) {
        t->too_many = true;
        return;
    }
    i = (int32_t)t->num_words++;
    token_table_add(&t->names, word, len, i);
    if (t->num_words > t->word_capacity) {
        t->word_capacity = 2 * t->num_words;
        t->words = xrealloc(t->words, t->word_capacity * sizeof *t->words);
    }
    t->words[i] = (Word){.len = (uint32_t)len, .count = 1};
}

static void count_line(Trainer *t, const PreTokenizer *p, const unsigned char *line, size_t len)
{
    for (size_t at = 0, n; at < len; at += n) {
        n = pre_tokenizer_word(p, line + at, len - at);
        count_word(t, line + at, n);
    }
}

static void count_text(Trainer *t, const unsigned char *text, size_t len)
{
    PreTokenizer p;
    pre_tokenizer_init(&p);
    for (size_t at = 0, next; at < len; at = next) {
        const unsigned char *end = memchr(text + at, '\n', len - at);
        next = end ? (size_t)(end - text) + 1 : len;
        count_line(t, &p, text + at, next - at);
    }
}

/* The bytes become the ids of their tokens. */
static void make_symbols(Trainer *t, const int32_t byte_ids[BYTES])
{
    t->symbols = xmalloc((t->names.pool.len + 1) * sizeof *t->symbols);
    for (size_t i = 0; i < t->names.pool.len; i++)
        t->symbols[i] = byte_ids[t->names.pool.data[i]];
    for (size_t i = 0; i < t->num_words; i++)
        t->words[i].at = t->names.entries[i].at;
}

/* ---- pairs ---- */

static PairSlot *pair_slot(const Trainer *t, uint64_t pair)
{
    size_t mask = ((size_t)1 << t->bits) - 1;
    size_t i = (pair * 0x9e3779b97f4a7c15u) >> (64 - t->bits);
    while (t->pairs[i].pair != NO_PAIR && t->pairs[i].pair != pair)
        i = (i + 1) & mask;
    return &t->pairs[i];
}

static void make_pairs(Trainer *t, unsigned bits)
{
    t->bits = bits;
    t->pairs = xmalloc(sizeof *t->pairs << bits);
    for (size_t i = 0; i < (size_t)1 << bits; i++)
        t->pairs[i] = (PairSlot){NO_PAIR, 0, -1};
}

static PairSlot *find_pair(Trainer *t, uint64_t pair)
{
    PairSlot *slot = pair_slot(t, pair);
    if (slot->pair == pair)
        return slot;
    if (2 * ++t->num_pairs > (size_t)1 << t->bits) {
        PairSlot *old = t->pairs;
        size_t count = (size_t)1 << t->bits;
        make_pairs(t, t->bits + 1);
        for (size_t i = 0; i < count; i++)
            if (old[i].pair != NO_PAIR)
                *pair_slot(t, old[i].pair) = old[i];
        free(old);
        slot = pair_slot(t, pair);
    }
    *slot = (PairSlot){pair, 0, -1};
    return slot;
}

static void add_place(Places *p, uint32_t word)
{
    if (p->count > 0 && p->words[p->count - 1] == word)
        return;
    if (p->count == p->capacity) {
        p->capacity = p->capacity ? 2 * p->capacity : 4;
        p->words = xrealloc(p->words, p->capacity * sizeof *p->words);
    }
    p->words[p->count++] = word;
}

/* `by` more of this pair in a word, once for each time that the word occurs. */
static void change_pair(Trainer *t, int32_t left, int32_t right, uint32_t word, int by)
{
    PairSlot *slot = find_pair(t, (uint64_t)left << 32 | (uint32_t)right);
    slot->count += by * t->words[word].count;
    if (by < 0)
        return;
    if (slot->fresh < 0) {
        if (t->num_fresh == t->fresh_capacity) {
            t->fresh_capacity = t->fresh_capacity ? 2 * t->fresh_capacity : 256;
            t->fresh = xrealloc(t->fresh, t->fresh_capacity * sizeof *t->fresh);
        }
        slot->fresh = (int32_t)t->num_fresh;
        t->fresh[t->num_fresh++] = (Candidate){.pair = slot->pair};
    }
    add_place(&t->fresh[slot->fresh].places, word);
}

/* ---- candidates: a heap, the most frequent first, then the smallest pair ---- */

static bool is_before(const Candidate *a, const Candidate *b)
{
    return a->count != b->count ? a->count > b->count : a->pair < b->pair;
}

static void heap_push(Trainer *t, Candidate c)
{
    if (t->heap_count == t->heap_capacity) {
        t->heap_capacity = t->heap_capacity ? 2 * t->heap_capacity : 1024;
        t->heap = xrealloc(t->heap, t->heap_capacity * sizeof *t->heap);
    }
    size_t i = t->heap_count++;
    for (; i > 0 && is_before(&c, &t->heap[(i - 1) / 2]); i = (i - 1) / 2)
        t->heap[i] = t->heap[(i - 1) / 2];
    t->heap[i] = c;
}

static Candidate heap_pop(Trainer *t)
{
    Candidate top = t->heap[0], last = t->heap[--t->heap_count];
    size_t i = 0, child;
    while ((child = 2 * i + 1) < t->heap_count) {
        child += child + 1 < t->heap_count && is_before(&t->heap[child + 1], &t->heap[child]);
        if (!is_before(&t->heap[child], &last))
            break;
        t->heap[i] = t->heap[child];
        i = child;
    }
    if (t->heap_count > 0)
        t->heap[i] = last;
    return top;
}

/* What has newly arisen and still occurs becomes a candidate. */
static void push_fresh(Trainer *t)
{
    for (size_t i = 0; i < t->num_fresh; i++) {
        PairSlot *slot = pair_slot(t, t->fresh[i].pair);
        slot->fresh = -1;
        t->fresh[i].count = slot->count;
        if (slot->count > 0)
            heap_push(t, t->fresh[i]);
        else
            free(t->fresh[i].places.words);
    }
    t->num_fresh = 0;
}

static void count_pairs(Trainer *t)
{
    for (size_t i = 0; i < t->num_words; i++) {
        const int32_t *s = t->symbols + t->words[i].at;
        for (uint32_t k = 0; k + 1 < t->words[i].len; k++)
            change_pair(t, s[k], s[k + 1], (uint32_t)i, 1);
    }
    push_fresh(t);
}

/* ---- merging ---- */

static void merge_in_word(Trainer *t, uint32_t word, BpePair p, int32_t id)
{
    Word *w = &t->words[word];
    int32_t *s = t->symbols + w->at;
    uint32_t to = 0;
    for (uint32_t from = 0; from < w->len; to++) {
        if (s[from] != p.left || from + 1 == w->len || s[from + 1] != p.right) {
            s[to] = s[from++];
            continue;
        }
        if (to > 0) {
            change_pair(t, s[to - 1], p.left, word, -1);
            change_pair(t, s[to - 1], id, word, 1);
        }
        if (from + 2 < w->len) {
            change_pair(t, p.right, s[from + 2], word, -1);
            change_pair(t, id, s[from + 2], word, 1);
        }
        s[to] = id;
        from += 2;
    }
    w->len = to;
}

/* The id of what two tokens make: a new one, unless other tokens make the same. */
static int32_t joined_id(BpeTrained *out, BpePair p)
{
    ByteBuffer both = {0};
    size_t len;
    const unsigned char *part = token_table_at(&out->tokens, p.left, &len);
    bytes_append(&both, part, len);
    part = token_table_at(&out->tokens, p.right, &len);
    bytes_append(&both, part, len);
    int32_t id = token_table_find(&out->tokens, both.data, both.len);
    if (id < 0) {
        id = (int32_t)out->tokens.num_ids;
        token_table_add(&out->tokens, both.data, both.len, id);
    }
    bytes_release(&both);
    return id;
}

static void merge(Trainer *t, BpeTrained *out, const Candidate *top)
{
    BpePair p = {(int32_t)(top->pair >> 32), (int32_t)(uint32_t)top->pair};
    int32_t id = joined_id(out, p);
    if (out->num_merges == out->capacity) {
        out->capacity = out->capacity ? 2 * out->capacity : 256;
        out->merges = xrealloc(out->merges, out->capacity * sizeof *out->merges);
    }
    out->merges[out->num_merges++] = p;
    for (size_t i = 0; i < top->places.count; i++)
        merge_in_word(t, top->places.words[i], p, id);
    push_fresh(t);
}

static void merge_until(Trainer *t, BpeTrained *out, size_t vocab)
{
    while (out->tokens.count < vocab && t->heap_count > 0) {
        Candidate top = heap_pop(t);
        int64_t now = pair_slot(t, top.pair)->count;
        if (now < 1) {
            free(top.places.words);
        } else if (now != top.count) {
            top.count = now;
            heap_push(t, top);
        } else {
            merge(t, out, &top);
            free(top.places.words);
        }
    }
}

/* In the order of their characters, as UTF-8 sorts too. */
static void add_bytes(TokenTable *tokens, int32_t byte_ids[BYTES])
{
    unsigned char chars[BYTES][2];
    size_t len[BYTES], place;
    for (unsigned b = 0; b < BYTES; b++)
        len[b] = byte_to_char((unsigned char)b, chars[b]);
    for (unsigned b = 0; b < BYTES; b++) {
        place = 0;
        for (unsigned other = 0; other < BYTES; other++)
            place += len[other] != len[b] ? len[other] < len[b]
                                          : memcmp(chars[other], chars[b], len[b]) < 0;
        token_table_add(tokens, chars[b], len[b], (int32_t)place);
        byte_ids[b] = (int32_t)place;
    }
}

void bpe_trained_release(BpeTrained *t)
{
    token_table_release(&t->tokens);
    free(t->merges);
    *t = (BpeTrained){0};
}

int bpe_train(BpeTrained *out, const char *text, size_t len, size_t vocab, Err *err)
{
    return bpe_train_words(out, text, len, vocab, BPE_TRAIN_MAX_WORD, err);
}

int bpe_train_words(BpeTrained *out, const char *text, size_t len, size_t vocab, size_t max_word,
                    Err *err)
{
    int32_t byte_ids[BYTES];
    Trainer t = {.max_word = max_word};
    ByteBuffer repaired = {0};
    CHECK(vocab >= BPE_TRAIN_LEAST && vocab <= TOKEN_MAX_IDS, "%zu tokens", vocab);
    *out = (BpeTrained){0};
    token_table_init(&out->tokens);
    token_table_init(&t.names);
    make_pairs(&t, FIRST_BITS);
    if (utf8_valid_prefix(text, len) < len) {
        utf8_repair(&repaired, text, len);
        text = (const char *)repaired.data;
        len = repaired.len;
    }
    add_bytes(&out->tokens, byte_ids);
    count_text(&t, (const unsigned char *)text, len);
    if (!t.too_many && !t.too_long) {
        make_symbols(&t, byte_ids);
        count_pairs(&t);
        merge_until(&t, out, vocab);
    }
    for (size_t i = 0; i < t.heap_count; i++)
        free(t.heap[i].places.words);
    token_table_release(&t.names);
    bytes_release(&repaired);
    free(t.words);
    free(t.symbols);
    free(t.pairs);
    free(t.heap);
    free(t.fresh);
    if (!t.too_many && !t.too_long)
        return 0;
    bpe_trained_release(out);
    if (t.too_long)
        return err_set(err, "the text has a word of %zu bytes, more than %zu", t.too_long,
                       max_word);
    return err_set(err, "the text has more than %d different words", TOKEN_MAX_IDS);
}
