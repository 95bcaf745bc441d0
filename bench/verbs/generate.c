/* generate: `tare generate`: a prompt in; the tokens that a decoder continues it with out, as they
 * come; what they cost on standard error. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "bench/commands.h"
#include "bench/machine/machine.h"
#include "bench/machine/threads.h"
#include "bench/stats/stats.h"
#include "bench/text/generator.h"
#include "bench/util/ids.h"
#include "bench/util/interrupt.h"
#include "bench/util/options.h"
#include "bench/util/output.h"
#include "bench/util/units.h"

typedef struct GenerateOptions {
    const char *ids, *format, *precision, *kv_type;
    int64_t max_new, top_k, seed, threads;
    double temperature, top_p;
    bool ignore_ends;
} GenerateOptions;

/* What came of it. */
typedef struct Run {
    size_t prompt;
    int32_t *ids; /* [max_new] */
    double *ms;   /* [max_new]: the first from the beginning, then each from the one before */
    size_t count;
    GeneratorStop stop; /* GENERATOR_GOES_ON: interrupted */
} Run;

static int parse_prompt(const GenerateOptions *o, IdTable *ids, Err *err)
{
    if (!o->ids)
        return err_set(err, "generate: --ids is missing; see tare generate --help");
    if (o->ids[strspn(o->ids, " \t\r\n")] == '\0')
        return err_set(err, "--ids: an empty prompt; give at least one token id");
    if (ids_parse(ids, "--ids", o->ids, err) != 0)
        return -1;
    if (ids->rows > 1)
        return err_set(err, "%s: %zu rows, but one prompt is continued at a time", ids->place,
                       ids->rows);
    return 0;
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

/* Asked before any memory is touched: the system would grant it and kill us later. */
static int admit(const Generator *g, Err *err)
{
    char needed[UNIT_TEXT_SIZE], there[UNIT_TEXT_SIZE];
    size_t bytes = decoder_predicted_bytes(&g->decoder);
    int64_t limit = memory_auto_limit();
    if (limit == INT_MISSING || bytes <= (size_t)limit)
        return 0;
    format_bytes(needed, (double)bytes);
    format_bytes(there, (double)limit);
    return err_set(err,
                   "generate: this needs %s, but only %s can be used; give a smaller --max-new, "
                   "--kv-type or --precision",
                   needed, there);
}

/* ---- the loop ---- */

static int show_token(const GenerateOptions *o, const Run *r, Err *err)
{
    if (strcmp(o->format, "ids") != 0)
        return 0;
    printf("%s%d", r->count > 1 ? " " : "", r->ids[r->count - 1]);
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

static void print_statistics(const Run *r)
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
    if (r->stop == GENERATOR_CONTEXT)
        fprintf(stderr, "tare: stopped, for the model has no further positions\n");
}

static json_t *number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static void print_json(const Run *r)
{
    json_t *ids = json_array();
    for (size_t i = 0; i < r->count; i++)
        json_array_append_new(ids, json_integer(r->ids[i]));
    json_t *object = json_pack("{s:I, s:o, s:s, s:o, s:o}", "prompt_tokens", (json_int_t)r->prompt,
                               "ids", ids, "stop", stop_name(r->stop), "ttft_ms",
                               number(r->count ? r->ms[0] : NAN), "tpot_ms", number(gap_ms(r)));
    CHECK(object, "the result is not JSON");
    json_dumpf(object, stdout, JSON_REAL_PRECISION(9));
    json_decref(object);
}

static int finish(const GenerateOptions *o, const Run *r, Err *err)
{
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
    if (admit(g, err) != 0 || generator_load(g, err) != 0)
        return -1;
    unused_print(g->ck.unused);
    threads_warn(o->threads);
    *r = (Run){.prompt = ids->cols,
               .ids = xcalloc(options.max_new, sizeof *r->ids),
               .ms = xcalloc(options.max_new, sizeof *r->ms)};
    int status = continue_prompt(g, o, r, err);
    if (status == 0)
        status = finish(o, r, err);
    else if (r->count > 0 && !output_reader_left())
        putchar('\n');
    if (!output_reader_left())
        print_statistics(r);
    return status;
}

static int run(const char *dir, const GenerateOptions *o, Err *err)
{
    IdTable ids = {0};
    Generator g = {0};
    Run r = {0};
    interrupt_install();
    output_stream();
    int status = parse_prompt(o, &ids, err);
    if (status == 0 && strcmp(o->format, "text") == 0)
        status = err_set(err, "--format text needs a tokenizer; give --format ids or json");
    if (status == 0)
        status = generator_open(&g, dir, err);
    if (status == 0)
        status = generate(&g, &ids, o, &r, err);
    bool stopped = r.ids && r.stop == GENERATOR_GOES_ON;
    free(r.ids);
    free(r.ms);
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
        option_flag("--ignore-eos", &o.ignore_ends, "go on after a token that ends a text"),
        option_text("--format", "FORMAT", &o.format, "text|ids|json",
                    "text; the new ids on one line; or one JSON object"),
        threads_option(&o.threads),
    };
    const Command command = {
        .verb = "generate",
        .arguments = {"MODEL_DIR", 1, 1, &dir},
        .summary = "Continues a prompt, token by token; prints what it cost on standard error.",
        OPTIONS(options),
        .notes =
            "MODEL_DIR is a Hugging Face directory of a GPT-2, Llama, Mistral, Qwen2 or Qwen3.\n"
            "It stops at the eos_token_id of config.json and generation_config.json, which is\n"
            "among the ids printed. In fp32 with a cache of f32 the result depends neither on\n"
            "the number of threads nor on how the prompt is divided.\n",
    };
    int outcome = options_parse(&command, argc, argv, err);
    return outcome == OPTIONS_RUN ? run(dir, &o, err) : outcome;
}
