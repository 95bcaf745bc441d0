/* test_tokenizer: byte-level tokenizers from files, against the ids of the tokenizers library
 * (golden/make_bpe_golden.py), back to text, and what each file is refused for. */
#include "model/tokenizer/tokenizer.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/temp_dir.h"

TestSuite(tokenizer, .init = temp_dir_make, .fini = temp_dir_remove);

static json_t *read_golden(void)
{
    json_error_t where;
    json_t *golden = json_load_file("tests/golden/bpe_golden.json", 0, &where);
    cr_assert(golden, "%s", where.text);
    return golden;
}

static void write_json(const char *name, const json_t *value)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY);
    temp_write(name, text);
    free(text);
}

static Tokenizer *load(void)
{
    Err err;
    Tokenizer *t = tokenizer_load(temp_dir, &err);
    cr_assert(t, "%s", err.msg);
    return t;
}

static void expect_ids(const char *kind, const char *line, const json_t *want, const IdBuffer *got)
{
    bool same = json_array_size(want) == got->count;
    for (size_t i = 0; same && i < got->count; i++)
        same = json_integer_value(json_array_get(want, i)) == got->ids[i];
    cr_expect(same, "%s: '%s' has other ids", kind, line);
}

/* Every kind, line by line; what is not normalised comes back as it was, special tokens too. */
Test(tokenizer, ids_of_the_library)
{
    json_t *golden = read_golden(), *lines = json_object_get(golden, "lines"), *each, *line;
    const char *kind;
    size_t i;
    json_object_foreach (json_object_get(golden, "kinds"), kind, each) {
        IdBuffer ids = {0};
        ByteBuffer back = {0};
        write_json("tokenizer.json", json_object_get(each, "tokenizer"));
        Tokenizer *t = load();
        cr_expect(tokenizer_decodes(t));
        json_array_foreach (lines, i, line) {
            const char *text = json_string_value(line);
            size_t len = json_string_length(line);
            ids.count = back.len = 0;
            tokenizer_encode(t, text, len, 0, &ids);
            expect_ids(kind, text, json_array_get(json_object_get(each, "ids"), i), &ids);
            ids.count = 0;
            tokenizer_encode_bare(t, text, len, &ids);
            for (size_t k = 0; k < ids.count; k++)
                cr_assert(tokenizer_decode(t, ids.ids[k], true, &back));
            bool kept = strcmp(kind, "gpt2") == 0 && !strstr(text, "<");
            cr_expect(!kept || (back.len == len && (len == 0 || memcmp(back.data, text, len) == 0)),
                      "%s: '%s' does not come back", kind, text);
        }
        cr_expect(!tokenizer_decode(t, (int32_t)tokenizer_num_ids(t), true, &back));
        cr_expect(!tokenizer_decode(t, -1, true, &back));
        tokenizer_free(t);
        id_buffer_release(&ids);
        bytes_release(&back);
    }
    json_decref(golden);
}

/* Every code point composes, or does not, as Python's unicodedata and the library have it: a letter
 * with a mark, Hangul, an order of marks, a singleton, an exclusion, a later composition. */
Test(tokenizer, normal_form)
{
    static const char *const cases[][2] = {
        {"e\u0301", "\u00e9"},
        {"\u1112\u1161\u11ab", "\ud55c"},
        {"a\u0301\u0323", "\u1ea1\u0301"},
        {"\u212b", "\u00c5"},
        {"\u0958", "\u0915\u093c"},
        {"\U00011935\U00011930", "\U00011935\U00011930"},
        {"\u0344", "\u0308\u0301"},
        {"x\u0301y", "x\u0301y"},
    };
    json_t *golden = read_golden();
    IdBuffer ids = {0};
    ByteBuffer back = {0};
    write_json(
        "tokenizer.json",
        json_object_get(json_object_get(json_object_get(golden, "kinds"), "qwen2"), "tokenizer"));
    Tokenizer *t = load();
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        ids.count = back.len = 0;
        tokenizer_encode(t, cases[i][0], strlen(cases[i][0]), 0, &ids);
        for (size_t k = 0; k < ids.count; k++)
            tokenizer_decode(t, ids.ids[k], true, &back);
        bytes_append(&back, "", 1);
        cr_expect_str_eq((const char *)back.data, cases[i][1], "case %zu", i);
    }
    tokenizer_free(t);
    id_buffer_release(&ids);
    bytes_release(&back);
    json_decref(golden);
}

/* ---- small files ---- */

static const char *const small =
    "{\"added_tokens\": [{\"id\": 9, \"content\": \"<s>\", \"special\": true},"
    " {\"id\": 9, \"content\": \"tok\", \"special\": false}],"
    " \"normalizer\": null, \"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": "
    "false},"
    " \"post_processor\": {\"type\": \"TemplateProcessing\", \"single\":"
    " [{\"SpecialToken\": {\"id\": \"<s>\", \"type_id\": 0}}, {\"Sequence\": {\"id\": \"A\","
    " \"type_id\": 0}}], \"special_tokens\": {\"<s>\": {\"id\": \"<s>\", \"ids\": [3], \"tokens\":"
    " [\"<s>\"]}}}, \"decoder\": {\"type\": \"ByteLevel\"},"
    " \"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1, \"ab\": 2},"
    " \"merges\": [\"a b\"]}}";

static void expect_text(Tokenizer *t, const char *text, size_t max_length, const char *want)
{
    char got[256] = "", *at = got;
    IdBuffer ids = {0};
    tokenizer_encode(t, text, strlen(text), max_length, &ids);
    for (size_t i = 0; i < ids.count; i++)
        at += sprintf(at, i ? " %d" : "%d", ids.ids[i]);
    cr_expect_str_eq(got, want, "'%s': %s, wanted %s", text, got, want);
    id_buffer_release(&ids);
}

Test(tokenizer, around_and_added)
{
    temp_write("tokenizer.json", small);
    Tokenizer *t = load();
    expect_text(t, "abba<s>tokb", 0,
                "3 2 1 0 3 4 1"); /* ids after the vocabulary, as the library */
    expect_text(t, "abba", 3, "3 2 1");
    expect_text(t, "axb", 0, "3 2"); /* a byte without a token is passed over */
    cr_expect(tokenizer_id(t, "<s>") == 3 && tokenizer_id(t, "tok") == 4 &&
              tokenizer_id(t, "c") < 0);
    cr_expect_eq(tokenizer_num_ids(t), 5);
    ByteBuffer text = {0};
    tokenizer_decode(t, 3, false, &text);
    cr_expect_eq(text.len, 0);
    tokenizer_decode(t, 3, true, &text);
    cr_expect(text.len == 3 && memcmp(text.data, "<s>", 3) == 0);
    bytes_release(&text);
    tokenizer_free(t);
}

/* A word that is no whole token of the vocabulary is not the added token of the same letters. */
Test(tokenizer, added_tokens_are_no_words)
{
    temp_write("tokenizer.json",
               "{\"added_tokens\": [{\"id\": 2, \"content\": \"ab\", \"single_word\": true},"
               " {\"id\": 3, \"content\": \"1\", \"single_word\": true}],"
               " \"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false},"
               " \"model\": {\"type\": \"BPE\", \"ignore_merges\": true,"
               " \"vocab\": {\"a\": 0, \"b\": 1}, \"merges\": []}}");
    Tokenizer *t = load();
    expect_text(t, "ab", 0, "2");
    expect_text(t, "ab1", 0, "0 1");
    tokenizer_free(t);
}

Test(tokenizer, vocab_json_and_merges_txt)
{
    temp_write("vocab.json", "{\"a\": 0, \"b\": 1, \"ab\": 2, \"<|endoftext|>\": 3, \"1\": 4,"
                             " \"11\": 5, \"\\u0120\": 6}");
    temp_write("merges.txt", "#version: 0.2\na b\r\n1 1\n");
    Tokenizer *t = load();
    expect_text(t, "ab11<|endoftext|>a", 0, "2 5 3 0");
    tokenizer_free(t);
    temp_write("tokenizer_config.json", "{\"tokenizer_class\": \"GPT2Tokenizer\","
                                        " \"add_prefix_space\": true}");
    t = load();
    expect_text(t, "ab11", 0, "6 2 5");
    tokenizer_free(t);
    temp_write("tokenizer_config.json",
               "{\"tokenizer_class\": \"Qwen2Tokenizer\", "
               "\"added_tokens_decoder\": {\"7\": {\"content\": \"<x>\"}}}");
    t = load();
    expect_text(t, "ab11<x>", 0, "2 4 4 7");
    tokenizer_free(t);
}

static void expect_refused(const char *why)
{
    Err err = {""};
    Tokenizer *t = tokenizer_load(temp_dir, &err);
    cr_expect(!t && strstr(err.msg, why) && strstr(err.msg, temp_dir), "'%s', wanted '%s'", err.msg,
              why);
    tokenizer_free(t);
}

/* Writes `small` with `from` replaced by `to`. */
static void write_changed(const char *from, const char *to)
{
    const char *at = strstr(small, from);
    cr_assert(at, "no %s", from);
    char *text = xasprintf("%.*s%s%s", (int)(at - small), small, to, at + strlen(from));
    temp_write("tokenizer.json", text);
    free(text);
}

Test(tokenizer, what_a_file_is_refused_for)
{
    static const char *const cases[][3] = {
        {"\"normalizer\": null", "\"normalizer\": {\"type\": \"NFKC\"}",
         "normalizer 'NFKC' is not built"},
        {"\"ByteLevel\", \"add", "\"Metaspace\", \"add", "pre_tokenizer: 'Metaspace' is not built"},
        {"{\"type\": \"ByteLevel\", \"add_prefix_space\": false}", "null",
         "pre_tokenizer: '' is not built"},
        {"{\"type\": \"ByteLevel\", \"add_prefix_space\": false}",
         "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\": "
         "{\"Regex\":"
         " \"\\\\s+\"}, \"behavior\": \"Isolated\"}, {\"type\": \"ByteLevel\", \"use_regex\": "
         "false}]}",
         "the pattern of Split is not built: '\\s+'"},
        {"{\"type\": \"ByteLevel\", \"add_prefix_space\": false}",
         "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Digits\"},"
         " {\"type\": \"ByteLevel\"}]}",
         "Digits that keeps digits together is not built"},
        {"{\"type\": \"ByteLevel\", \"add_prefix_space\": false}",
         "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Punctuation\"},"
         " {\"type\": \"ByteLevel\"}]}",
         "a Sequence of 'Punctuation' and 'ByteLevel' is not built"},
        {"\"add_prefix_space\": false}", "\"use_regex\": false}",
         "ByteLevel with use_regex false is not built here"},
        {"TemplateProcessing", "RobertaProcessing",
         "post_processor: 'RobertaProcessing' is not built"},
        {"\"ids\": [3]", "\"ids\": [-3]", "post_processor: the id of '<s>' must be"},
        {"\"ids\": [3]", "\"idz\": [3]", "post_processor: special_tokens has no ids for '<s>'"},
        {"{\"Sequence\"", "{\"SpecialToken\"", "post_processor: special_tokens has no ids for 'A'"},
        {"\"decoder\": {\"type\": \"ByteLevel\"}", "\"decoder\": {\"type\": \"Fuse\"}",
         "decoder 'Fuse' is not built"},
        {"\"a b\"", "\"a c\"", "model: merges[0]: merge of 'c', which is not in the vocabulary"},
        {"\"a b\"", "\"a b c\"", "merges[0]: 'a b c' is not two tokens"},
        {"\"a b\"", "[\"a\"]", "merges[0]: it is not two tokens"},
        {"[\"a b\"]", "{}", "'merges' must be a list"},
        {"\"b\": 1", "\"b\": 0", "has the id 0 of another token"},
        {"\"b\": 1", "\"b\": -1", "the id of 'b' must be from 0"},
        {"\"b\": 1", "\"b\": 1e30", "the id of 'b' must be from 0"},
        {"\"ab\": 2", "\"ab\": 3", "added token '<s>' would get the id 3 of another token"},
        {"\"type\": \"BPE\"", "\"type\": \"BPE\", \"byte_fallback\": true",
         "model: byte_fallback is not built"},
        {"\"type\": \"BPE\"", "\"type\": \"BPE\", \"dropout\": 0.1", "model: dropout is not built"},
        {"\"type\": \"BPE\"", "\"type\": \"BPE\", \"end_of_word_suffix\": \"</w>\"",
         "model: end_of_word_suffix is not built"},
        {"\"type\": \"BPE\"", "\"type\": \"BPE\", \"unk_token\": \"<unk>\"",
         "byte 00 has no token, and neither has unk_token '<unk>'"},
        {"\"type\": \"BPE\"", "\"type\": \"BPE\", \"ignore_merges\": 1",
         "'ignore_merges' must be true or false"},
        {"\"content\": \"tok\"", "\"content\": 5", "an added token has no 'content'"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        write_changed(cases[i][0], cases[i][1]);
        expect_refused(cases[i][2]);
    }
}

Test(tokenizer, what_tables_are_refused_for)
{
    temp_write("vocab.json", "{\"a\": 0, \"b\": 1}");
    temp_write("merges.txt", "#version: 0.2\na b\n");
    expect_refused("merges.txt:2: merge of 'ab', which is not in the vocabulary");
    temp_write("merges.txt", "a\n");
    expect_refused("merges.txt:1: 'a' is not two tokens");
    temp_write("merges.txt", "");
    temp_write("tokenizer_config.json", "{\"tokenizer_class\": \"LlamaTokenizer\"}");
    expect_refused("tokenizer_class 'LlamaTokenizer' is not built without tokenizer.json");
    temp_write("vocab.json", "[]");
    expect_refused("vocab.json: the file must hold one JSON object");
}
