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
#include "bench/row/runs.h"
#include "bench/row/support.h"
#include "bench/row/trace.h"

/* From so many rows on packing weights beforehand gains hardly anything. */
enum { PACK_BELOW_ROWS = 256 };

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

/* A row of task loss. */
typedef struct LossRuns {
    Model *model;
    Batch batch;
    AdamW adamw;
} LossRuns;

static Sample run_loss(void *what)
{
    LossRuns *l = what;
    return run_once(l->model, &l->batch, &l->adamw);
}

/* What of the model explains a trace's times. */
static json_t *trace_about(const Model *m)
{
    const ModelConfig *c = &m->config;
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:b}", "batch_size",
                     (json_int_t)m->options.wants.batch, "context_length",
                     (json_int_t)m->options.wants.context, "d_model", (json_int_t)c->d_model,
                     "num_layers", (json_int_t)c->num_layers, "head_dim",
                     (json_int_t)(c->head_dim ? c->head_dim : c->d_model / c->num_heads),
                     "backward", (int)m->options.backward);
}

static json_t *trace_run(LossRuns *runs)
{
    Trace trace;
    trace_init(&trace, &runs->model->plan);
    runs->model->exec.hook = trace_step;
    runs->model->exec.hook_ctx = &trace;
    int64_t start = clock_ns();
    const Sample run = run_once(runs->model, &runs->batch, &runs->adamw);
    json_t *events = trace_to_json(&trace, start, &run);
    json_object_set_new(events, "otherData", trace_about(runs->model));
    trace_release(&trace);
    return events;
}

static void run_profiled(LossRuns *runs, int64_t count, Profile *profile)
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
    if (model_alloc(m, err) != 0 || row_weights_fill(c, &m->params, err) != 0)
        return -1;
    size_t vocab = m->config.vocab_size;
    size_t count = (size_t)(c->batch_size * c->context_length);
    LossRuns runs = {.model = m,
                     .batch = {random_ids(c, count, vocab, STREAM_TOKENS),
                               random_ids(c, count, vocab, STREAM_TARGETS)},
                     .adamw = adamw_defaults()};
    r->config.num_warmups = run_all(
        &(Runs){.once = run_loss, .what = &runs, .samples = samples, .no_probe = extras->no_probe},
        c);
    counters_doubt(samples);
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
    if (row_task(c) != TASK_LOSS)
        return row_generate(r, samples, extras->no_probe, err);
    ModelConfig config = row_config_model(c);
    ModelOptions options = row_model_options(c, extras->memory_limit);
    Model m;
    omp_set_num_threads(options.threads); /* for a BLAS that asks OpenMP */
    model_plan(&m, &config, &options);
    r->num_params = (int64_t)model_num_params(&config);
    row_fill_work(r, &config);
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
