/* test_bpe_train: merges against a trainer that counts everything anew for each. */
#include "model/tokenizer/bpe_train.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS = 40, LONGEST = 12, MERGES = 30 };

/* Words of letters with a space before each but the first, and their symbols so far. */
typedef struct Slow {
    char text[WORDS][LONGEST + 1];
    char symbol[WORDS][LONGEST + 1][LONGEST + 1];
    size_t len[WORDS], count;
} Slow;

static int32_t id_of(const BpeTrained *t, const char *token)
{
    return token_table_find(&t->tokens, token, strlen(token));
}

static size_t count_pair(const Slow *s, const char *a, const char *b)
{
    size_t n = 0;
    for (size_t w = 0; w < s->count; w++)
        for (size_t i = 0; i + 1 < s->len[w]; i++)
            n += strcmp(s->symbol[w][i], a) == 0 && strcmp(s->symbol[w][i + 1], b) == 0;
    return n;
}

static void join(Slow *s, const char *a, const char *b)
{
    char left[LONGEST + 1], right[LONGEST + 1]; /* a and b may lie in s */
    strcpy(left, a);
    strcpy(right, b);
    for (size_t w = 0; w < s->count; w++)
        for (size_t i = 0; i + 1 < s->len[w]; i++)
            if (strcmp(s->symbol[w][i], left) == 0 && strcmp(s->symbol[w][i + 1], right) == 0) {
                strcat(s->symbol[w][i], right);
                memmove(s->symbol[w][i + 1], s->symbol[w][i + 2],
                        (s->len[w] - i - 2) * sizeof s->symbol[w][0]);
                s->len[w]--;
            }
}

/* The pair that the rule takes: the most frequent, then of the smallest ids. */
static size_t best_pair(const Slow *s, const BpeTrained *t, BpePair *best)
{
    size_t most = 0;
    for (size_t w = 0; w < s->count; w++)
        for (size_t i = 0; i + 1 < s->len[w]; i++) {
            const char *a = s->symbol[w][i], *b = s->symbol[w][i + 1];
            size_t n = count_pair(s, a, b);
            BpePair p = {id_of(t, a), id_of(t, b)};
            bool before = p.left < best->left || (p.left == best->left && p.right < best->right);
            if (n > most || (n == most && before)) {
                most = n;
                *best = p;
            }
        }
    return most;
}

static void check_random(unsigned *seed)
{
    Slow s = {.count = WORDS};
    ByteBuffer text = {0};
    Err err;
    BpeTrained t;
    for (size_t w = 0; w < WORDS; w++) {
        s.len[w] = 1 + (unsigned)rand_r(seed) % (LONGEST - 1);
        for (size_t i = 0; i < s.len[w]; i++) {
            s.text[w][i] = (char)('a' + rand_r(seed) % 3);
            s.symbol[w][i][0] = s.text[w][i];
        }
        bytes_append(&text, s.text[w], s.len[w]);
        bytes_append(&text, "\t", 1); /* a word of its own */
    }
    cr_assert(bpe_train(&t, (const char *)text.data, text.len, 256 + MERGES, &err) == 0);
    for (size_t k = 0; k < t.num_merges; k++) {
        size_t len;
        BpePair want = {INT32_MAX, INT32_MAX};
        best_pair(&s, &t, &want);
        cr_assert(want.left == t.merges[k].left && want.right == t.merges[k].right,
                  "merge %zu is %d %d, wanted %d %d", k, t.merges[k].left, t.merges[k].right,
                  want.left, want.right);
        char a[LONGEST + 1] = "", b[LONGEST + 1] = "";
        const unsigned char *part = token_table_at(&t.tokens, want.left, &len);
        memcpy(a, part, len);
        part = token_table_at(&t.tokens, want.right, &len);
        memcpy(b, part, len);
        join(&s, a, b);
    }
    bpe_trained_release(&t);
    bytes_release(&text);
}

Test(bpe_train, the_most_frequent_pair_first)
{
    unsigned seed = 11;
    for (int round = 0; round < 30; round++)
        check_random(&seed);
}

Test(bpe_train, bytes_come_first)
{
    Err err;
    BpeTrained t;
    cr_assert(bpe_train(&t, "aaab\xff", 5, 1000, &err) == 0);
    cr_expect(id_of(&t, "!") == 0 && id_of(&t, "~") == 93 && id_of(&t, "\u00a1") == 94 &&
              id_of(&t, "\u0120") == 220 && id_of(&t, "\u0143") == 255);
    cr_expect(id_of(&t, "aa") >= 256 && id_of(&t, "aaab") > 0, "it did not go on to the end");
    bpe_trained_release(&t);
    cr_assert(bpe_train(&t, "\n", 1, 257, &err) == 0);
    cr_expect(t.num_merges == 0 && t.tokens.count == 256);
    bpe_trained_release(&t);
}

Test(bpe_train, a_word_that_is_too_long_is_an_error)
{
    Err err;
    BpeTrained t;
    cr_assert(bpe_train_words(&t, "abcd abcd", 9, 260, 5, &err) == 0, "%s", err.msg);
    cr_expect(id_of(&t, "abcd") > 255);
    bpe_trained_release(&t);
    cr_assert(bpe_train_words(&t, "abcd abcde", 10, 260, 5, &err) == -1);
    cr_expect_str_eq(err.msg, "the text has a word of 6 bytes, more than 5");
}
