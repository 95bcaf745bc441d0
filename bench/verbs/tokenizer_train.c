/* tokenizer_train: `tare tokenizer-train`: byte-level BPE tables learnt from a text. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "model/files/model_dir.h"
#include "model/tokenizer/bpe_train.h"
#include "bench/commands.h"
#include "bench/util/options.h"

static int write_file(const char *dir, const char *name, const char *text, size_t len, Err *err)
{
    char *path = xasprintf("%s/%s", dir, name);
    int status = file_write(path, text, len, err);
    free(path);
    return status;
}

/* Takes over root. */
static int write_json(const char *dir, const char *name, json_t *root, Err *err)
{
    char *text = json_dumps(root, JSON_COMPACT);
    CHECK(text, "out of memory for %s", name);
    int status = write_file(dir, name, text, strlen(text), err);
    free(text);
    json_decref(root);
    return status;
}

static json_t *text_of(const BpeTrained *t, int32_t id)
{
    size_t len;
    const unsigned char *token = token_table_at(&t->tokens, id, &len);
    return json_stringn((const char *)token, len);
}

/* In the order of the ids. */
static json_t *vocab_of(const BpeTrained *t)
{
    json_t *vocab = json_object();
    for (int32_t id = 0; id < (int32_t)t->tokens.num_ids; id++) {
        json_t *token = text_of(t, id);
        json_object_set_new(vocab, json_string_value(token), json_integer(id));
        json_decref(token);
    }
    return vocab;
}

static json_t *merges_of(const BpeTrained *t)
{
    json_t *merges = json_array();
    for (size_t i = 0; i < t->num_merges; i++)
        json_array_append_new(merges, json_pack("[o, o]", text_of(t, t->merges[i].left),
                                                text_of(t, t->merges[i].right)));
    return merges;
}

static json_t *byte_level(void)
{
    return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 0,
                     "trim_offsets", 1, "use_regex", 1);
}

static json_t *tokenizer_of(const BpeTrained *t)
{
    json_t *model = json_pack("{s:s, s:n, s:n, s:n, s:n, s:b, s:b, s:b, s:o, s:o}", "type", "BPE",
                              "dropout", "unk_token", "continuing_subword_prefix",
                              "end_of_word_suffix", "fuse_unk", 0, "byte_fallback", 0,
                              "ignore_merges", 0, "vocab", vocab_of(t), "merges", merges_of(t));
    return json_pack("{s:s, s:n, s:n, s:[], s:n, s:o, s:o, s:o, s:o}", "version", "1.0",
                     "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer",
                     byte_level(), "post_processor", byte_level(), "decoder", byte_level(), "model",
                     model);
}

static int write_merges(const char *dir, const BpeTrained *t, Err *err)
{
    ByteBuffer text = {0};
    size_t len;
    bytes_append(&text, "#version: 0.2\n", 14);
    for (size_t i = 0; i < t->num_merges; i++) {
        const unsigned char *part = token_table_at(&t->tokens, t->merges[i].left, &len);
        bytes_append(&text, part, len);
        bytes_append(&text, " ", 1);
        part = token_table_at(&t->tokens, t->merges[i].right, &len);
        bytes_append(&text, part, len);
        bytes_append(&text, "\n", 1);
    }
    int status = write_file(dir, "merges.txt", (const char *)text.data, text.len, err);
    bytes_release(&text);
    return status;
}

/* A directory that is there must not hold a tokenizer already. */
static int make_dir(const char *dir, Err *err)
{
    static const char *const names[] = {"vocab.json", "merges.txt", "tokenizer.json"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char *path = xasprintf("%s/%s", dir, names[i]);
        bool there = access(path, F_OK) == 0;
        free(path);
        if (there)
            return err_set(err, "'%s' has a %s already", dir, names[i]);
    }
    if (mkdir(dir, 0777) == 0 || errno == EEXIST)
        return 0;
    return err_set(err, "cannot create '%s': %s", dir, strerror(errno));
}

static int learn(const char *path, size_t vocab, const char *dir, Err *err)
{
    const size_t max_bytes = (size_t)1 << 40;
    BpeTrained t;
    size_t len;
    char *text = file_read(path, max_bytes, &len, err);
    if (!text)
        return -1;
    int status = len > 0 ? 0 : err_set(err, "'%s' is empty", path);
    if (status == 0 && (status = make_dir(dir, err)) == 0 &&
        (status = bpe_train(&t, text, len, vocab, err)) == 0) {
        size_t count = t.tokens.count;
        status = write_json(dir, "vocab.json", vocab_of(&t), err);
        if (status == 0)
            status = write_merges(dir, &t, err);
        if (status == 0)
            status = write_json(dir, "tokenizer.json", tokenizer_of(&t), err);
        if (status == 0 && count < vocab)
            fprintf(stderr, "tare: the text gives %zu tokens, fewer than %zu\n", count, vocab);
        bpe_trained_release(&t);
    }
    free(text);
    return status;
}

int cmd_tokenizer_train(int argc, char **argv, Err *err)
{
    const char *path = NULL, *dir = NULL;
    int64_t vocab = 0;
    const Option options[] = {
        option_int("--vocab", "N", &vocab, BPE_TRAIN_LEAST, TOKEN_MAX_IDS,
                   "tokens, of which 256 are the bytes"),
        option_text("--out", "DIR", &dir, NULL, "where the tables go; made if it is not there"),
    };
    const Command command = {
        .verb = "tokenizer-train",
        .arguments = {"TEXT", 1, 1, &path},
        .summary = "Learns byte-level BPE from a file of text, as GPT-2 splits it.",
        OPTIONS(options),
        .notes =
            "DIR gets vocab.json, merges.txt and tokenizer.json, as the tokenizers library reads\n"
            "them. Its own trainer makes the same merges: the most frequent pair within words\n"
            "first, of equals that of the smaller ids. There are no special tokens.\n",
    };
    int outcome = options_parse(&command, argc, argv, err);
    if (outcome != OPTIONS_RUN)
        return outcome;
    if (!vocab || !dir)
        return err_set(err, "tokenizer-train: %s is missing; see tare tokenizer-train --help",
                       vocab ? "--out" : "--vocab");
    return learn(path, (size_t)vocab, dir, err);
}
