/* generate: `tare generate`: a prompt in; the tokens that a decoder continues it with out, as they
 * come; what they cost on standard error. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "bench/commands.h"
#include "bench/machine/machine.h"
#include "bench/machine/peaks.h"
#include "bench/machine/threads.h"
#include "bench/machine/warn.h"
#include "bench/row/generate.h"
#include "bench/stats/stats.h"
#include "bench/text/generator.h"
#include "bench/text/prompt.h"
#include "bench/util/fields.h"
#include "bench/util/ids.h"
#include "bench/util/interrupt.h"
#include "bench/util/options.h"
#include "bench/util/output.h"
#include "model/files/model_tokenizer.h"

typedef struct GenerateOptions {
    const char *ids, *prompt, *prompt_file, *format, *precision, *kv_type;
    int64_t max_new, top_k, seed, threads;
    double temperature, top_p;
    bool ignore_ends, chat;
} GenerateOptions;

/* What came of it. */
typedef struct Run {
    size_t prompt;
    int32_t *ids; /* [max_new] */
    double *ms;   /* [max_new]: the first from the beginning, then each from the one before */
    size_t count;
    GeneratorStop stop;         /* GENERATOR_GOES_ON: interrupted */
    const Tokenizer *tokenizer; /* NULL: ids only */
    ByteBuffer text;            /* of the ids */
    size_t shown;               /* bytes of it */
} Run;

/* ---- the prompt ---- */

static int check_prompt(const GenerateOptions *o, Err *err)
{
    int given = (o->ids != NULL) + (o->prompt != NULL) + (o->prompt_file != NULL);
    if (given == 0)
        return err_set(err, "generate: there is no prompt; give --prompt, --prompt-file or --ids");
    if (given > 1)
        return err_set(err, "generate: more than one of --prompt, --prompt-file and --ids");
    return o->chat && o->ids ? err_set(err, "--chat is for --prompt and --prompt-file") : 0;
}

static int parse_ids(const char *text, IdTable *ids, Err *err)
{
    if (text[strspn(text, " \t\r\n")] == '\0')
        return err_set(err, "--ids: an empty prompt; give at least one token id");
    if (ids_parse(ids, "--ids", text, err) != 0)
        return -1;
    return ids->rows == 1 ? 0
                          : err_set(err, "%s: %zu rows, but one prompt is continued at a time",
                                    ids->place, ids->rows);
}

static int encode_prompt(const Tokenizer *t, const GenerateOptions *o, IdTable *ids, Err *err)
{
    enum { MAX_PROMPT = 1 << 28 };
    size_t len = o->prompt ? strlen(o->prompt) : 0;
    OWNED char *text =
        o->prompt ? xstrdup(o->prompt) : file_read(o->prompt_file, MAX_PROMPT, &len, err);
    if (!text)
        return -1;
    IdBuffer buffer = {0};
    prompt_encode(t, text, len, o->chat, &buffer);
    *ids = (IdTable){.rows = 1,
                     .cols = buffer.count,
                     .at = xmalloc((buffer.count + 1) * sizeof *ids->at),
                     .place = xstrdup("the prompt")};
    for (size_t i = 0; i < buffer.count; i++)
        ids->at[i] = buffer.ids[i];
    id_buffer_release(&buffer);
    return ids->cols ? 0 : err_set(err, "an empty prompt; it has to have at least one token");
}

/* Where text comes in or goes out. */
static int open_tokenizer(Tokenizer **t, const char *dir, const GenerateOptions *o, Err *err)
{
    if (o->ids && strcmp(o->format, "text") != 0)
        return 0;
    if (!(*t = model_tokenizer_load(dir, err)))
        return -1;
    if (!tokenizer_decodes(*t))
        return err_set(err, "'%s' has a WordPiece tokenizer, which writes no text", dir);
    return o->chat ? prompt_check_template(dir, err) : 0;
}

static int parse_options(const GenerateOptions *o, GeneratorOptions *g, Err *err)
{
    if (!(o->top_p > 0))
        return err_set(err, "--top-p is %g, but must be above 0 and at most 1", o->top_p);
    *g = (GeneratorOptions){
        .max_new = (size_t)o->max_new,
        .ignore_ends = o->ignore_ends,
        .sampling = {o->temperature, (size_t)o->top_k, o->top_p, (uint64_t)o->seed},
        .cache_type = kv_type(o->kv_type),
        .threads = (int)o->threads,
    };
    if (o->temperature <= 0 && (o->top_k > 0 || o->top_p < 1))
        fprintf(stderr, "tare: at temperature 0 the likeliest token is taken: --top-k and --top-p "
                        "change nothing\n");
    return precision_parse(o->precision, &g->precision, err);
}

/* ---- the loop ---- */

/* Writes what of the text is whole characters; at the `end`, and of what is no UTF-8, all of it. */
static void show_text(Run *r, bool end)
{
    const unsigned char *from = r->text.data + r->shown;
    size_t left = r->text.len - r->shown, whole = utf8_valid_prefix(from, left);
    size_t count = end || left - whole > 3 ? left : whole;
    fwrite(from, 1, count, stdout);
    r->shown += count;
}

static int show_token(const GenerateOptions *o, Run *r, Err *err)
{
    if (r->tokenizer)
        tokenizer_decode(r->tokenizer, r->ids[r->count - 1], false, &r->text);
    if (strcmp(o->format, "json") == 0)
        return 0;
    if (strcmp(o->format, "ids") == 0)
        printf("%s%d", r->count > 1 ? " " : "", r->ids[r->count - 1]);
    else if (r->text.len)
        show_text(r, false);
    return output_flush(err);
}

static int nan_error(const Run *r, Err *err)
{
    return err_set(err, "the model's output after %zu tokens is not finite", r->prompt + r->count);
}

/* 0 also where it was interrupted. */
static int continue_prompt(Generator *g, const GenerateOptions *o, Run *r, Err *err)
{
    int64_t last = clock_ns();
    while (!interrupted() && generator_prefill(g))
        ;
    while (!interrupted()) {
        GeneratorStop stop = generator_next(g, &r->ids[r->count]);
        int64_t now = clock_ns();
        if (stop == GENERATOR_NAN)
            return nan_error(r, err);
        r->ms[r->count++] = (double)(now - last) * 1e-6;
        last = now;
        if (show_token(o, r, err) != 0)
            return -1;
        if (stop != GENERATOR_GOES_ON) {
            r->stop = stop;
            break;
        }
    }
    return 0;
}

/* ---- what came of it ---- */

static const char *stop_name(GeneratorStop stop)
{
    static const char *const names[] = {[GENERATOR_GOES_ON] = "interrupted",
                                        [GENERATOR_END] = "eos",
                                        [GENERATOR_LENGTH] = "length",
                                        [GENERATOR_CONTEXT] = "context"};
    return names[stop];
}

/* The mean gap between tokens after the first, MLPerf's time per output token; NaN without two. */
static double gap_ms(const Run *r)
{
    return mean_of(r->ms + 1, r->count > 1 ? r->count - 1 : 0);
}

/* What a share of a token's time says of memory: half and more is memory's, as in rows; more than
 * all of it was measured beside other programs. */
static const char *limit_words(double share)
{
    if (!(share <= PEAK_SLACK))
        return "more than it took, so other programs ran meanwhile: believe neither";
    return share >= 0.5 ? "memory limits it"
                        : "not memory, but computing, overhead or other programs limit it";
}

/* A token reads all weights and the cache, whose own bandwidth says how long that takes at
 * least. */
static void print_limit(const Run *r, const Decoder *d)
{
    const double keys = (double)r->prompt + (double)r->count / 2;
    double bytes =
        decoder_weight_bytes(&d->config, d->options.precision) +
        keys * (double)decoder_cache_bytes_per_position(&d->config, d->options.cache_type);
    double least_ms = bytes / (row_read_bandwidth(d, 2, 30000000) * 1e6);
    fprintf(stderr, "tare: of those %.2f ms reading weights and cache takes %.2f at least: %s\n",
            gap_ms(r), least_ms, limit_words(least_ms / gap_ms(r)));
}

static void print_statistics(const Run *r, const Decoder *d)
{
    if (r->count == 0)
        return;
    fprintf(stderr, "tare: a prompt of %zu tokens to the first new one in %.2f ms: %.1f tokens/s\n",
            r->prompt, r->ms[0], (double)r->prompt * 1e3 / r->ms[0]);
    if (r->count > 1)
        fprintf(stderr,
                "tare: %zu more in %.2f ms each: %.1f tokens/s (median %.2f, longest %.2f)\n",
                r->count - 1, gap_ms(r), 1e3 / gap_ms(r), median_of(r->ms + 1, r->count - 1),
                max_of(r->ms + 1, r->count - 1));
    if (r->count > 1 && r->stop != GENERATOR_GOES_ON)
        print_limit(r, d);
    if (r->stop == GENERATOR_CONTEXT)
        fprintf(stderr, "tare: stopped, for the model has no further positions\n");
}

static void print_json(const Run *r)
{
    json_t *ids = json_array();
    for (size_t i = 0; i < r->count; i++)
        json_array_append_new(ids, json_integer(r->ids[i]));
    json_t *object =
        json_pack("{s:I, s:o, s:s, s:o, s:o}", "prompt_tokens", (json_int_t)r->prompt, "ids", ids,
                  "stop", stop_name(r->stop), "ttft_ms", number_json(r->count ? r->ms[0] : NAN),
                  "tpot_ms", number_json(gap_ms(r)));
    CHECK(object, "the result is not JSON");
    if (r->tokenizer) {
        ByteBuffer text = {0};
        utf8_repair(&text, r->text.data, r->text.len);
        json_object_set_new(object, "text", json_stringn((const char *)text.data, text.len));
        bytes_release(&text);
    }
    json_dumpf(object, stdout, JSON_REAL_PRECISION(9));
    json_decref(object);
}

static int finish(const GenerateOptions *o, Run *r, Err *err)
{
    if (strcmp(o->format, "text") == 0 && r->text.len)
        show_text(r, true);
    if (strcmp(o->format, "json") == 0)
        print_json(r);
    putchar('\n');
    return output_flush(err);
}

static int generate(Generator *g, const IdTable *ids, const GenerateOptions *o, Run *r, Err *err)
{
    GeneratorOptions options;
    if (ids_check(ids, 0, (int32_t)g->ck.config.vocab_size - 1, "a token id", err) != 0 ||
        parse_options(o, &options, err) != 0)
        return -1;
    if (generator_plan(g, ids->at, ids->cols, &options, err) != 0)
        return err_prefix(err, "%s", ids->place);
    if (memory_check(decoder_predicted_bytes(&g->decoder), "generate: this",
                     "give a smaller --max-new, --kv-type or --precision", err) != 0 ||
        generator_load(g, err) != 0)
        return -1;
    unused_print(g->ck.unused);
    machine_warn(o->threads);
    r->prompt = ids->cols;
    r->ids = xcalloc(options.max_new, sizeof *r->ids);
    r->ms = xcalloc(options.max_new, sizeof *r->ms);
    int status = continue_prompt(g, o, r, err);
    if (status == 0)
        status = finish(o, r, err);
    else if (r->count > 0 && !output_reader_left())
        putchar('\n');
    if (!output_reader_left())
        print_statistics(r, &g->decoder);
    return status;
}

static int run(const char *dir, const GenerateOptions *o, Err *err)
{
    IdTable ids = {0};
    Generator g = {0};
    Run r = {0};
    interrupt_install();
    output_stream();
    Tokenizer *tokenizer = NULL;
    int status = check_prompt(o, err);
    if (status == 0 && o->ids)
        status = parse_ids(o->ids, &ids, err);
    if (status == 0)
        status = generator_open(&g, dir, err);
    if (status == 0)
        status = open_tokenizer(&tokenizer, dir, o, err);
    if (status == 0 && !o->ids)
        status = encode_prompt(tokenizer, o, &ids, err);
    r.tokenizer = tokenizer;
    if (status == 0)
        status = generate(&g, &ids, o, &r, err);
    bool stopped = r.ids && r.stop == GENERATOR_GOES_ON;
    free(r.ids);
    free(r.ms);
    bytes_release(&r.text);
    tokenizer_free(tokenizer);
    generator_release(&g);
    ids_release(&ids);
    if (status != 0)
        return -1;
    return stopped ? EXIT_INTERRUPTED : EXIT_OK;
}

int cmd_generate(int argc, char **argv, Err *err)
{
    GenerateOptions o = {.format = "text",
                         .precision = "fp32",
                         .kv_type = "f32",
                         .max_new = 128,
                         .top_p = 1,
                         .threads = threads_default()};
    const char *dir = NULL;
    const Option options[] = {
        option_text("--prompt", "TEXT", &o.prompt, NULL, "the prompt"),
        option_text("--prompt-file", "FILE", &o.prompt_file, NULL, "the prompt, from a file"),
        option_text("--ids", "IDS", &o.ids, NULL, "the prompt as token ids, \"1 2 3\" or @FILE"),
        option_int("--max-new", "N", &o.max_new, 1, MAX_DIMENSION,
                   "generate at most N tokens (128)"),
        option_real("--temperature", "T", &o.temperature, 0, 1000,
                    "0, the default, takes the likeliest token; otherwise draw at T"),
        option_int("--top-k", "N", &o.top_k, 1, MAX_DIMENSION, "draw from the N likeliest tokens"),
        option_real("--top-p", "P", &o.top_p, 0, 1,
                    "draw from the likeliest tokens that make up the probability P"),
        option_int("--seed", "N", &o.seed, 0, INT64_MAX, "of the draws (0)"),
        option_text("--kv-type", "TYPE", &o.kv_type, KV_TYPES,
                    "what the cache of keys and values is stored in"),
        option_text("--precision", "FORMAT", &o.precision, PRECISION_NAMES,
                    "what the model computes in"),
        option_flag(
            "--chat", &o.chat,
            "the prompt is what a user says: wrap it in ChatML, if the model's template is that"),
        option_flag("--ignore-eos", &o.ignore_ends, "go on after a token that ends a text"),
        option_text("--format", "FORMAT", &o.format, "text|ids|json",
                    "text; the new ids on one line; or one JSON object"),
        threads_option(&o.threads),
    };
    const Command command = {
        .verb = "generate",
        .arguments = {"MODEL", 1, 1, &dir},
        .summary = "Continues a prompt, token by token; prints what it cost on standard error.",
        OPTIONS(options),
        .notes =
            "MODEL is a GPT-2, Llama, Mistral, Qwen2 or Qwen3: a Hugging Face directory or a\n"
            "GGUF file. It stops at the eos_token_id of config.json and generation_config.json,\n"
            "which is among the ids printed. In fp32 with a cache of f32 the result depends\n"
            "neither on the number of threads nor on how the prompt is divided.\n",
    };
    int outcome = options_parse(&command, argc, argv, err);
    return outcome == OPTIONS_RUN ? run(dir, &o, err) : outcome;
}
