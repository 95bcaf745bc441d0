/* generate: see generate.h. */
#include "bench/row/generate.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/machine/machine.h"
#include "bench/machine/threads.h"
#include "bench/row/config.h"
#include "bench/row/counters.h"
#include "bench/row/model_dir.h"
#include "bench/row/result.h"
#include "bench/row/runs.h"
#include "bench/row/support.h"
#include "bench/util/md5.h"

/* ---- before anything runs ---- */

/* Positions of each sequence that prompts fill. */
static size_t prompt_length(const RowConfig *c)
{
    return (size_t)(row_task(c) == TASK_PREFILL ? c->context_length : c->depth);
}

DecoderOptions row_decoder_options(const RowConfig *c)
{
    size_t rows = (size_t)c->ubatch, prompts = (size_t)c->batch_size * prompt_length(c);
    bool decodes = row_task(c) == TASK_DECODE;
    return (DecoderOptions){
        .batch = (size_t)c->batch_size,
        .capacity = row_positions(c),
        .rows = {decodes ? (size_t)c->batch_size : 0, prompts % rows, prompts >= rows ? rows : 0},
        .precision = row_precision(c),
        .cache_type = kv_type(c->kv_type),
        .blas = strcmp(c->gemm, "openblas") == 0,
        .threads = (int)c->threads};
}

/* Decode reads all weights once a step, for a token of each sequence, and of each sequence the keys
 * and values before it; prefill the weights once for each piece of the prompts. */
static void fill_bytes(RowResult *r, const ModelConfig *m)
{
    const RowConfig *c = &r->config;
    double batch = (double)c->batch_size, tokens = row_tokens(c), passes, keys;
    if (row_task(c) == TASK_DECODE) {
        passes = (double)c->n_gen;
        keys = (double)c->depth + ((double)c->n_gen + 1) / 2;
    } else {
        passes = ceil(tokens / (double)c->ubatch);
        keys = 1; /* each is written; those before it are read from a cache of the processor */
    }
    double weights = decoder_weight_bytes(m, row_precision(c));
    r->weight_bytes = (int64_t)weights;
    r->kv_bytes_per_token = (int64_t)decoder_cache_bytes_per_position(m, kv_type(c->kv_type));
    r->kv_cache_bytes = r->kv_bytes_per_token * c->batch_size * (int64_t)row_positions(c);
    r->bytes_per_token = passes * weights / tokens + keys * (double)r->kv_bytes_per_token;
    r->model_flops = batch * (row_task(c) == TASK_DECODE
                                  ? decoder_step_flops(m, (double)c->depth, (double)c->n_gen)
                                  : decoder_prefill_flops(m, (double)c->context_length));
}

void row_fill_work(RowResult *r, const ModelConfig *m)
{
    const RowConfig *c = &r->config;
    if (row_task(c) == TASK_LOSS)
        r->model_flops =
            model_flops(m, (size_t)c->batch_size, (size_t)c->context_length, !c->forward_only);
    else
        fill_bytes(r, m);
}

/* ---- the runs ---- */

typedef struct Generation {
    const RowConfig *config;
    Decoder decoder;
    int32_t *prompt; /* of all sequences, each prompt_length */
    size_t *starts;
    int32_t *first; /* [batch]: the token that decode begins with */
    int32_t *ids;   /* [batch, n_gen] of the last run; of prefill [batch, 1] */
    size_t num_ids; /* of a sequence */
    int64_t *ns;    /* [n_gen]: when each step of the last run ended, from its begin */
} Generation;

static void fill_cache(Generation *g)
{
    Prompts p = {.tokens = g->prompt, .starts = g->starts};
    while (decoder_prefill(&g->decoder, &p, (size_t)g->config->ubatch, NULL))
        ;
}

static void keep_ids(Generation *g, size_t step)
{
    for (size_t b = 0; b < g->decoder.options.batch; b++)
        g->ids[b * g->num_ids + step] = g->decoder.next[b];
}

/* The trial: the prompts into an empty cache, until the likeliest next token of each is known. */
static Sample run_prefill(void *what)
{
    Generation *g = what;
    Counters before, after;
    decoder_cut(&g->decoder, 0);
    counters_before(&before);
    int64_t start = clock_ns();
    fill_cache(g);
    int64_t end = clock_ns();
    counters_after(&after);
    keep_ids(g, 0);
    Sample s = sample_empty();
    s.wall_ns = s.forward_ns = end - start;
    counters_difference(&before, &after, &s);
    return s;
}

/* The trial: n_gen steps, each reading the likeliest token of the last. The cache is cut back
 * before it. */
static Sample run_decode(void *what)
{
    Generation *g = what;
    Decoder *d = &g->decoder;
    Counters before, after;
    decoder_cut(d, prompt_length(g->config));
    memcpy(d->next, g->first, d->options.batch * sizeof *d->next);
    counters_before(&before);
    int64_t start = clock_ns();
    for (size_t i = 0; i < g->num_ids; i++) {
        decoder_step(d);
        keep_ids(g, i);
        g->ns[i] = clock_ns() - start;
    }
    counters_after(&after);
    Sample s = sample_empty();
    s.wall_ns = s.forward_ns = g->ns[g->num_ids - 1];
    counters_difference(&before, &after, &s);
    return s;
}

static void note_tokens(void *what, int64_t trial, Samples *samples)
{
    const Generation *g = what;
    for (size_t i = 0; i < g->num_ids; i++)
        samples_add_token(samples, (TokenTime){.trial = trial,
                                               .token = (int64_t)i,
                                               .depth = g->config->depth + (int64_t)i,
                                               .ns = g->ns[i] - (i ? g->ns[i - 1] : 0)});
}

/* ---- what came out ---- */

static bool has_nan(const Generation *g)
{
    for (size_t i = 0; i < g->decoder.options.batch * g->num_ids; i++)
        if (g->ids[i] < 0)
            return true;
    return false;
}

static void fill_ids(RowResult *r, const Generation *g)
{
    char *text = NULL, md5[MD5_TEXT_SIZE];
    size_t len;
    FILE *f = open_memstream(&text, &len);
    CHECK(f, "no memory for a stream");
    for (size_t i = 0; i < g->decoder.options.batch * g->num_ids; i++)
        fprintf(f, "%d%c", g->ids[i], (i + 1) % g->num_ids ? ' ' : '\n');
    fclose(f);
    md5_text(text, len, md5);
    text_set(r->ids_md5, md5);
    free(text);
}

double row_read_bandwidth(const Decoder *d, int passes, int64_t least_ns)
{
    double best = 0;
    int64_t begin = clock_ns(), start = begin;
    for (int i = 0; i < passes || start - begin < least_ns; i++) {
        size_t bytes = decoder_read_memory(d);
        int64_t end = clock_ns();
        best = fmax(best, (double)bytes / (double)(end - start));
        start = end;
    }
    return best;
}

static int run_planned(RowResult *r, Generation *g, Samples *samples, const RowExtras *extras,
                       Err *err)
{
    const RowConfig *c = &r->config;
    bool decodes = row_task(c) == TASK_DECODE;
    if (decoder_alloc(&g->decoder, err) != 0 || row_weights_fill(c, &g->decoder.params, err) != 0)
        return -1;
    if (decodes) {
        fill_cache(g);
        samples_reserve_tokens(samples, (size_t)c->num_trials * g->num_ids);
    }
    const Runs runs = {.once = decodes ? run_decode : run_prefill,
                       .after_trial = decodes ? note_tokens : NULL,
                       .what = g,
                       .samples = samples,
                       .no_probe = extras->no_probe};
    r->config.num_warmups = run_all(&runs, c);
    counters_doubt(samples);
    r->peak_rss_bytes = peak_rss_bytes(getpid());
    r->threads_seen = threads_seen(c->threads); /* now, so that the first run starts the team */
    if (has_nan(g))
        return err_set(err, "a logit is not a number: the arithmetic went wrong");
    fill_ids(r, g);
    r->peak_gb_per_s = row_read_bandwidth(&g->decoder, 5, 200000000);
    if (extras->profile)
        profile_runs(extras->profile, &g->decoder.exec, c->num_trials, runs.once, g);
    return 0;
}

static void generation_init(Generation *g, const RowConfig *c, const ModelConfig *m)
{
    const DecoderOptions o = row_decoder_options(c);
    size_t length = prompt_length(c);
    *g = (Generation){.config = c, .num_ids = row_task(c) == TASK_DECODE ? (size_t)c->n_gen : 1};
    decoder_plan(&g->decoder, m, &o);
    g->prompt = random_ids(c, o.batch * length, m->vocab_size, STREAM_TOKENS);
    g->first = random_ids(c, o.batch, m->vocab_size, STREAM_TARGETS);
    g->starts = xcalloc(o.batch + 1, sizeof *g->starts);
    for (size_t b = 0; b <= o.batch; b++)
        g->starts[b] = b * length;
    g->ids = xcalloc(o.batch * g->num_ids, sizeof *g->ids);
    g->ns = xcalloc(g->num_ids, sizeof *g->ns);
}

static void generation_release(Generation *g)
{
    decoder_release(&g->decoder);
    free(g->prompt);
    free(g->first);
    free(g->starts);
    free(g->ids);
    free(g->ns);
}

int row_generate(RowResult *r, Samples *samples, const RowExtras *extras, Err *err)
{
    const RowConfig *c = &r->config;
    const ModelConfig m = row_config_model(c);
    Generation g;
    omp_set_num_threads((int)c->threads); /* for a BLAS that asks OpenMP */
    generation_init(&g, c, &m);
    r->num_params = (int64_t)model_num_params(&m);
    r->predicted_peak_bytes = (int64_t)decoder_predicted_bytes(&g.decoder);
    row_fill_work(r, &m);
    row_product_fill(r);
    text_set(r->isa, kernels()->isa);
    text_set(r->blas, gemm_blas_description());
    int status = run_planned(r, &g, samples, extras, err);
    generation_release(&g);
    if (status != 0)
        return -1;
    result_fill(r, samples, clock_cost().resolution_ns);
    text_set(r->status, STATUS_OK);
    return 0;
}
