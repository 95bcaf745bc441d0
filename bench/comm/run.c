/* run: see run.h. */
#include "bench/comm/run.h"

#include <inttypes.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/machine/machine.h"
#include "bench/ranks/products.h"
#include "bench/row/counters.h"
#include "bench/row/ranked.h"
#include "bench/row/result.h"
#include "bench/stats/stats.h"

typedef struct Round {
    float *x;
    size_t n;
    JobKind kind;
    double ns;
    size_t wrong;
} Round;

static JobKind kind_of(const char *operation)
{
    static const char *const names[] = {[JOB_ALL_REDUCE] = "all_reduce",
                                        [JOB_REDUCE_SCATTER] = "reduce_scatter",
                                        [JOB_ALL_GATHER] = "all_gather",
                                        [JOB_BROADCAST] = "broadcast"};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (strcmp(names[i], operation) == 0)
            return (JobKind)i;
    CHECK(false, "operation '%s'", operation); /* field_parse has refused it */
}

/* ---- what it should be ---- */

/* 0 to 31; neighbours and elements far away differ. */
static float value_of(int rank, size_t i)
{
    uint32_t mixed = (uint32_t)(i ^ i >> 29) * 2654435761u;
    return (float)(((mixed >> 17) + 5 * (uint32_t)rank) & 31);
}

static float sum_of(int size, size_t i)
{
    float sum = 0;
    for (int r = 0; r < size; r++)
        sum += value_of(r, i);
    return sum;
}

/* Elements [from, to) that are not rank's, or not the sum where rank is -1. */
static size_t count_wrong(const Comm *c, const float *x, Range range, int rank)
{
    size_t wrong = 0;
    for (size_t i = range.from; i < range.to; i++)
        wrong += x[i] != (rank < 0 ? sum_of(c->size, i) : value_of(rank, i));
    return wrong;
}

static size_t check(const Comm *c, const Round *r)
{
    Range all = {0, r->n};
    size_t wrong = 0;
    switch (r->kind) {
    case JOB_ALL_REDUCE:
        return count_wrong(c, r->x, all, -1);
    case JOB_REDUCE_SCATTER:
        return count_wrong(c, r->x, comm_segment(r->n, c->size, c->rank), -1);
    case JOB_BROADCAST:
        return count_wrong(c, r->x, all, 0);
    default:
        for (int rank = 0; rank < c->size; rank++)
            wrong += count_wrong(c, r->x, comm_segment(r->n, c->size, rank), rank);
        return wrong;
    }
}

/* ---- rounds ---- */

static void operate(Comm *c, void *arg)
{
    Round *r = arg;
    int64_t start = clock_ns();
    comm_run(c, &(Job){.kind = r->kind, .x = r->x, .n = r->n});
    r->ns = (double)(clock_ns() - start);
}

static void run_round(Comm *c, void *arg)
{
    Round *r = arg;
    for (size_t i = 0; i < r->n; i++)
        r->x[i] = value_of(c->rank, i);
    c->plugin->barrier(c->world);
    operate(c, r);
    r->wrong = check(c, r);
}

static void run_rounds(CommRow *r, RankedRow *w, Round *round, Samples *samples)
{
    int64_t warmups = r->base.config.num_warmups, trials = r->base.config.num_trials;
    r->wrong = 0;
    r->rounds = trials;
    for (int64_t i = 0; i < warmups + trials; i++) {
        Sample s = sample_empty();
        comm_call(&w->comm, run_round, round);
        s.trial = i + 1;
        s.is_warmup = i < warmups;
        s.process = 1;
        s.wall_ns = (FieldINT)ranked_slowest(w, round->ns);
        r->wrong += (FieldINT)ranked_sum(w, (double)round->wrong);
        samples_add(samples, s);
    }
}

/* ---- computing meanwhile ---- */

enum { OVERLAP_ROUNDS = 9 };

/* How many products take about as long as the operation, the same number on every rank. */
static size_t count_products(const Products *p, RankedRow *w, double ns)
{
    const size_t few = 8;
    products_multiply(p, few);
    double one = ranked_slowest(w, products_multiply(p, few)) / (double)few;
    return (size_t)fmin(fmax(ns / one, 1), 1e6);
}

static double time_both(RankedRow *w, const Products *p, size_t count, Round *round)
{
    int64_t start = clock_ns();
    size_t job = comm_submit(&w->comm, (Job){.kind = JOB_CALL, .call = operate, .arg = round});
    products_multiply(p, count);
    comm_wait(&w->comm, job);
    return (double)(clock_ns() - start);
}

static int measure_overlap(CommRow *r, RankedRow *w, Round *round, Err *err)
{
    Products p;
    double alone[OVERLAP_ROUNDS], both[OVERLAP_ROUNDS];
    if (products_init(&p, (int)r->base.config.threads, err) != 0)
        return -1;
    size_t count = count_products(&p, w, r->base.median_ms * 1e6);
    memset(round->x, 0, round->n * sizeof *round->x); /* whose sums stay numbers */
    for (int i = 0; i < OVERLAP_ROUNDS; i++) {
        comm_barrier(&w->comm);
        alone[i] = ranked_slowest(w, products_multiply(&p, count));
        comm_barrier(&w->comm);
        both[i] = ranked_slowest(w, time_both(w, &p, count, round));
    }
    products_release(&p);
    r->compute_ms = median_of(alone, OVERLAP_ROUNDS) / 1e6;
    r->both_ms = median_of(both, OVERLAP_ROUNDS) / 1e6;
    r->overlap_fraction =
        (r->base.median_ms + r->compute_ms - r->both_ms) / fmin(r->base.median_ms, r->compute_ms);
    return 0;
}

/* ---- the row ---- */

static int run_joined(CommRow *r, RankedRow *w, Samples *samples, Err *err)
{
    Round round = {.n = (size_t)r->bytes / sizeof(float), .kind = kind_of(r->operation)};
    round.x = block_alloc((size_t)r->bytes, err);
    if (!round.x)
        return -1;
    w->comm.comm.piece = (size_t)r->piece; /* with no job under way */
    run_rounds(r, w, &round, samples);
    result_fill(&r->base, samples, clock_cost().resolution_ns);
    comm_row_rates(r);
    int status = r->overlap ? measure_overlap(r, w, &round, err) : 0;
    block_free(round.x, (size_t)r->bytes);
    if (status == 0 && r->wrong > 0)
        status = err_set(err, "%" PRId64 " elements are wrong", r->wrong);
    return status;
}

int comm_row_run(CommRow *r, Samples *samples, int *rank, Err *err)
{
    RankedRow *w = xcalloc(1, sizeof *w); /* not freed where it fails: its thread uses it */
    omp_set_num_threads((int)r->base.config.threads);
    if (ranked_join(w, &r->base.config, err) != 0)
        return -1;
    *rank = w->comm.comm.rank;
    text_set(r->base.mpi, w->comm.comm.name);
    if (run_joined(r, w, samples, err) != 0)
        return -1;
    r->base.peak_rss_bytes = (int64_t)ranked_slowest(w, (double)peak_rss_bytes(getpid()));
    text_set(r->base.status, STATUS_OK);
    ranked_leave(w);
    free(w);
    return 0;
}
