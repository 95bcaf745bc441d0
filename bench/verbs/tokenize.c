/* tokenize: `tare tokenize`: a line of text in, a line of token ids out. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "model/tokenizer/wordpiece.h"
#include "bench/commands.h"
#include "bench/util/lines.h"
#include "bench/util/options.h"

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

static int write_failed(Err *err)
{
    return err_set(err, "cannot write to standard output: %s", strerror(errno));
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
    fwrite(chunk, 1, (size_t)(p - chunk), stdout);
    return ferror(stdout) ? write_failed(err) : 0;
}

static int tokenize_lines(const WordPiece *w, Lines *in, size_t max_length, Err *err)
{
    IdBuffer ids = {0};
    int rc = 0, more = 0;
    while (rc == 0 && (more = lines_next(in, err)) == 1) {
        ids.count = 0;
        wordpiece_encode(w, in->line, in->len, max_length, &ids);
        rc = print_ids(&ids, err);
    }
    id_buffer_release(&ids);
    if (rc == 0 && more == 0 && fflush(stdout) != 0)
        return write_failed(err);
    return more < 0 ? -1 : rc;
}

int cmd_tokenize(int argc, char **argv, Err *err)
{
    int64_t max_length = 0;
    const char *paths[2]; /* of the model and of the texts */
    const Option options[] = {
        option_int("--max-length", "N", &max_length, 2, INT32_MAX,
                   "at most N ids a line, the two special ones included (default: all)"),
    };
    const Command command = {
        .verb = "tokenize",
        .arguments = {"MODEL_DIR [FILE]", 1, 2, paths},
        .summary = "Prints the token ids of each line of FILE, or of standard input.",
        OPTIONS(options),
        .notes =
            "MODEL_DIR is a Hugging Face directory with the tokenizer.json or else the vocab.txt\n"
            "of a BERT or DistilBERT; tokenizer_config.json is honoured. Lines end at LF only;\n"
            "bytes that are not UTF-8 are read as U+FFFD.\n",
    };
    int outcome = options_parse(&command, argc, argv, err);
    if (outcome != OPTIONS_RUN)
        return outcome;
    Lines in = {0};
    int rc = -1;
    WordPiece *w = wordpiece_load(paths[0], err);
    if (w && lines_open(&in, paths[1], err) == 0)
        rc = tokenize_lines(w, &in, (size_t)max_length, err);
    lines_close(&in);
    wordpiece_free(w);
    return rc;
}
