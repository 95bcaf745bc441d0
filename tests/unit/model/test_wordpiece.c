/* The WordPiece tokenizer: pieces, normalisation, added tokens, truncation, padding, bad files. */
#include "model/tokenizer/bert_normalize.h"
#include "model/tokenizer/wordpiece.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utf8proc.h>

#include "tests/support/temp_dir.h"

TestSuite(wordpiece, .init = temp_dir_make, .fini = temp_dir_remove);

#define SPECIAL "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n"
static const char vocab[] = SPECIAL
    "un\n##aff\n##able\n##a\naffable\nhello\nworld\n,\n!\n#\ncafe\ncaf\xc3\xa9\na\nb\n##b\ni\n"
    "\xe4\xb8\xad\n\xe6\x96\x87\nA\nnew\n##n\n[\n]\nmask\n##"
    "\xcc\x87\n";

/* A tokenizer of the small vocabulary above with this tokenizer_config.json, or none. */
static WordPiece *load(const char *config)
{
    Err err = {""};
    temp_write("vocab.txt", vocab);
    if (config)
        temp_write("tokenizer_config.json", config);
    WordPiece *w = wordpiece_load(temp_dir, &err);
    cr_assert(w, "%s", err.msg);
    return w;
}

/* Line number of a token in the vocabulary; new tokens are written as numbers. */
static int32_t id_of(const char *token)
{
    int32_t id = 0;
    size_t n = strlen(token);
    for (const char *line = vocab; *line; line = strchr(line, '\n') + 1, id++)
        if (strncmp(line, token, n) == 0 && line[n] == '\n')
            return id;
    return atoi(token);
}

static void expect_ids(const WordPiece *w, const char *text, size_t len, size_t max_length,
                       const char *tokens)
{
    IdBuffer ids = {0};
    wordpiece_encode(w, text, len, max_length, &ids);
    char *list = xstrdup(tokens), *rest = list, *token;
    size_t n = 0;
    while ((token = strsep(&rest, " "))) {
        cr_expect(n < ids.count && ids.ids[n] == id_of(token), "'%s': id %zu is %d, not %s", text,
                  n, n < ids.count ? ids.ids[n] : -1, token);
        n++;
    }
    cr_expect_eq(ids.count, n, "'%s' has %zu ids, not %zu", text, ids.count, n);
    free(list);
    id_buffer_release(&ids);
}

static void expect(const WordPiece *w, const char *text, const char *tokens)
{
    expect_ids(w, text, strlen(text), 0, tokens);
}

Test(wordpiece, takes_the_longest_piece_first)
{
    WordPiece *w = load(NULL);
    expect(w, "", "[CLS] [SEP]");
    expect(w, "Hello, WORLD!", "[CLS] hello , world ! [SEP]");
    expect(w, "unaffable affable", "[CLS] un ##aff ##able affable [SEP]");
    expect(w, "unaffableb una", "[CLS] un ##aff ##able ##b un ##a [SEP]");
    wordpiece_free(w);
}

Test(wordpiece, a_word_with_an_unknown_piece_is_unknown)
{
    WordPiece *w = load(NULL);
    expect(w, "unaffablex x hello", "[CLS] [UNK] [UNK] hello [SEP]");
    expect(w, "##able #", "[CLS] # # [UNK] # [SEP]");
    wordpiece_free(w);
}

Test(wordpiece, words_have_at_most_100_characters)
{
    WordPiece *w = load("{\"strip_accents\": false}");
    char text[512] = "a";
    for (int i = 1; i < 100; i++)
        strcat(text, "\xcc\x87"); /* U+0307: two bytes, one character */
    IdBuffer ids = {0};
    cr_expect_eq(wordpiece_encode(w, text, strlen(text), 0, &ids), 102);
    strcat(text, "a");
    ids.count = 0;
    cr_expect_eq(wordpiece_encode(w, text, strlen(text), 0, &ids), 3);
    cr_expect_eq(ids.ids[1], id_of("[UNK]"));
    id_buffer_release(&ids);
    wordpiece_free(w);
}

Test(wordpiece, normalises_as_the_config_says)
{
    static const char cafe[] = "CAF\xc3\x89 \xc4\xb0 A";
    static const char cjk[] = "\xe4\xb8\xad\xe6\x96\x87 a\xe4\xb8\xad";
    WordPiece *w = load(NULL);
    expect(w, cafe, "[CLS] cafe i a [SEP]");
    expect(w, cjk, "[CLS] \xe4\xb8\xad \xe6\x96\x87 a \xe4\xb8\xad [SEP]");
    expect_ids(w,
               "a\0b\ta\xc2\xa0"
               "b\x01\r",
               9, 0, "[CLS] a ##b a b [SEP]");
    wordpiece_free(w);
    w = load("{\"strip_accents\": false, \"tokenize_chinese_chars\": false}");
    expect(w, cafe, "[CLS] caf\xc3\xa9 i ##\xcc\x87 a [SEP]");
    expect(w, cjk, "[CLS] [UNK] [UNK] [SEP]");
    wordpiece_free(w);
    w = load("{\"do_lower_case\": false, \"strip_accents\": null}");
    expect(w, "caf\xc3\xa9 A Hello", "[CLS] caf\xc3\xa9 A [UNK] [SEP]");
    wordpiece_free(w);
    w = load("{\"do_lower_case\": false, \"strip_accents\": true}");
    expect(w, "caf\xc3\xa9 A", "[CLS] cafe A [SEP]");
    wordpiece_free(w);
}

/* Every code point under every combination of options, against hashes of what the Hugging Face
 * library makes of them (tests/parity/make_unicode_delta.py). */
Test(wordpiece, all_code_points_normalise_as_in_the_library)
{
    FILE *f = fopen("tests/golden/bert_normalize.txt", "r");
    cr_assert(f);
    int lower, strip, cjk, lines = 0;
    unsigned long want;
    while (fscanf(f, "lowercase %d strip_accents %d tokenize_chinese_chars %d %lx\n", &lower,
                  &strip, &cjk, &want) == 4) {
        BertNormalizer n;
        ByteBuffer out = {0};
        uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */
        bert_normalizer_init(&n, (BertOptions){lower, strip, cjk});
        for (int32_t c = 0; c < 0x110000; c++) {
            unsigned char utf8[4];
            if (c >= 0xd800 && c <= 0xdfff)
                continue;
            out.len = 0;
            bert_normalize(&n, utf8, (size_t)utf8proc_encode_char(c, utf8), &out);
            bytes_append(&out, "\n", 1);
            for (size_t i = 0; i < out.len; i++)
                hash = (hash ^ out.data[i]) * 0x100000001b3u;
        }
        cr_expect_eq(hash, want, "lowercase %d strip %d cjk %d with utf8proc %s", lower, strip, cjk,
                     utf8proc_version());
        bytes_release(&out);
        lines++;
    }
    fclose(f);
    cr_expect_eq(lines, 8);
}

static void expect_normal(const BertNormalizer *n, const char *text, const char *want)
{
    ByteBuffer out = {0};
    bert_normalize(n, (const unsigned char *)text, strlen(text), &out);
    cr_expect(out.len == strlen(want) && memcmp(out.data, want, out.len) == 0, "%s: %.*s", text,
              (int)out.len, out.data);
    bytes_release(&out);
}

#define CLASS_9   "\xe1\xad\x84"     /* U+1B44, a mark that is not stripped */
#define CLASS_224 "\xe3\x80\xae"     /* U+302E, another */
#define CLASS_226 "\xf0\x9d\x85\xad" /* U+1D16D, another */

Test(wordpiece, marks_that_stay_are_put_in_canonical_order)
{
    BertNormalizer n;
    bert_normalizer_init(&n, (BertOptions){.lowercase = true, .strip_accents = true});
    expect_normal(&n, "A" CLASS_226 CLASS_224 CLASS_9, "a" CLASS_9 CLASS_224 CLASS_226);
    expect_normal(&n, CLASS_224 "B" CLASS_9, CLASS_224 "b" CLASS_9);
    /* a stripped mark (U+0301) and a removed control (U+200D) are no obstacle ... */
    expect_normal(&n, CLASS_224 "\xcc\x81\xe2\x80\x8d" CLASS_9, CLASS_9 CLASS_224);
    /* ... but a mark of class 0 is, though it is stripped (U+034F) */
    expect_normal(&n, CLASS_224 "\xcd\x8f" CLASS_9, CLASS_224 CLASS_9);
    /* U+1D15E decomposes into a base and a mark of class 216 */
    expect_normal(&n, "\xf0\x9d\x85\x9e" CLASS_9, "\xf0\x9d\x85\x97" CLASS_9 "\xf0\x9d\x85\xa5");
}

Test(wordpiece, a_million_marks_take_no_quadratic_time, .timeout = 20)
{
    enum { PAIRS = 1 << 20 };
    BertNormalizer n;
    bert_normalizer_init(&n, (BertOptions){.strip_accents = true});
    ByteBuffer text = {0}, out = {0};
    for (int i = 0; i < PAIRS; i++)
        bytes_append(&text, CLASS_226 CLASS_9, 7);
    bert_normalize(&n, text.data, text.len, &out);
    cr_expect_eq(out.len, text.len);
    cr_expect_eq(memcmp(out.data + 3 * (PAIRS - 1), CLASS_9 CLASS_226, 7), 0);
    bytes_release(&text);
    bytes_release(&out);
}

Test(wordpiece, special_tokens_are_found_in_the_text)
{
    WordPiece *w = load(NULL);
    expect(w, "a[MASK]b [CLS]", "[CLS] a [MASK] b [CLS] [SEP]");
    expect(w, "[mask] [MASK", "[CLS] [ mask ] [ mask [SEP]");
    wordpiece_free(w);
    w = load("{\"split_special_tokens\": true}");
    expect(w, "[MASK]", "[CLS] [ mask ] [SEP]");
    wordpiece_free(w);
    w = load("{\"never_split\": [\"unaffable\"]}"); /* which the library's fast tokenizers ignore */
    expect(w, "unaffable", "[CLS] un ##aff ##able [SEP]");
    wordpiece_free(w);
}

Test(wordpiece, added_tokens_have_their_matching_rules)
{
    size_t lines = 0;
    for (const char *p = vocab; *p; p++)
        lines += *p == '\n';
    cr_assert_eq(lines, 30); /* the first new id */
    WordPiece *w =
        load("{\"added_tokens_decoder\": {"
             "\"7\": {\"content\": \"New\", \"normalized\": true, \"single_word\": true},"
             "\"50\": {\"content\": \"<r>\", \"rstrip\": true},"
             "\"40\": {\"content\": \"<l>\", \"lstrip\": true, \"special\": true}},"
             "\"extra_special_tokens\": [\"<e>\", \"<e>b\"]}");
    expect(w, "a <l> <r> b", "[CLS] a 31 32 b [SEP]");
    expect(w, "NEW newn New!", "[CLS] 30 new ##n 30 ! [SEP]");
    expect(w, "<e>b<e>a<E>", "[CLS] 34 33 a [UNK] [UNK] [UNK] [SEP]");
    cr_expect_eq(wordpiece_num_ids(w), 35);
    wordpiece_free(w);
}

Test(wordpiece, older_files_are_read_where_there_is_no_decoder)
{
    static const char added[] = "{\"zz\": 90, \"yy\": 80}";
    static const char map[] = "{\"cls_token\": \"hello\", \"mask_token\": {\"content\": \"mask\"}}";
    static const char fast[] = "{\"added_tokens\": [{\"id\": 85, \"content\": \"xx\"}],"
                               " \"truncation\": {\"max_length\": 2}}";
    temp_write("added_tokens.json", added);
    temp_write("special_tokens_map.json", map);
    temp_write("tokenizer.json", fast);
    WordPiece *w = load(NULL);
    expect(w, "a YY xx zz unmask", "hello a 30 31 32 un mask [SEP]");
    wordpiece_free(w);
    w = load("{\"added_tokens_decoder\": {}}");
    expect(w, "a yy", "[CLS] a [UNK] [SEP]");
    wordpiece_free(w);
}

Test(wordpiece, truncates_the_text_and_keeps_the_special_tokens)
{
    WordPiece *w = load(NULL);
    expect_ids(w, "a b unaffable", 13, 5, "[CLS] a b un [SEP]");
    expect_ids(w, "a b", 3, 2, "[CLS] [SEP]");
    expect_ids(w, "a b", 3, 4, "[CLS] a b [SEP]");
    wordpiece_free(w);
    w = load("{\"truncation_side\": \"left\"}");
    expect_ids(w, "a b unaffable", 13, 5, "[CLS] un ##aff ##able [SEP]");
    wordpiece_free(w);
}

static void expect_row(const TokenBatch *b, size_t row, const int32_t *ids, const int32_t *mask)
{
    for (size_t i = 0; i < b->length; i++) {
        cr_expect_eq(b->ids[row * b->length + i], ids[i], "row %zu, %zu", row, i);
        cr_expect_eq(b->mask[row * b->length + i], mask[i], "row %zu, %zu", row, i);
    }
}

Test(wordpiece, batches_are_padded_to_their_longest_text)
{
    const char *texts[] = {"a b", "hello"};
    size_t lens[] = {3, 5};
    Err err = {""};
    TokenBatch batch = {0};
    WordPiece *w = load(NULL);
    cr_assert_eq(wordpiece_encode_batch(w, texts, lens, 2, 0, &batch, &err), 0);
    cr_assert_eq(batch.length, 4);
    expect_row(&batch, 0, (int32_t[]){2, id_of("a"), id_of("b"), 3}, (int32_t[]){1, 1, 1, 1});
    expect_row(&batch, 1, (int32_t[]){2, id_of("hello"), 3, 0}, (int32_t[]){1, 1, 1, 0});
    wordpiece_free(w);
    w = load("{\"padding_side\": \"left\"}");
    cr_assert_eq(wordpiece_encode_batch(w, texts, lens, 2, 0, &batch, &err), 0);
    expect_row(&batch, 1, (int32_t[]){0, 2, id_of("hello"), 3}, (int32_t[]){0, 1, 1, 1});
    wordpiece_free(w);
    w = load("{\"pad_token\": null}");
    cr_expect_eq(wordpiece_encode_batch(w, texts, lens, 2, 0, &batch, &err), -1);
    cr_expect_str_eq(err.msg, "the tokenizer has no pad token");
    wordpiece_free(w);
    token_batch_release(&batch);
}

/* The examples of Unicode 15, tables 3-8 to 3-11, and what Python makes of lone bytes. */
Test(wordpiece, ill_formed_text_is_replaced_by_maximal_subparts)
{
    static const struct {
        const char *bytes;
        const char *marks; /* R for U+FFFD */
    } cases[] = {
        {"a\xc0\xaf\xe0\x80\xbf\xf0\x81\x82"
         "b",
         "aRRRRRRRRb"},
        {"\xed\xa0\x80\xed\xbf\xbf\xed\xaf"
         "a",
         "RRRRRRRRa"},
        {"\xf4\x91\x92\x93\xff"
         "a\x80\xbf"
         "b",
         "RRRRRaRRb"},
        {"\xe1\x80\xe2\xf0\x91\x92\xf1\xbf"
         "a",
         "RRRRa"},
        {"\xf0\x9f\x98", "R"},
        {"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
        {"\xc2", "R"},
        {"twelve bytes\xfe", "twelve bytesR"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        ByteBuffer got = {0}, want = {0};
        for (const char *p = cases[i].marks; *p; p++)
            bytes_append(&want, *p == 'R' ? "\xef\xbf\xbd" : p, *p == 'R' ? 3 : 1);
        utf8_repair(&got, cases[i].bytes, strlen(cases[i].bytes));
        cr_expect(got.len == want.len && memcmp(got.data, want.data, got.len) == 0, "case %zu", i);
        bytes_release(&got);
        bytes_release(&want);
    }
    WordPiece *w = load(NULL);
    expect(w,
           "a\xff"
           "b [MA\xc3SK]",
           "[CLS] a ##b [ mask ] [SEP]");
    wordpiece_free(w);
}

Test(wordpiece, very_long_lines, .timeout = 60)
{
    enum { LENGTH = 10000000 };
    char *text = xmalloc(LENGTH);
    WordPiece *w = load(NULL);
    IdBuffer ids = {0};
    memset(text, 'a', LENGTH);
    cr_expect_eq(wordpiece_encode(w, text, LENGTH, 0, &ids), 3);
    ids.count = 0;
    memset(text, '!', LENGTH);
    cr_expect_eq(wordpiece_encode(w, text, LENGTH, 0, &ids), LENGTH + 2);
    ids.count = 0;
    cr_expect_eq(wordpiece_encode(w, text, LENGTH, 8, &ids), 8);
    memset(text, 0xff, LENGTH);
    cr_expect_eq(wordpiece_encode(w, text, LENGTH, 0, &ids), 2);
    id_buffer_release(&ids);
    wordpiece_free(w);
    free(text);
}

Test(wordpiece, a_buffer_that_has_grown_is_not_allocated_again)
{
    static const char text[] = "hello world unaffable caf\xc3\xa9 \xff";
    WordPiece *w = load(NULL);
    IdBuffer ids = {0};
    wordpiece_encode(w, text, strlen(text), 0, &ids);
    IdBuffer before = ids;
    ids.count = 0;
    wordpiece_encode(w, text, strlen(text), 0, &ids);
    cr_expect(ids.ids == before.ids && ids.normal.data == before.normal.data &&
              ids.repaired.data == before.repaired.data);
    cr_expect_eq(ids.count, before.count);
    id_buffer_release(&ids);
    wordpiece_free(w);
}

static void expect_refused(const char *what)
{
    Err err = {""};
    WordPiece *w = wordpiece_load(temp_dir, &err);
    cr_expect_null(w);
    cr_expect(strstr(err.msg, what), "no '%s' in '%s'", what, err.msg);
}

Test(wordpiece, bad_vocabularies_are_refused_with_their_line)
{
    static const struct {
        const char *text, *what;
    } cases[] = {
        {"[CLS]\n[SEP]\n", "vocab.txt: '[UNK]', the unknown token, is missing"},
        {"[UNK]\n[SEP]\n", "vocab.txt: '[CLS]', the first token of a text, is missing"},
        {"[UNK]\n[CLS]\n", "vocab.txt: '[SEP]', the last token of a text, is missing"},
        {"", "'[UNK]'"},
        {SPECIAL "a\nb\na\n", "vocab.txt:8: token 'a' is already in line 6"},
        {SPECIAL "a\nb\na \r\n", "vocab.txt:8: token 'a' is already in line 6"},
        {SPECIAL "a\n\xff\n", "vocab.txt:7: the line is not UTF-8"},
        {"[UNK]\n[CLS]\n[SEP]\n\n\n", "'[PAD]' is missing, and so are tokens of smaller ids"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        temp_write("vocab.txt", cases[i].text);
        expect_refused(cases[i].what);
    }
    const char *path = temp_path("vocab.txt");
    cr_assert_eq(unlink(path), 0);
    expect_refused("vocab.txt': No such file");
    cr_assert_eq(mkdir(path, 0700), 0);
    expect_refused("it is a directory");
}

Test(wordpiece, empty_lines_and_missing_line_ends_keep_the_numbers)
{
    static const char text[] = SPECIAL "\na\r\n\nb";
    temp_write("vocab.txt", text);
    Err err = {""};
    WordPiece *w = wordpiece_load(temp_dir, &err);
    cr_assert(w, "%s", err.msg);
    expect(w, "a b", "2 6 8 3");
    wordpiece_free(w);
}

/* ---- pairs ---- */

static void expect_pair(const WordPiece *w, const char *a, const char *b, size_t max_length,
                        const char *tokens)
{
    IdBuffer ids = {0};
    size_t second;
    wordpiece_encode_pair(w, (WordText){a, strlen(a)}, (WordText){b, strlen(b)}, max_length, &ids,
                          &second);
    char *list = xstrdup(tokens), *rest = list, *token;
    size_t n = 0, separators = 0;
    while ((token = strsep(&rest, " "))) {
        cr_expect(n < ids.count && ids.ids[n] == id_of(token), "'%s': id %zu is not %s", tokens, n,
                  token);
        cr_expect((n >= second) == (separators > 0), "'%s': the type of id %zu", tokens, n);
        separators += strcmp(token, "[SEP]") == 0;
        n++;
    }
    cr_expect_eq(ids.count, n, "'%s': %zu ids", tokens, ids.count);
    free(list);
    id_buffer_release(&ids);
}

/* The ids and types of transformers 5.23 with truncation = True, which is longest_first. */
Test(wordpiece, two_texts)
{
    static const struct {
        const char *a, *b;
        size_t max_length;
        const char *right, *left;
    } cases[] = {
        {"hello", "a \xff", 0, "[CLS] hello [SEP] a [SEP]", "[CLS] hello [SEP] a [SEP]"},
        {"", "", 3, "[CLS] [SEP] [SEP]", "[CLS] [SEP] [SEP]"},
        {"hello", "a b i", 4, "[CLS] [SEP] a [SEP]", "[CLS] [SEP] i [SEP]"},
        {"hello", "a b i", 5, "[CLS] hello [SEP] a [SEP]", "[CLS] hello [SEP] i [SEP]"},
        {"hello", "a b i", 6, "[CLS] hello [SEP] a b [SEP]", "[CLS] hello [SEP] b i [SEP]"},
        {"a b i", "hello", 4, "[CLS] a [SEP] [SEP]", "[CLS] i [SEP] [SEP]"},
        {"a b i", "hello", 6, "[CLS] a b [SEP] hello [SEP]", "[CLS] b i [SEP] hello [SEP]"},
        {"a b i", "i b a", 6, "[CLS] a [SEP] i b [SEP]", "[CLS] i [SEP] b a [SEP]"},
        {"a b i", "i b a", 8, "[CLS] a b [SEP] i b a [SEP]", "[CLS] b i [SEP] i b a [SEP]"},
    };
    for (int left = 0; left <= 1; left++) {
        WordPiece *w = load(left ? "{\"truncation_side\": \"left\"}" : NULL);
        for (size_t i = 0; i < COUNT_OF(cases); i++)
            expect_pair(w, cases[i].a, cases[i].b, cases[i].max_length,
                        left ? cases[i].left : cases[i].right);
        wordpiece_free(w);
    }
}

/* ---- tokenizer.json ---- */

#define VOCAB "\"[PAD]\": 0, \"[UNK]\": 1, \"[CLS]\": 2, \"[SEP]\": 3, \"[MASK]\": 4, \"##a\": 6"
#define MODEL                                                                                      \
    "\"model\": {\"type\": \"WordPiece\", \"unk_token\": \"[UNK]\", "                              \
    "\"continuing_subword_prefix\": \"##\", \"max_input_chars_per_word\": 100, \"vocab\": "
#define TEMPLATE(first)                                                                            \
    "\"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": "      \
    "{\"id\": "                                                                                    \
    "\"" first                                                                                     \
    "\", \"type_id\": 0}}, {\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}, {\"SpecialToken\": "   \
    "{\"id\": \"[SEP]\", \"type_id\": 0}}]}"

/* Written by save_pretrained of transformers 5.23, but for the vocabulary; its ids for the text. */
static const char fast[] =
    "{\"version\": \"1.0\", \"truncation\": {\"direction\": \"Left\", \"max_length\": 4, "
    "\"strategy\": "
    "\"LongestFirst\", \"stride\": 0}, \"padding\": null, \"added_tokens\": [{\"id\": 4, "
    "\"content\": "
    "\"[MASK]\", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, \"normalized\": "
    "false, "
    "\"special\": true}], \"normalizer\": {\"type\": \"BertNormalizer\", \"lowercase\": false}, "
    "\"pre_tokenizer\": {\"type\": \"BertPreTokenizer\"}, " TEMPLATE(
        "[CLS]") ", \"decoder\": {\"type\": "
                 "\"WordPiece\"}, " MODEL "{" VOCAB ", \"good\": 5, \"movie\": 7}}}";

Test(wordpiece, tokenizer_json_counts_where_there_is_one)
{
    temp_write("tokenizer.json", fast);
    for (int both = 0; both <= 1; both++) {
        if (both)
            temp_write("vocab.txt", vocab);
        Err err;
        WordPiece *w = wordpiece_load(temp_dir, &err);
        cr_assert(w, "%s", err.msg);
        expect(w, "Gooda movie [MASK] un", "2 5 6 7 4 1 3");
        expect_ids(w, "good movie", 10, 3, "2 7 3"); /* truncation's side, not its length */
        cr_expect_eq(wordpiece_num_ids(w), 8);
        wordpiece_free(w);
    }
}

Test(wordpiece, parts_of_tokenizer_json_that_are_not_berts_are_refused_by_name)
{
    static const char *const cases[][2] = {
        {"{" MODEL "[\"a\"]}}", "'vocab' must be an object of ids"},
        {"{" MODEL "{\"a\": -1}}}", "the id of 'a' must be from 0 to"},
        {"{" MODEL "{\"a\": 1000000000000000000000}}}", "the id of 'a' must be from 0 to"},
        {"{\"model\": {\"type\": \"BPE\"}}", "model 'BPE' is not built; BERT's is WordPiece"},
        {"{\"model\": {\"continuing_subword_prefix\": \"@@\"}}",
         "continuing_subword_prefix must be"},
        {"{\"model\": {\"max_input_chars_per_word\": 7}}", "max_input_chars_per_word must be 100"},
        {"{\"normalizer\": {\"type\": \"NFC\"}, \"model\": {}}", "normalizer 'NFC' is not built"},
        {"{\"pre_tokenizer\": {\"type\": \"Whitespace\"}, \"model\": {}}",
         "pre_tokenizer 'Whitespace' is not built"},
        {"{\"post_processor\": {\"type\": \"RobertaProcessing\"}, \"model\": {}}",
         "post_processor 'RobertaProcessing' is not built"},
        {"{" TEMPLATE("[MASK]") ", \"model\": {}}", "must be between '[CLS]' and '[SEP]'"},
        {"{\"post_processor\": {\"type\": \"BertProcessing\", \"cls\": [\"[SEP]\", 3], \"sep\": "
         "[\"[SEP]\", 3]}, \"model\": {}}",
         "must be between '[CLS]' and '[SEP]'"},
        {"{" MODEL "{" VOCAB "}}}", "'new' is missing, and so are tokens of smaller ids"},
    };
    static const char config[] = "{\"extra_special_tokens\": [\"new\"]}";
    temp_write("tokenizer_config.json", config);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        temp_write("tokenizer.json", cases[i][0]);
        expect_refused(cases[i][1]);
    }
}

Test(wordpiece, the_class_of_the_tokenizer_counts)
{
    WordPiece *w = load("{\"tokenizer_class\": \"DistilBertTokenizerFast\", \"model_max_length\": "
                        "1000000000000000019884624838656}");
    expect(w, "hello", "2 10 3");
    wordpiece_free(w);
    static const char other[] = "{\"tokenizer_class\": \"PreTrainedTokenizerFast\"}";
    temp_write("tokenizer_config.json", other);
    expect_refused("tokenizer_class 'PreTrainedTokenizerFast' is not built without a");
    static const char nothing[] = "{}";
    temp_write("tokenizer_config.json", nothing);
    temp_write("config.json", other);
    expect_refused("tokenizer_class 'PreTrainedTokenizerFast' is not built without a");
}

/* The normalizer of a tokenizer.json whose other parts are `fast`'s. */
#define NORMALIZER(settings) "\"normalizer\": {\"type\": \"BertNormalizer\"" settings "}, "
#define PARTS(normalizer, first, unk)                                                              \
    "{" normalizer "\"pre_tokenizer\": {\"type\": \"BertPreTokenizer\"}, " TEMPLATE(               \
        first) ", \"model\": {\"type\": \"WordPiece\", \"unk_token\": \"" unk                      \
               "\", \"vocab\": {" VOCAB ", \"good\": 5, \"movie\": 7, \"\u00e9\": 8}}}"
#define ALL(lowercase, accents)                                                                    \
    NORMALIZER(                                                                                    \
        ", \"clean_text\": true, \"handle_chinese_chars\": true, \"strip_accents\": " accents      \
        ", \"lowercase\": " lowercase)

/* Beside the library itself: tests/parity/directory_parity.py. */
Test(wordpiece, another_class_has_the_settings_of_tokenizer_json)
{
    static const struct {
        const char *json, *ids;
    } cases[] = {
        {PARTS(ALL("false", "null"), "[CLS]", "[UNK]"), "2 1 1 7 8 3"},
        {PARTS(ALL("true", "false"), "[MASK]", "[PAD]"), "4 5 0 7 8 3"},
        {PARTS(ALL("true", "null"), "[CLS]", "[UNK]"), "2 5 1 7 1 3"},
    };
    static const char config[] =
        "{\"tokenizer_class\": \"TokenizersBackend\", \"do_lower_case\": true, \"cls_token\": "
        "\"[SEP]\", \"unk_token\": \"[SEP]\"}";
    temp_write("tokenizer_config.json", config);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        temp_write("tokenizer.json", cases[i].json);
        Err err;
        WordPiece *w = wordpiece_load(temp_dir, &err);
        cr_assert(w, "%s", err.msg);
        expect(w, "Good Bad movie \u00e9", cases[i].ids);
        wordpiece_free(w);
    }
}

Test(wordpiece, a_tokenizer_json_that_does_not_say_all_is_refused_for_another_class)
{
    static const char *const cases[][2] = {
        {"{" MODEL "{" VOCAB "}}}", "tokenizer.json: normalizer is missing"},
        {PARTS(NORMALIZER(", \"lowercase\": false"), "[CLS]", "[UNK]"), "not BERT's clean_text"},
        {PARTS("\"normalizer\": {\"type\": \"NFC\"}, ", "[CLS]", "[UNK]"), "normalizer 'NFC'"},
    };
    static const char config[] = "{\"tokenizer_class\": \"PreTrainedTokenizerFast\"}";
    temp_write("tokenizer_config.json", config);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        temp_write("tokenizer.json", cases[i][0]);
        expect_refused(cases[i][1]);
    }
}

Test(wordpiece, bad_configs_are_refused_with_their_key)
{
    static const struct {
        const char *text, *what;
    } cases[] = {
        {"{", "tokenizer_config.json:1:"},
        {"[]", "one JSON object"},
        {"{\"do_lower_case\": null}", "'do_lower_case' must be true or false"},
        {"{\"strip_accents\": \"no\"}", "'strip_accents' must be"},
        {"{\"tokenize_chinese_chars\": 1}", "'tokenize_chinese_chars' must be"},
        {"{\"truncation_side\": \"up\"}", "'truncation_side' must be"},
        {"{\"unk_token\": null}", "'unk_token' must be a string"},
        {"{\"cls_token\": 3}", "'cls_token' must be a string"},
        {"{\"unk_token\": \"<unk>\"}", "'<unk>', the unknown token, is missing"},
        {"{\"sep_token\": \"</s>\"}", "'</s>', the last token of a text, is missing"},
        {"{\"added_tokens_decoder\": []}", "'added_tokens_decoder' must be an object"},
        {"{\"added_tokens_decoder\": {\"x\": {\"content\": \"y\"}}}", "'x' does not"},
        {"{\"added_tokens_decoder\": {\"5\": {}}}", "'content'"},
        {"{\"added_tokens_decoder\": {\"5\": {\"content\": \"y\", \"lstrip\": 1}}}", "'lstrip'"},
        {"{\"added_tokens_decoder\": {\"5\": {\"content\": \"\xcc\x81\"}}}",
         "empty once normalised"},
        {"{\"added_tokens_decoder\": {\"5\": {\"content\": \"Q\"}, \"6\": {\"content\": \"q\"}}}",
         "'Q' and 'q' match the same text"},
        {"{\"extra_special_tokens\": [3]}", "'extra_special_tokens' must be"},
    };
    temp_write("vocab.txt", vocab);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        temp_write("tokenizer_config.json", cases[i].text);
        expect_refused(cases[i].what);
    }
}
