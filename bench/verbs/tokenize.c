/* tokenize: `tare tokenize`: a line of text in, a line of token ids out, or the other way round. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/files/model_tokenizer.h"
#include "bench/commands.h"
#include "bench/util/lines.h"
#include "bench/util/options.h"
#include "bench/util/output.h"

/* Decimal digits of an id >= 0, at p; returns their end. */
static char *put_id(char *p, int32_t id)
{
    char digits[10];
    size_t n = 0;
    do {
        digits[n++] = (char)('0' + id % 10);
        id /= 10;
    } while (id > 0);
    while (n > 0)
        *p++ = digits[--n];
    return p;
}

static int print_ids(const IdBuffer *ids, Err *err)
{
    char chunk[4096], *p = chunk;
    for (size_t i = 0; i < ids->count; i++) {
        if (p + 12 > chunk + sizeof chunk) { /* ten digits and a separator */
            fwrite(chunk, 1, (size_t)(p - chunk), stdout);
            p = chunk;
        }
        p = put_id(p, ids->ids[i]);
        *p++ = i + 1 < ids->count ? ' ' : '\n';
    }
    if (ids->count == 0)
        *p++ = '\n';
    fwrite(chunk, 1, (size_t)(p - chunk), stdout);
    return ferror(stdout) ? output_flush(err) : 0;
}

static int encode_line(const Tokenizer *t, const Lines *in, size_t max_length, IdBuffer *ids,
                       Err *err)
{
    ids->count = 0;
    tokenizer_encode(t, in->line, in->len, max_length, ids);
    return print_ids(ids, err);
}

/* A line of Lines ends with LF or NUL. */
static int decode_line(const Tokenizer *t, const Lines *in, bool keep_special, ByteBuffer *text,
                       Err *err)
{
    text->len = 0;
    for (const char *at = in->line; at < in->line + in->len;) {
        char *end;
        size_t word = strcspn(at, " \t\r\n");
        if (word == 0) {
            at++;
            continue;
        }
        errno = 0;
        long id = isdigit((unsigned char)*at) ? strtol(at, &end, 10) : -1;
        if (id < 0 || end != at + word || errno || id > INT32_MAX ||
            !tokenizer_decode(t, (int32_t)id, keep_special, text))
            return err_set(err, "'%.*s' is no id of a token", word < 40 ? (int)word : 40, at);
        at = end;
    }
    bytes_append(text, "\n", 1);
    fwrite(text->data, 1, text->len, stdout);
    return ferror(stdout) ? output_flush(err) : 0;
}

typedef struct TokenizeOptions {
    int64_t max_length;
    bool decode, special;
} TokenizeOptions;

static int tokenize_lines(const Tokenizer *t, Lines *in, const TokenizeOptions *o, Err *err)
{
    IdBuffer ids = {0};
    ByteBuffer text = {0};
    int rc = 0, more = 0;
    for (size_t line = 1; rc == 0 && (more = lines_next(in, err)) == 1; line++) {
        if (!o->decode)
            rc = encode_line(t, in, (size_t)o->max_length, &ids, err);
        else if ((rc = decode_line(t, in, o->special, &text, err)) != 0)
            err_prefix(err, "%s:%zu", in->name, line);
    }
    id_buffer_release(&ids);
    bytes_release(&text);
    if (rc == 0 && more == 0)
        return output_flush(err);
    return more < 0 ? -1 : rc;
}

int cmd_tokenize(int argc, char **argv, Err *err)
{
    TokenizeOptions asked = {0};
    const char *paths[2]; /* of the model and of the texts */
    const Option options[] = {
        option_int("--max-length", "N", &asked.max_length, 2, INT32_MAX,
                   "at most N ids a line, the special ones included (default: all)"),
        option_flag("--decode", &asked.decode, "lines of ids become text (byte-level BPE)"),
        option_flag("--special", &asked.special, "with --decode: special tokens are text too"),
    };
    const Command command = {
        .verb = "tokenize",
        .arguments = {"MODEL [FILE]", 1, 2, paths},
        .summary = "Prints the token ids of each line of FILE, or of standard input.",
        OPTIONS(options),
        .notes =
            "MODEL is a GGUF file or a Hugging Face directory, whose tokenizer.json counts first: "
            "a\n"
            "WordPiece of BERT or DistilBERT, or a byte-level BPE as GPT-2, Llama 3, Qwen2 and\n"
            "SmolLM2 have it. Else vocab.txt, or vocab.json and merges.txt; tokenizer_config.json\n"
            "is honoured. Lines end at LF only; bytes that are not UTF-8 are read as U+FFFD.\n",
    };
    int outcome = options_parse(&command, argc, argv, err);
    if (outcome != OPTIONS_RUN)
        return outcome;
    if (asked.decode ? asked.max_length > 0 : asked.special)
        return err_set(err, asked.decode ? "--decode takes no --max-length"
                                         : "--special is for --decode");
    Lines in = {0};
    int rc = -1;
    output_stream();
    Tokenizer *t = model_tokenizer_load(paths[0], err);
    if (t && asked.decode && !tokenizer_decodes(t))
        err_set(err, "--decode is for byte-level BPE, '%s' has a WordPiece", paths[0]);
    else if (t && lines_open(&in, paths[1], err) == 0)
        rc = tokenize_lines(t, &in, &asked, err);
    lines_close(&in);
    tokenizer_free(t);
    return rc;
}
