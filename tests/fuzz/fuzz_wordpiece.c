/* Fuzzes the tokenizer. The first byte says what the rest is: 'c' a tokenizer_config.json, anything
 * else text, for one of four tokenizers; 'j' a tokenizer.json of a BertTokenizer and 'f' one of
 * another class. A file is refused with a sentence or complete; text gives ids between [CLS] and
 * [SEP] that truncation cuts and repair does not change.
 *
 *   build/fuzz_wordpiece -dict=tests/fuzz/wordpiece.dict -max_total_time=600 \
 *       NEW_INPUTS tests/fuzz/corpus_wordpiece */
#include "model/tokenizer/wordpiece.h"
#include "model/tokenizer/wordpiece_config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/fuzz/folder.h"

static const char vocab[] =
    "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##a\nb\n##b\nab\n##ab\n!\n[\n]\n"
    "caf\xc3\xa9\ncafe\n\xe4\xb8\xad\n\xe3\x80\xae\n##\xe3\x80\xae\n";
static const char added_config[] =
    "{\"added_tokens_decoder\": {"
    "\"40\": {\"content\": \"aB\", \"lstrip\": true, \"rstrip\": true},"
    "\"41\": {\"content\": \"<b>\", \"single_word\": true, \"special\": true}}}";
static const char *const configs[] = {
    "{}",
    "{\"do_lower_case\": false}",
    "{\"strip_accents\": false, \"tokenize_chinese_chars\": false, \"truncation_side\": \"left\"}",
    added_config,
};

static WordPiece *tokenizers[COUNT_OF(configs)];
static IdBuffer all, cut;

static void clean_up(void)
{
    for (size_t i = 0; i < COUNT_OF(tokenizers); i++)
        wordpiece_free(tokenizers[i]);
    id_buffer_release(&all);
    id_buffer_release(&cut);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    Err err = {""};
    folder_make();
    atexit(clean_up);
    folder_write("vocab.txt", vocab, strlen(vocab));
    for (size_t i = 0; i < COUNT_OF(configs); i++) {
        folder_write("tokenizer_config.json", configs[i], strlen(configs[i]));
        tokenizers[i] = wordpiece_load(folder, &err);
        CHECK(tokenizers[i], "%s", err.msg);
    }
    return 0;
}

static void fuzz_config(const uint8_t *data, size_t size)
{
    WordPieceConfig c;
    Err err = {""};
    folder_write("tokenizer_config.json", data, size);
    if (wordpiece_config_load(&c, folder, NULL, &err) != 0)
        CHECK(strstr(err.msg, folder), "an error without its file: '%s'", err.msg);
    else
        CHECK(c.unk && c.cls && c.sep && c.num_listed <= c.num_added, "an incomplete config");
    wordpiece_config_release(&c);
}

static void check_ids(const WordPiece *w, const char *text, size_t len)
{
    size_t n = wordpiece_encode(w, text, len, 0, &all);
    CHECK(n == all.count && n >= 2 && n <= 3 * len + 2, "%zu ids from %zu bytes", n, len);
    for (size_t i = 0; i < n; i++)
        CHECK(all.ids[i] >= 0 && (size_t)all.ids[i] < wordpiece_num_ids(w), "id %d", all.ids[i]);
}

static void fuzz_json(const uint8_t *data, size_t size, const char *class)
{
    static const char text[] = "ab [MASK] a! caf\xc3\xa9";
    Err err = {""};
    char *config = xasprintf("{\"tokenizer_class\": \"%s\"}", class);
    folder_write("tokenizer_config.json", config, strlen(config));
    folder_write("tokenizer.json", data, size);
    WordPiece *w = wordpiece_load(folder, &err);
    CHECK(w || strstr(err.msg, folder), "an error without its file: '%s'", err.msg);
    all.count = 0;
    if (w)
        check_ids(w, text, strlen(text));
    wordpiece_free(w);
    free(config);
    config = xasprintf("%s/tokenizer.json", folder);
    unlink(config);
    free(config);
}

static void fuzz_text(const WordPiece *w, const char *text, size_t len, bool left)
{
    enum { MAX_LENGTH = 5 };
    all.count = cut.count = 0;
    check_ids(w, text, len);
    size_t n = wordpiece_encode(w, text, len, MAX_LENGTH, &cut);
    CHECK(n == (all.count < MAX_LENGTH ? all.count : MAX_LENGTH), "cut to %zu", n);
    const int32_t *kept = all.ids + (left ? all.count - n : 0) + 1;
    CHECK(memcmp(cut.ids + 1, kept, (n - 2) * sizeof *kept) == 0, "other ids once cut");
    CHECK(cut.ids[0] == 2 && cut.ids[n - 1] == 3, "no [CLS] and [SEP]");

    ByteBuffer repaired = {0};
    utf8_repair(&repaired, text, len);
    CHECK(utf8_valid_prefix(repaired.data, repaired.len) == repaired.len, "not repaired");
    cut.count = 0;
    wordpiece_encode(w, (const char *)repaired.data, repaired.len, 0, &cut);
    CHECK(cut.count == all.count && memcmp(cut.ids, all.ids, all.count * sizeof *all.ids) == 0,
          "other ids once repaired");
    bytes_release(&repaired);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    size_t which = data[0] % COUNT_OF(configs);
    if (data[0] == 'c')
        fuzz_config(data + 1, size - 1);
    else if (data[0] == 'j')
        fuzz_json(data + 1, size - 1, "BertTokenizer");
    else if (data[0] == 'f')
        fuzz_json(data + 1, size - 1, "TokenizersBackend");
    else
        fuzz_text(tokenizers[which], (const char *)data + 1, size - 1, which == 2);
    return 0;
}
