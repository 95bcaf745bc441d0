/* ranked: see ranked.h. */
#include "bench/row/ranked.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/ranks/job.h"
#include "bench/ranks/products.h"
#include "bench/stats/stats.h"

int row_ranks(const RowConfig *c)
{
    return c->ranks > 1 ? (int)c->ranks : 1;
}

ParallelOptions row_parallel(const RowConfig *c)
{
    const char *name = c->parallel[0] ? c->parallel : "none";
    return (ParallelOptions){.strategy = parallel_strategy(name),
                             .ranks = row_ranks(c),
                             .bucket_floats =
                                 c->bucket_mb > 0 ? (size_t)(c->bucket_mb * 0x1p20 / 4) : 0,
                             .prefetch = c->prefetch_layers > 0 ? (size_t)c->prefetch_layers : 0};
}

size_t row_rank_batch(const RowConfig *c)
{
    return (size_t)c->batch_size / (size_t)row_ranks(c);
}

static ModelBytes rank_bytes(const Model *m, const RowConfig *c)
{
    const ParallelOptions options = row_parallel(c);
    return parallel_bytes(model_bytes(m), &m->params, &m->schedule, &options);
}

size_t row_rank_bytes(const Model *m, const RowConfig *c)
{
    ModelBytes b = rank_bytes(m, c);
    return b.weights + b.gradients + b.moments + b.arena + b.scratch + MODEL_PROCESS_BYTES +
           parallel_process_bytes(row_ranks(c));
}

void row_fill_rank_bytes(RowResult *r, const Model *m)
{
    ModelBytes b = rank_bytes(m, &r->config);
    r->param_bytes = (int64_t)b.weights;
    r->grad_bytes = (int64_t)b.gradients;
    r->moment_bytes = (int64_t)b.moments;
    r->activation_bytes = (int64_t)(b.arena + b.scratch);
}

/* Of R ranks communication takes a (1 - 1 / R), the computing behind which it can hide b / R: the
 * least R at which the first is longer. */
static FieldINT bound_ranks(const StepForecast *s, double ranks)
{
    double a = s->comm_ns / (1 - 1 / ranks), b = s->cover_ns * ranks;
    double bound = fmax(ceil(1 + b / a), 2);
    return bound < 1e9 ? (FieldINT)bound : INT_MISSING;
}

void row_forecast(RowResult *r, Model *m, CommRate rate, double compute_ms)
{
    const ParallelOptions how = row_parallel(&r->config);
    if (how.ranks < 2)
        return;
    StepForecast s = parallel_forecast(m, &how, rate, compute_ms * 1e6);
    r->link_latency_us = rate.latency_ns / 1e3;
    r->link_gb_per_s = 1 / rate.ns_per_byte;
    r->link_idle_gb_per_s = r->link_gb_per_s / rate.idle;
    r->predicted_comm_ms = s.comm_ns / 1e6;
    r->predicted_exposed_ms = s.exposed_ns / 1e6;
    r->comm_bound_ranks = bound_ranks(&s, how.ranks);
    if (strcmp(r->config.reduce, "mpi") != 0)
        r->wire_bytes = (FieldINT)s.wire_bytes;
}

/* ---- joining ---- */

int ranked_join(RankedRow *w, const RowConfig *c, Err *err)
{
    *w = (RankedRow){.quiet_backward_ns = NAN};
    return job_join(&w->comm, row_ranks(c), c->reduce, err);
}

void ranked_leave(RankedRow *w)
{
    parallel_release(&w->parallel);
    job_leave(&w->comm);
    free(w->skew_ns);
    free(w->compute_ns);
    free(w->backward_ns);
}

/* ---- exchanging ---- */

double ranked_slowest(RankedRow *w, double ns)
{
    job_largest(&w->comm, &ns, NULL, 1);
    return ns;
}

double ranked_sum(RankedRow *w, double value)
{
    job_sum(&w->comm, &value, 1);
    return value;
}

/* ---- what communication costs ---- */

enum { FIT_RUNS = 9, FIT_SMALL = 64, FIT_LARGE = 1 << 20 };

/* Runs one behind the other in memory, as gradients lie. */
typedef struct Fit {
    float *x;
    size_t floats;
    double small_ns, large_ns;
} Fit;

static double median_time(Comm *c, const Fit *f, size_t n)
{
    double ns[FIT_RUNS];
    for (size_t i = 0; i < FIT_RUNS + 1; i++) { /* the first is a warmup */
        c->plugin->barrier(c->world);
        int64_t start = clock_ns();
        comm_all_reduce(c, f->x + i * n % (f->floats - n + 1), n);
        if (i > 0)
            ns[i - 1] = (double)(clock_ns() - start);
    }
    return median_of(ns, FIT_RUNS);
}

static void fit(Comm *c, void *arg)
{
    Fit *f = arg;
    f->small_ns = median_time(c, f, FIT_SMALL);
    f->large_ns = median_time(c, f, FIT_LARGE);
}

static bool overlaps(Strategy s)
{
    return s == DDP_OVERLAP || s == DDP_BUCKET || s == FSDP;
}

LinkKind ranked_link_kind(const RowConfig *c)
{
    const Strategy s = row_parallel(c).strategy;
    return s == FSDP ? LINK_OF_A_SHARD : overlaps(s) ? LINK_BESIDE_PRODUCTS : LINK_ALONE;
}

static int fit_beside_products(RankedRow *w, Fit *f, Err *err)
{
    Products p;
    if (products_init(&p, w->parallel.exec->threads, err) != 0)
        return -1;
    size_t job = comm_submit(&w->comm, (Job){.kind = JOB_CALL, .call = fit, .arg = f});
    while (!comm_is_done(&w->comm, job))
        products_multiply(&p, 1);
    products_release(&p);
    return 0;
}

/* The slowest rank's, of both sizes. */
static CommRate rate_of(RankedRow *w, const Fit *f)
{
    double times[2] = {f->small_ns, f->large_ns};
    const Job large = {.kind = JOB_ALL_REDUCE, .n = FIT_LARGE};
    job_largest(&w->comm, times, NULL, 2);
    /* A small one that took longer than that met a busy CPU, not a link. */
    const double latency_ns = fmin(times[0], times[1] / 2);
    return (CommRate){.latency_ns = latency_ns,
                      .ns_per_byte =
                          (times[1] - latency_ns) /
                          (double)comm_bytes_sent(&large, w->comm.comm.size, w->comm.comm.rank),
                      .idle = 1};
}

static int fit_rates(RankedRow *w, Fit *f, Err *err)
{
    comm_call(&w->comm, fit, f);
    const CommRate idle = rate_of(w, f);
    w->rate = idle;
    if (!overlaps(w->parallel.options.strategy))
        return 0;
    if (fit_beside_products(w, f, err) != 0)
        return -1;
    w->rate = rate_of(w, f);
    w->rate.idle = fmin(idle.ns_per_byte / w->rate.ns_per_byte, 1);
    return 0;
}

int ranked_fit(RankedRow *w, Err *err)
{
    const Params *params = w->parallel.params;
    /* Gradients, which backward fills anew; a rank of fsdp has not the memory of all. */
    bool there =
        params->grads && w->parallel.options.strategy != FSDP && params->block_floats >= FIT_LARGE;
    Fit f = {.x = there ? params->grads : xcalloc(FIT_LARGE, sizeof *f.x),
             .floats = there ? params->block_floats : FIT_LARGE};
    size_t most = (size_t)(FIT_RUNS + 1) * FIT_LARGE;
    f.floats = f.floats < most ? f.floats : most;
    memset(f.x, 0, f.floats * sizeof *f.x);
    int status = fit_rates(w, &f, err);
    if (!there)
        free(f.x);
    return status;
}

/* ---- runs ---- */

void ranked_begin(RankedRow *w)
{
    comm_barrier(&w->comm);
    comm_times_reset(&w->comm);
}

static double number_or_zero(FieldINT value)
{
    return value == INT_MISSING ? 0 : (double)value;
}

void ranked_end(RankedRow *w, Sample *s)
{
    const CommTimes t = w->comm.times;
    FieldINT *const times[] = {&s->wall_ns,      &s->forward_ns, &s->backward_ns,
                               &s->optimizer_ns, &s->comm_ns,    &s->comm_exposed_ns};
    enum { TIMES = COUNT_OF(times), COMPUTED = TIMES, BACKWARD, PASSES, VALUES };
    const double backward = number_or_zero(s->backward_ns) - (double)w->parallel.backward_waited_ns;
    double value[VALUES], low[VALUES];
    s->comm_ns = t.busy_ns;
    s->comm_exposed_ns = t.waited_ns;
    for (size_t i = 0; i < TIMES; i++)
        value[i] = number_or_zero(*times[i]);
    value[COMPUTED] = (double)(s->wall_ns - t.waited_ns);
    value[BACKWARD] = backward;
    value[PASSES] = (double)(s->forward_ns - w->parallel.forward_waited_ns) + backward;
    job_largest(&w->comm, value, low, VALUES);
    for (size_t i = 0; i < TIMES; i++)
        if (*times[i] != INT_MISSING)
            *times[i] = (FieldINT)value[i];
    w->skew_ns = xgrow(w->skew_ns, w->runs, sizeof *w->skew_ns);
    w->compute_ns = xgrow(w->compute_ns, w->runs, sizeof *w->compute_ns);
    w->backward_ns = xgrow(w->backward_ns, w->runs, sizeof *w->backward_ns);
    w->skew_ns[w->runs] = value[COMPUTED] - low[COMPUTED];
    w->compute_ns[w->runs] = value[PASSES];
    w->backward_ns[w->runs++] = value[BACKWARD];
    w->sent_bytes = (double)t.sent_bytes;
}

/* ---- the result ---- */

/* Of the timed trials, which came last. */
static double median_ms_of(const double *ns, size_t runs, int64_t trials)
{
    size_t n = (size_t)trials < runs ? (size_t)trials : runs;
    OWNED double *copy = xmalloc((n + 1) * sizeof *copy);
    memcpy(copy, ns + runs - n, n * sizeof *copy);
    return n ? median_of(copy, n) / 1e6 : NAN;
}

/* Halves, which doubles hold. */
static int check_weights(RankedRow *w, Err *err)
{
    uint64_t hash = parallel_weights_hash(&w->parallel);
    double halves[2] = {(double)(hash >> 32), (double)(hash & 0xffffffffu)}, low[2];
    job_largest(&w->comm, halves, low, 2);
    if (halves[0] != low[0] || halves[1] != low[1])
        return err_set(err, "the ranks have come apart: their weights differ");
    return 0;
}

int ranked_fill(RankedRow *w, RowResult *r, Model *m, Err *err)
{
    double values[] = {(double)r->peak_rss_bytes, w->sent_bytes};
    int64_t trials = r->config.num_trials;
    job_largest(&w->comm, values, NULL, COUNT_OF(values));
    r->peak_rss_bytes = (int64_t)values[0];
    row_forecast(r, m, w->rate, median_ms_of(w->compute_ns, w->runs, trials));
    if (!w->comm.comm.use_mpi)
        r->wire_bytes = (FieldINT)values[1];
    r->rank_skew_ms = median_ms_of(w->skew_ns, w->runs, trials);
    r->backward_slowdown_ms =
        median_ms_of(w->backward_ns, w->runs, trials) - w->quiet_backward_ns / 1e6;
    r->loss = ranked_sum(w, r->loss) / w->comm.comm.size;
    text_set(r->mpi, w->comm.comm.name);
    return r->config.forward_only ? 0 : check_weights(w, err);
}
