/* tokenizer_train: `tare tokenizer-train`: byte-level BPE tables learnt from a text. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "model/files/model_dir.h"
#include "model/files/paths.h"
#include "model/tokenizer/bpe_train.h"
#include "bench/commands.h"
#include "bench/util/interrupt.h"
#include "bench/util/options.h"
#include "bench/util/owned.h"

static json_t *text_of(const BpeTrained *t, int32_t id)
{
    size_t len;
    const unsigned char *token = token_table_at(&t->tokens, id, &len);
    return json_stringn((const char *)token, len);
}

/* The JSON as text; takes over root. */
static void take_json(ByteBuffer *text, json_t *root)
{
    char *dumped = json_dumps(root, JSON_COMPACT);
    CHECK(dumped, "out of memory for JSON");
    bytes_append(text, dumped, strlen(dumped));
    free(dumped);
    json_decref(root);
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

static void list_merges(const BpeTrained *t, ByteBuffer *text)
{
    size_t len;
    bytes_append(text, "#version: 0.2\n", 14);
    for (size_t i = 0; i < t->num_merges; i++) {
        const unsigned char *part = token_table_at(&t->tokens, t->merges[i].left, &len);
        bytes_append(text, part, len);
        bytes_append(text, " ", 1);
        part = token_table_at(&t->tokens, t->merges[i].right, &len);
        bytes_append(text, part, len);
        bytes_append(text, "\n", 1);
    }
}

/* ---- the directory ---- */

/* The one that is read first comes first: a kill between two leaves a tokenizer that works. */
static const char *const names[] = {"tokenizer.json", "vocab.json", "merges.txt"};
enum { FILES = COUNT_OF(names) };

typedef struct Out {
    const char *dir;
    bool overwrite, made;
    char *paths[FILES];
} Out;

static int check_out(Out *o, Err *err)
{
    int status = 0;
    for (int i = 0; i < FILES && status == 0; i++) {
        o->paths[i] = xasprintf("%s/%s", o->dir, names[i]);
        status = path_check_new(o->paths[i], o->overwrite, err);
    }
    return status;
}

static int make_dir(Out *o, Err *err)
{
    OWNED char *target = path_to_make(o->dir);
    o->made = mkdir(target, 0777) == 0;
    if (!o->made && errno != EEXIST)
        return path_refuse(o->dir, err);
    struct stat st;
    if (stat(target, &st) == 0 && !S_ISDIR(st.st_mode))
        return err_set(err, "--out '%s': not a folder", o->dir);
    return access(target, W_OK | X_OK) == 0
               ? 0
               : err_set(err, "cannot write into '%s': %s", o->dir, strerror(errno));
}

/* Before anything slow; leaves nothing, so that who stops the training finds nothing. */
static int try_dir(Out *o, Err *err)
{
    int status = make_dir(o, err);
    if (o->made)
        folder_remove(o->dir);
    return status;
}

static void out_release(Out *o)
{
    for (int i = 0; i < FILES; i++)
        free(o->paths[i]);
}

/* A signal waits for the end. */
static int write_tables(Out *o, const BpeTrained *t, Err *err)
{
    interrupt_install();
    if (make_dir(o, err) != 0)
        return -1;
    ByteBuffer texts[FILES] = {0};
    int status = 0;
    take_json(&texts[0], tokenizer_of(t));
    take_json(&texts[1], vocab_of(t));
    list_merges(t, &texts[2]);
    for (int i = 0; i < FILES && status == 0; i++)
        status = file_write(o->paths[i], (const char *)texts[i].data, texts[i].len, err);
    for (int i = 0; i < FILES; i++)
        bytes_release(&texts[i]);
    if (status != 0 && o->made)
        folder_remove(o->dir);
    return status;
}

static int learn(const char *path, size_t vocab, Out *o, Err *err)
{
    const size_t max_bytes = (size_t)1 << 40;
    BpeTrained t;
    size_t len;
    OWNED char *text = file_read(path, max_bytes, &len, err);
    int status = !text ? -1 : len > 0 ? 0 : err_set(err, "'%s' is empty", path);
    if (status != 0 || bpe_train(&t, text, len, vocab, err) != 0)
        return -1;
    status = write_tables(o, &t, err);
    if (status == 0 && t.tokens.count < vocab)
        fprintf(stderr, "tare: the text gives %zu tokens, fewer than %zu\n", t.tokens.count, vocab);
    bpe_trained_release(&t);
    return status;
}

int cmd_tokenizer_train(int argc, char **argv, Err *err)
{
    const char *path = NULL;
    OWNED_BY(out_release) Out o = {0};
    int64_t vocab = 0;
    const Option options[] = {
        option_int("--vocab", "N", &vocab, BPE_TRAIN_LEAST, TOKEN_MAX_IDS,
                   "tokens, of which 256 are the bytes"),
        option_text("--out", "DIR", &o.dir, NULL, "where the tables go; made if it is not there"),
        option_flag("--overwrite", &o.overwrite, "replace the tables of an existing tokenizer"),
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
    if (!vocab || !o.dir)
        return err_set(err, "tokenizer-train: %s is missing; see tare tokenizer-train --help",
                       vocab ? "--out" : "--vocab");
    interrupt_quit(EXIT_INTERRUPTED);
    if (check_out(&o, err) != 0 || try_dir(&o, err) != 0 ||
        learn(path, (size_t)vocab, &o, err) != 0)
        return -1;
    return interrupted() ? EXIT_INTERRUPTED : EXIT_OK;
}
