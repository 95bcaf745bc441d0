/* run: see run.h. */
#include "bench/row/run.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/machine/threads.h"
#include "bench/row/counters.h"
#include "bench/row/probe.h"
#include "bench/row/result.h"
#include "bench/row/config.h"
#include "bench/row/support.h"
#include "bench/row/trace.h"
#include "bench/stats/steady.h"

enum {
    /* num_warmups = "auto" or "window" looks after each block of runs, up to a maximum. */
    WARMUP_BLOCK = 5,
    MAX_AUTO_WARMUPS = 100,
    /* From so many rows on packing weights beforehand gains hardly anything. */
    PACK_BELOW_ROWS = 256,
};

/* Streams of random numbers beside those of the parameters, which count from 0. */
enum { STREAM_TOKENS = 1 << 30, STREAM_TARGETS };

typedef struct Batch {
    int32_t *tokens, *targets; /* [batch, context] */
} Batch;

ModelOptions row_model_options(const RowConfig *c, size_t memory_limit)
{
    bool few_rows = c->batch_size * c->context_length < PACK_BELOW_ROWS;
    RecomputeChoice recompute;
    Err err;
    CHECK(recompute_parse(c->recompute, &recompute, &err) == 0, "%s",
          err.msg); /* row_config has refused it */
    return (ModelOptions){
        .wants = {.batch = (size_t)c->batch_size,
                  .context = (size_t)c->context_length,
                  .loss = true},
        .precision = row_precision(c),
        .backward = !c->forward_only,
        .optimizer = !c->forward_only && strcmp(c->optimizer, "adamw") == 0,
        .pack_weights = c->forward_only && few_rows && strcmp(c->gemm, "packed") == 0,
        .recompute = recompute,
        .memory_limit = memory_limit,
        .threads = (int)c->threads,
    };
}

static int32_t *random_ids(const RowConfig *c, size_t vocab, uint64_t stream)
{
    size_t count = (size_t)(c->batch_size * c->context_length);
    int32_t *ids = xmalloc(count * sizeof *ids);
    for (size_t i = 0; i < count; i++)
        ids[i] = (int32_t)(rng_uniform((uint64_t)c->seed, stream, i) * (double)vocab);
    return ids;
}

/* One run, timed or warmup. Everything between the first stamp and the last is the time of the
 * trial: handing the inputs over, forward to the loss, backward into every parameter's gradient,
 * and the update, where the row has them. */
static Sample run_once(Model *m, const Batch *batch, const AdamW *adamw)
{
    Counters before, after;
    counters_before(&before);

    int64_t start = clock_ns();
    model_set_tokens(m, batch->tokens);
    model_set_targets(m, batch->targets);
    model_forward(m);
    int64_t forward_done = clock_ns(), backward_done = forward_done;
    if (m->options.backward) {
        model_backward(m);
        backward_done = clock_ns();
    }
    int64_t end = backward_done;
    if (m->options.optimizer) {
        model_update(m, adamw);
        end = clock_ns();
    }

    counters_after(&after);
    Sample s = sample_empty();
    s.wall_ns = end - start;
    s.forward_ns = forward_done - start;
    if (m->options.backward)
        s.backward_ns = backward_done - forward_done;
    if (m->options.optimizer)
        s.optimizer_ns = end - backward_done;
    counters_difference(&before, &after, &s);
    return s;
}

/* What a row's runs have in common. */
typedef struct Runs {
    Model *model;
    Batch batch;
    AdamW adamw;
    Samples *samples;
    Probe probe;
} Runs;

static void run_many(Runs *runs, int64_t count, bool warmup)
{
    for (int64_t i = 0; i < count; i++) {
        Sample s = run_once(runs->model, &runs->batch, &runs->adamw);
        s.trial = (int64_t)runs->samples->count + 1;
        s.is_warmup = warmup;
        s.process = 1;
        probe_after(&runs->probe, &s);
        samples_add(runs->samples, s);
    }
}

/* Warms up in blocks until the runs look steady, by the cheaper rule if `window`. These runs are no
 * trials: they were chosen for looking steady. Returns the number of runs. */
static int64_t warm_up_until_steady(Runs *runs, bool window)
{
    double ns[MAX_AUTO_WARMUPS];
    int64_t done = 0;
    bool steady;
    do {
        run_many(runs, WARMUP_BLOCK, true);
        done += WARMUP_BLOCK;
        size_t n = samples_column(runs->samples, ALL_RUNS, "wall_ns", 1, ns);
        steady = window ? steady_window_settled(ns, n) : steady_warmed_up(ns, n, STEADY_DELTA);
    } while (done < MAX_AUTO_WARMUPS && !steady);
    return done;
}

/* Nothing of the arena, the gradients or the moments is touched before the first run, warmup or
 * timed: that run pays for first touch, for packing weights and for starting the team of threads.
 * (Initialising the weights may start the team as well; next to first touch that does not show.) */
static int64_t run_all(Runs *runs, const RowConfig *c)
{
    bool automatic = row_config_finds_warmups(c);
    int64_t most = automatic ? MAX_AUTO_WARMUPS : c->num_warmups;
    samples_reserve(runs->samples, (size_t)(most + c->num_trials));
    int64_t warmups = c->num_warmups;
    if (automatic)
        warmups = warm_up_until_steady(runs, strcmp(c->warmup_mode, "window") == 0);
    else
        run_many(runs, warmups, true);
    run_many(runs, c->num_trials, false);
    return warmups;
}

static json_t *trace_run(Runs *runs)
{
    Trace trace;
    trace_init(&trace, &runs->model->plan);
    runs->model->exec.hook = trace_step;
    runs->model->exec.hook_ctx = &trace;
    int64_t start = clock_ns();
    const Sample run = run_once(runs->model, &runs->batch, &runs->adamw);
    json_t *events = trace_to_json(&trace, start, &run);
    trace_release(&trace);
    return events;
}

static void run_profiled(Runs *runs, int64_t count, Profile *profile)
{
    Model *m = runs->model;
    profile->backward = m->options.backward;
    profile->slices = (int64_t)m->plan.slices.count;
    samples_reserve(&profile->runs, (size_t)count);
    m->exec.hook = profile_step;
    m->exec.hook_ctx = profile;
    for (int64_t i = 0; i < count; i++)
        samples_add(&profile->runs, run_once(m, &runs->batch, &runs->adamw));
    if (profile->traced)
        profile->trace = trace_run(runs);
}

/* Runs the planned model and fills the columns that only the row's own process knows. */
static int run_planned(RowResult *r, Model *m, Samples *samples, const RowExtras *extras, Err *err)
{
    const RowConfig *c = &r->config;
    if (model_alloc(m, err) != 0)
        return -1;
    params_randomize(&m->params, (uint64_t)c->seed, (int)c->threads);
    size_t vocab = m->config.vocab_size;
    Runs runs = {
        .model = m,
        .batch = {random_ids(c, vocab, STREAM_TOKENS), random_ids(c, vocab, STREAM_TARGETS)},
        .adamw = adamw_defaults(),
        .samples = samples};
    if (!extras->no_probe)
        probe_open(&runs.probe, (int)c->threads);
    r->config.num_warmups = run_all(&runs, c);
    counters_doubt(samples);
    probe_close(&runs.probe);
    r->loss = (double)model_loss(m);
    r->peak_rss_bytes = peak_rss_bytes(getpid());
    r->threads_seen = threads_seen(c->threads); /* now, so that the first run starts the team */
    if (extras->profile)
        run_profiled(&runs, c->num_trials, extras->profile);
    free(runs.batch.tokens);
    free(runs.batch.targets);
    return 0;
}

int row_run(RowResult *r, Samples *samples, const RowExtras *extras, Err *err)
{
    const RowConfig *c = &r->config;
    FieldTEXT reason;
    if (!row_supported(c, reason))
        return err_set(err, "%s", reason);
    if (gemm_select(c->gemm, err) != 0)
        return -1;
    ModelConfig config = row_config_model(c);
    ModelOptions options = row_model_options(c, extras->memory_limit);
    Model m;
    omp_set_num_threads(options.threads); /* for a BLAS that asks OpenMP */
    model_plan(&m, &config, &options);
    r->num_params = (int64_t)model_num_params(&config);
    r->model_flops =
        model_flops(&config, options.wants.batch, options.wants.context, options.backward);
    r->predicted_peak_bytes = (int64_t)model_predicted_bytes(&m);
    text_set(r->recompute_used, recompute_name(m.recompute));
    row_product_fill(r);
    text_set(r->isa, kernels()->isa);
    text_set(r->blas, gemm_blas_description());
    int status = run_planned(r, &m, samples, extras, err);
    model_release(&m);
    if (status != 0)
        return -1;
    result_fill(r, samples, clock_cost().resolution_ns);
    if (!isfinite(r->loss))
        return err_set(err, "the loss is %g: the arithmetic went wrong", r->loss);
    text_set(r->status, STATUS_OK);
    return 0;
}
