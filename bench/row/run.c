/* run: see run.h. */
#include "bench/row/run.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/machine/threads.h"
#include "bench/row/counters.h"
#include "bench/row/result.h"
#include "bench/row/config.h"
#include "bench/row/generate.h"
#include "bench/row/model_dir.h"
#include "bench/row/ranked.h"
#include "bench/row/runs.h"
#include "bench/row/support.h"
#include "bench/row/trace.h"
#include "bench/stats/stats.h"

/* From so many rows on packing weights beforehand gains hardly anything. */
enum { PACK_BELOW_ROWS = 256 };

typedef struct Batch {
    const int32_t *tokens, *targets; /* [batch, context] */
} Batch;

ModelOptions row_model_options(const RowConfig *c, size_t memory_limit)
{
    bool few_rows = row_rank_batch(c) * (size_t)c->context_length < PACK_BELOW_ROWS;
    RecomputeChoice recompute;
    Err err;
    CHECK(recompute_parse(c->recompute, &recompute, &err) == 0, "%s",
          err.msg); /* row_config has refused it */
    return (ModelOptions){
        .wants = {.batch = row_rank_batch(c), .context = (size_t)c->context_length, .loss = true},
        .precision = row_precision(c),
        .backward = !c->forward_only,
        .optimizer = !c->forward_only && strcmp(c->optimizer, "adamw") == 0,
        .pack_weights = c->forward_only && few_rows && strcmp(c->gemm, "packed") == 0 &&
                        row_parallel(c).strategy != FSDP, /* a copy of what is given back */
        .recompute = recompute,
        .memory_limit = memory_limit,
        .threads = (int)c->threads,
    };
}

/* A row of task loss. */
typedef struct LossRuns {
    Model *model;
    Batch batch; /* of this process */
    AdamW adamw;
    Parallel *parallel; /* around the model; of one process it adds nothing */
    RankedRow *ranked;  /* NULL: one process */
    int64_t start_ns;   /* of the last run (clock_ns) */
} LossRuns;

/* One run, timed or warmup. Everything between the first stamp and the last is the time of the
 * trial: handing the inputs over, forward to the loss, backward into every parameter's gradient,
 * and the update, where the row has them; of several ranks with what they communicate. */
static Sample run_once(void *what)
{
    LossRuns *l = what;
    Counters before, after;
    const ModelOptions *options = &l->model->options;
    counters_before(&before);

    int64_t start = l->start_ns = clock_ns();
    model_set_tokens(l->model, l->batch.tokens);
    model_set_targets(l->model, l->batch.targets);
    parallel_forward(l->parallel, &l->model->plan);
    int64_t forward_done = clock_ns(), backward_done = forward_done;
    if (options->backward) {
        parallel_backward(l->parallel);
        backward_done = clock_ns();
    }
    int64_t end = backward_done;
    if (options->optimizer) {
        parallel_update(l->parallel, &l->adamw, 1.0f);
        end = clock_ns();
    }

    counters_after(&after);
    Sample s = sample_empty();
    s.wall_ns = end - start;
    s.forward_ns = forward_done - start;
    if (options->backward)
        s.backward_ns = backward_done - forward_done;
    if (options->optimizer)
        s.optimizer_ns = end - backward_done;
    counters_difference(&before, &after, &s);
    return s;
}

static Sample run_loss(void *what)
{
    LossRuns *l = what;
    if (!l->ranked)
        return run_once(l);
    ranked_begin(l->ranked);
    Sample s = run_once(l);
    ranked_end(l->ranked, &s);
    return s;
}

/* Backward alone, for backward_slowdown_ms: nothing is communicated, the weights stay. */
static void run_quiet(const LossRuns *l, const RowConfig *c)
{
    enum { MOST = 3 };
    double ns[MOST];
    size_t count = c->num_trials < MOST ? (size_t)c->num_trials : MOST;
    Strategy strategy = l->parallel->options.strategy;
    if (c->forward_only || (strategy != DDP_OVERLAP && strategy != DDP_BUCKET))
        return;
    l->parallel->muted = true;
    for (size_t i = 0; i < count; i++) {
        ranked_begin(l->ranked);
        model_set_tokens(l->model, l->batch.tokens);
        model_set_targets(l->model, l->batch.targets);
        parallel_forward(l->parallel, &l->model->plan);
        int64_t start = clock_ns();
        parallel_backward(l->parallel);
        ns[i] = ranked_slowest(l->ranked, (double)(clock_ns() - start));
    }
    l->parallel->muted = false;
    l->ranked->quiet_backward_ns = median_of(ns, count);
}

/* What of the model explains a trace's times. */
static json_t *trace_about(const Model *m)
{
    const ModelConfig *c = &m->config;
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:b}", "batch_size",
                     (json_int_t)m->options.wants.batch, "context_length",
                     (json_int_t)m->options.wants.context, "d_model", (json_int_t)c->d_model,
                     "num_layers", (json_int_t)c->num_layers, "head_dim",
                     (json_int_t)model_heads(c).channels, "backward", (int)m->options.backward);
}

static json_t *trace_run(LossRuns *runs)
{
    Trace trace;
    trace_init(&trace, &runs->model->plan);
    JobLog log = {0};
    runs->model->exec.hook = trace_step;
    runs->model->exec.hook_ctx = &trace;
    if (runs->ranked) {
        ranked_begin(runs->ranked);
        runs->ranked->comm.log = &log;
    }
    const Sample run = run_once(runs);
    json_t *events = trace_to_json(&trace, runs->start_ns, &run);
    if (runs->ranked) {
        comm_barrier(&runs->ranked->comm); /* what was done is then noted */
        runs->ranked->comm.log = NULL;
        trace_add_jobs(events, &trace, &log, &runs->model->params, &runs->ranked->comm.comm,
                       runs->start_ns);
    }
    free(log.at);
    json_object_set_new(events, "otherData", trace_about(runs->model));
    trace_release(&trace);
    return events;
}

static void run_profiled(LossRuns *runs, int64_t count, Profile *profile)
{
    Model *m = runs->model;
    profile->backward = m->options.backward;
    profile->slices = (int64_t)m->plan.slices.count;
    profile_runs(profile, &m->exec, count, run_once, runs);
    if (profile->traced)
        profile->trace = trace_run(runs);
}

static int fill_weights(const RowConfig *c, Parallel *p, Err *err)
{
    if (!c->model_dir[0]) {
        parallel_randomize(p, (uint64_t)c->seed);
        return 0;
    }
    int status = row_weights_fill(c, p->params, err);
    parallel_keep_own(p);
    return status;
}

/* Runs the planned model and fills the columns that only the row's own process knows. ranked: NULL
 * of one process. */
static int run_planned(RowResult *r, Model *m, RankedRow *ranked, Samples *samples,
                       const RowExtras *extras, Err *err)
{
    const RowConfig *c = &r->config;
    Parallel alone, *parallel = ranked ? &ranked->parallel : &alone;
    const ParallelOptions how = row_parallel(c);
    if (model_alloc(m, err) != 0)
        return -1;
    parallel_init(parallel, &m->params, &m->exec, &m->plan, ranked ? &ranked->comm : NULL, &how);
    if (fill_weights(c, parallel, err) != 0)
        return -1;
    size_t vocab = m->config.vocab_size, place = ranked ? (size_t)ranked->comm.comm.rank : 0;
    size_t count = (size_t)(c->batch_size * c->context_length),
           from = place * row_rank_batch(c) * (size_t)c->context_length;
    OWNED int32_t *tokens = random_ids(c, count, vocab, STREAM_TOKENS);
    OWNED int32_t *targets = random_ids(c, count, vocab, STREAM_TARGETS);
    LossRuns runs = {.model = m,
                     .batch = {tokens + from, targets + from},
                     .adamw = adamw_defaults(),
                     .parallel = parallel,
                     .ranked = ranked};
    if (ranked && ranked_fit(ranked, err) != 0)
        return -1;
    r->config.num_warmups = run_all(
        &(Runs){.once = run_loss, .what = &runs, .samples = samples, .no_probe = extras->no_probe},
        c);
    counters_doubt(samples);
    r->loss = (double)model_loss(m);
    r->peak_rss_bytes = peak_rss_bytes(getpid());
    r->threads_seen = threads_seen(c->threads); /* now, so that the first run starts the team */
    if (ranked) {
        run_quiet(&runs, c);
        if (ranked_fill(ranked, r, m, err) != 0)
            return -1;
        if (extras->profile) /* of a trace, which of several runs takes the last */
            run_profiled(&runs, 1, extras->profile);
        return 0;
    }
    if (extras->profile)
        run_profiled(&runs, c->num_trials, extras->profile);
    parallel_release(parallel);
    return 0;
}

/* Not freed where the job fails: its thread lives until the process ends. -1: no such job. */
static int join_job(RankedRow **ranked, const RowConfig *c, bool is_rank, Err *err)
{
    *ranked = NULL;
    if (row_ranks(c) == 1)
        return 0;
    if (!is_rank)
        return err_set(err, "a row of several ranks needs their launcher");
    *ranked = xcalloc(1, sizeof **ranked);
    return ranked_join(*ranked, c, err);
}

int row_run(RowResult *r, Samples *samples, const RowExtras *extras, Err *err)
{
    const RowConfig *c = &r->config;
    FieldTEXT reason;
    if (!row_supported(c, reason))
        return err_set(err, "%s", reason);
    if (gemm_select(c->gemm, err) != 0)
        return -1;
    if (row_task(c) != TASK_LOSS)
        return row_generate(r, samples, extras, err);
    ModelConfig config = row_config_model(c);
    ModelOptions options = row_model_options(c, extras->memory_limit);
    Model m;
    RankedRow *ranked;
    if (join_job(&ranked, c, extras->is_rank, err) != 0)
        return -1;
    if (ranked && extras->rank)
        *extras->rank = ranked->comm.comm.rank;
    omp_set_num_threads(options.threads); /* for a BLAS that asks OpenMP */
    model_plan(&m, &config, &options);
    r->num_params = (int64_t)model_num_params(&config);
    row_fill_work(r, &config);
    r->predicted_peak_bytes = (int64_t)row_rank_bytes(&m, c);
    row_fill_rank_bytes(r, &m);
    text_set(r->recompute_used, recompute_name(m.recompute));
    row_product_fill(r);
    text_set(r->isa, kernels()->isa);
    text_set(r->blas, gemm_blas_description());
    int status = run_planned(r, &m, ranked, samples, extras, err);
    if (status != 0)
        return -1; /* and the process ends: a job that fell apart is not left in order */
    if (ranked)
        ranked_leave(ranked);
    free(ranked);
    model_release(&m);
    result_fill(r, samples, clock_cost().resolution_ns);
    if (!isfinite(r->loss))
        return err_set(err, "the loss is %g: the arithmetic went wrong", r->loss);
    text_set(r->status, STATUS_OK);
    return 0;
}
