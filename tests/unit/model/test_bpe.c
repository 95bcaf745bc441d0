/* test_bpe: merging one word, against the definition followed step by step; byte alphabet and table
 * of tokens. */
#include "model/tokenizer/bpe.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/tokenizer/byte_alphabet.h"

/* ---- the byte alphabet ---- */

Test(bpe, every_byte_has_a_character)
{
    static const struct {
        unsigned char byte, utf8[3];
    } known[] = {{'A', "A"},         {' ', "\xc4\xa0"},  {'\n', "\xc4\x8a"}, {0, "\xc4\x80"},
                 {0x7f, "\xc4\xa1"}, {0xa0, "\xc5\x82"}, {0xad, "\xc5\x83"}, {0xe9, "\xc3\xa9"}};
    ByteBuffer chars = {0}, bytes = {0};
    unsigned char all[256];
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        chars.len = 0;
        bytes_to_chars(&known[i].byte, 1, &chars);
        cr_expect(chars.len == strlen((const char *)known[i].utf8) &&
                      memcmp(chars.data, known[i].utf8, chars.len) == 0,
                  "byte %02x", known[i].byte);
    }
    for (unsigned i = 0; i < 256; i++)
        all[i] = (unsigned char)i;
    chars.len = 0;
    bytes_to_chars(all, 256, &chars);
    chars_to_bytes(chars.data, chars.len, &bytes);
    cr_expect(bytes.len == 256 && memcmp(bytes.data, all, 256) == 0, "they do not come back");
    bytes.len = 0;
    chars_to_bytes((const unsigned char *)"\xc3\xa9 x", 4, &bytes); /* a space is no character */
    cr_expect(bytes.len == 4 && memcmp(bytes.data, "\xc3\xa9 x", 4) == 0, "%.*s", (int)bytes.len,
              bytes.data);
    bytes_release(&chars);
    bytes_release(&bytes);
}

Test(bpe, table_of_tokens)
{
    TokenTable t;
    char token[16];
    token_table_init(&t);
    for (int i = 0; i < 3000; i++)
        cr_assert(token_table_add(&t, token, (size_t)sprintf(token, "t%d", i), 2 * i));
    cr_expect(!token_table_add(&t, "t5", 2, 1) && !token_table_add(&t, "new", 3, 10));
    cr_expect(token_table_add(&t, "", 0, 1) && token_table_find(&t, "", 0) == 1);
    for (int i = 0; i < 3000; i++) {
        size_t len, n = (size_t)sprintf(token, "t%d", i);
        const unsigned char *back = token_table_at(&t, 2 * i, &len);
        cr_assert(token_table_find(&t, token, n) == 2 * i && len == n &&
                  memcmp(back, token, n) == 0);
    }
    size_t len;
    cr_expect(token_table_find(&t, "t3000", 5) == -1 && !token_table_at(&t, 3, &len) &&
              !token_table_at(&t, -1, &len) && !token_table_at(&t, 6000, &len));
    token_table_release(&t);
}

/* ---- merging ---- */

enum { LETTERS = 3, MERGES = 60, LONGEST = 300 };

/* Merges of random neighbours among tokens over a, b, c; the order is not one that training gives,
 * so that a merge may make room for an earlier one. */
static void make_random(Bpe *b, unsigned *seed)
{
    char token[MERGES + LETTERS][512] = {"a", "b", "c"};
    size_t count = LETTERS;
    bpe_init(b);
    for (int i = 0; i < LETTERS; i++)
        token_table_add(&b->tokens, token[i], 1, i);
    char(*pairs)[2][512] = xcalloc(MERGES, sizeof *pairs);
    size_t num_pairs = 0;
    for (int i = 0; i < MERGES; i++) {
        const char *left = token[(unsigned)rand_r(seed) % count],
                   *right = token[(unsigned)rand_r(seed) % count];
        char both[1024];
        if (snprintf(both, sizeof both, "%s%s", left, right) > 8)
            continue;
        strcpy(pairs[num_pairs][0], left);
        strcpy(pairs[num_pairs++][1], right);
        if (token_table_add(&b->tokens, both, strlen(both), (int32_t)count))
            strcpy(token[count++], both);
    }
    for (size_t i = num_pairs; i > 0; i--) {
        Err err;
        size_t k = (unsigned)rand_r(seed) % i;
        cr_assert(bpe_add_merge(b, pairs[k][0], strlen(pairs[k][0]), pairs[k][1],
                                strlen(pairs[k][1]), &err) == 0,
                  "%s", err.msg);
        memmove(pairs + k, pairs + i - 1, sizeof *pairs);
    }
    free(pairs);
    bpe_complete(b);
}

static const BpeMerge *find_merge(const Bpe *b, int32_t left, int32_t right)
{
    for (size_t i = 0; i < (size_t)1 << b->bits; i++)
        if (b->merges[i].left == left && b->merges[i].right == right)
            return &b->merges[i];
    return NULL;
}

/* The definition. */
static size_t merge_slowly(const Bpe *b, const unsigned char *word, size_t len, int32_t *ids)
{
    for (size_t i = 0; i < len; i++)
        ids[i] = b->byte_ids[word[i]];
    while (true) {
        const BpeMerge *best = NULL;
        size_t at = 0;
        for (size_t i = 0; i + 1 < len; i++) {
            const BpeMerge *m = find_merge(b, ids[i], ids[i + 1]);
            if (m && (!best || m->rank < best->rank)) {
                best = m;
                at = i;
            }
        }
        if (!best)
            return len;
        ids[at] = best->id;
        memmove(ids + at + 1, ids + at + 2, (len - at - 2) * sizeof *ids);
        len--;
    }
}

static void expect_word(const Bpe *b, const unsigned char *word, size_t len, IdBuffer *out)
{
    int32_t want[LONGEST];
    size_t n = merge_slowly(b, word, len, want);
    for (int again = 0; again < 2; again++) { /* then as one that has been seen */
        out->count = 0;
        bpe_encode_word(b, word, len, out);
        cr_assert(out->count == n && memcmp(out->ids, want, n * sizeof *want) == 0, "'%.*s'",
                  (int)len, word);
    }
}

Test(bpe, random_merges_as_defined)
{
    unsigned seed = 7;
    IdBuffer out = {0};
    for (int table = 0; table < 20; table++) {
        Bpe b;
        make_random(&b, &seed);
        for (size_t len = 1; len <= LONGEST; len += len < 60 ? 1 : 37) {
            unsigned char word[LONGEST];
            for (size_t i = 0; i < len; i++)
                word[i] = (unsigned char)('a' + rand_r(&seed) % LETTERS);
            expect_word(&b, word, len, &out);
        }
        bpe_release(&b); /* and the next one, at the same address, must not get its words */
    }
    id_buffer_release(&out);
}

static size_t encode(const Bpe *b, const char *word, IdBuffer *out)
{
    out->count = 0;
    bpe_encode_word(b, (const unsigned char *)word, strlen(word), out);
    return out->count;
}

Test(bpe, bytes_without_a_token)
{
    Bpe b;
    IdBuffer out = {0};
    for (int how = 0; how < 3; how++) {
        bpe_init(&b);
        token_table_add(&b.tokens, "a", 1, 4);
        token_table_add(&b.tokens, "?", 1, 9);
        b.unk = how ? 9 : -1;
        b.fuse_unk = how == 2;
        bpe_complete(&b);
        static const int32_t want[3][4] = {{4, 4}, {4, 9, 9, 4}, {4, 9, 4}};
        size_t n = encode(&b, "axya", &out);
        static const size_t count[] = {2, 4, 3};
        cr_expect(n == count[how] && memcmp(out.ids, want[how], n * 4) == 0, "way %d: %zu ids", how,
                  n);
        bpe_release(&b);
    }
    id_buffer_release(&out);
}

Test(bpe, whole_words_before_merges)
{
    static const char *const names[] = {"a", "b", "ab"};
    Bpe b;
    IdBuffer out = {0};
    bpe_init(&b);
    for (int i = 0; i < 3; i++)
        token_table_add(&b.tokens, names[i], strlen(names[i]), i);
    bpe_complete(&b);
    cr_expect_eq(encode(&b, "ab", &out), 2);
    b.whole_words = true;
    cr_expect_eq(encode(&b, "ab", &out), 2, "it had been seen");
    b.serial += 1000;
    cr_expect(encode(&b, "ab", &out) == 1 && out.ids[0] == 2);
    bpe_release(&b);
    id_buffer_release(&out);
}

Test(bpe, merges_of_what_is_no_token)
{
    Bpe b;
    Err err;
    bpe_init(&b);
    token_table_add(&b.tokens, "a", 1, 0);
    cr_expect(bpe_add_merge(&b, "a", 1, "b", 1, &err) == -1 &&
                  strstr(err.msg, "'b', which is not in the vocabulary"),
              "%s", err.msg);
    cr_expect(bpe_add_merge(&b, "a", 1, "a", 1, &err) == -1 && strstr(err.msg, "'aa', which"), "%s",
              err.msg);
    bpe_release(&b);
}
