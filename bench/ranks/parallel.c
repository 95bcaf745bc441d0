/* parallel: see parallel.h. */
#include "bench/ranks/parallel.h"

#include <stdlib.h>
#include <string.h>

#include "autograd/optim/clip.h"

Strategy parallel_strategy(const char *name)
{
    OWNED char *names = xstrdup(PARALLEL_NAMES);
    char *rest = names;
    int i = 0;
    for (const char *word; (word = strsep(&rest, "|")); i++)
        if (strcmp(word, name) == 0)
            return (Strategy)i;
    CHECK(false, "no strategy '%s'", name);
}

static bool overlaps(Strategy s)
{
    return s == DDP_OVERLAP || s == DDP_BUCKET || s == FSDP;
}

/* ---- memory ---- */

/* Observed on 2 to 4 ranks of tiny models: 5 to 8 MB more than one process has, by Open MPI 4.1;
 * the parts of a large sum add 1 MiB a rank. */
size_t parallel_process_bytes(int ranks)
{
    return ranks > 1 ? ((size_t)8 + 2 * (size_t)ranks) << 20 : 0;
}

/* The last segment is the longest. */
static size_t share_floats(size_t n, int ranks)
{
    Range last = comm_segment(n, ranks, ranks - 1);
    return last.to - last.from;
}

/* Floats of all groups, `whole` of them in full and of the others the share. */
static size_t floats_held(const Groups *g, const bool *whole, int ranks)
{
    size_t floats = 0;
    for (size_t i = 0; i < g->count; i++) {
        size_t n = g->list[i].range.to - g->list[i].range.from;
        floats += whole[i] ? n : share_floats(n, ranks);
    }
    return floats;
}

/* Of the weights that a visit reads and those that are gathered ahead of it. */
static size_t weights_in_visit(const Groups *g, size_t visit, const ParallelOptions *o)
{
    OWNED bool *whole = xcalloc(g->count, sizeof *whole);
    for (size_t i = visit; i < g->num_visits && i <= visit + o->prefetch; i++)
        whole[g->visits[i].group] = true;
    return floats_held(g, whole, o->ranks);
}

/* Weights and gradients, in floats, at the step where a rank of fsdp has most of both together. A
 * group's gradients are whole from the first backward step that adds to them until as many groups
 * as prefetch_layers were complete after it. */
static ModelBytes most_held(const Groups *g, const Schedule *s, const ParallelOptions *o)
{
    ModelBytes most = {0};
    size_t num_done = 0, visit = 0, weights = weights_in_visit(g, 0, o), gradients = 0;
    OWNED bool *whole = xcalloc(g->count, sizeof *whole);
    OWNED size_t *left = xcalloc(g->count, sizeof *left), *done = xcalloc(g->count, sizeof *done);
    for (size_t i = 0; i < g->count; i++)
        left[i] = g->list[i].gradients;
    for (size_t i = 0; i < s->count; i++) {
        const Step *step = &s->steps[i];
        for (; visit + 1 < g->num_visits && g->visits[visit + 1].first <= i; visit++)
            weights = weights_in_visit(g, visit + 1, o);
        for (int k = 0; k < step->t->num_inputs && step->kind == STEP_BACKWARD; k++)
            if (step->t->in[k] && step->t->in[k]->life == LIFE_PARAM)
                whole[g->of_param[step->t->in[k]->index]] = true;
        if (s->root) /* own shares of gradients stay from run to run */
            gradients = floats_held(g, whole, o->ranks);
        if (weights + gradients > most.weights + most.gradients)
            most = (ModelBytes){.weights = weights, .gradients = gradients};
        if (step->kind != STEP_GRAD_READY || --left[g->of_param[step->t->index]] > 0)
            continue;
        done[num_done++] = g->of_param[step->t->index];
        if (num_done > o->prefetch)
            whole[done[num_done - 1 - o->prefetch]] = false;
    }
    return most;
}

ModelBytes parallel_bytes(ModelBytes whole, const Params *p, const Schedule *s,
                          const ParallelOptions *o)
{
    ModelBytes b = whole;
    if (o->ranks < 2)
        return b;
    size_t n = p->block_floats;
    if (o->strategy == SHARDED_OPTIMIZER || o->strategy == ZERO1)
        b.moments = b.moments ? 2 * sizeof(float) * share_floats(n, o->ranks) : 0;
    if (o->strategy != FSDP || p->format != DT_F32)
        return b;
    Groups g = groups_by_layer(p, s);
    OWNED bool *none = xcalloc(g.count, sizeof *none);
    ModelBytes most = most_held(&g, s, o);
    b.weights = sizeof(float) * most.weights;
    b.gradients = sizeof(float) * most.gradients;
    if (b.moments)
        b.moments = 2 * sizeof(float) * floats_held(&g, none, o->ranks);
    groups_release(&g);
    return b;
}

/* ---- jobs ---- */

static size_t submit(Parallel *p, JobKind kind, float *block, Range range, bool drop)
{
    return comm_submit(p->comm, (Job){.kind = kind,
                                      .x = block ? block + range.from : NULL, /* a forecast's */
                                      .n = range.to - range.from,
                                      .drop = drop});
}

static Range whole_block(const Parallel *p)
{
    return (Range){0, p->params->block_floats};
}

/* The ranges whose segments belong to the ranks in their order; returns how many. */
static size_t divided_ranges(const Parallel *p)
{
    return p->options.strategy == FSDP ? p->groups.count : 1;
}

static Range divided_range(const Parallel *p, size_t i)
{
    return p->options.strategy == FSDP ? p->groups.list[i].range : whole_block(p);
}

/* This rank's segment of a range. */
static Range own_part(const Parallel *p, Range range)
{
    Range own = comm_segment(range.to - range.from, p->comm->comm.size, p->comm->comm.rank);
    return (Range){range.from + own.from, range.from + own.to};
}

static void drop_weights(Parallel *p, size_t group)
{
    Range r = p->groups.list[group].range;
    if (!p->comm->forecast)
        comm_drop_others(&p->comm->comm, p->params->weights + r.from, r.to - r.from);
    p->gathered[group] = 0;
}

/* ---- fsdp: weights ---- */

static bool is_ahead(const Parallel *p, size_t group, size_t from)
{
    for (size_t v = from; v < p->groups.num_visits && v <= from + p->options.prefetch; v++)
        if (p->groups.visits[v].group == group)
            return true;
    return false;
}

/* Gradients that wait to be reduced hold their memory: no more than prefetch_layers of them. */
static void bound_gradients(Parallel *p)
{
    if (p->num_reduced > p->options.prefetch)
        comm_wait(p->comm, p->reduced[p->num_reduced - 1 - p->options.prefetch]);
}

static void begin_visit(Parallel *p, size_t visit)
{
    const Visit *visits = p->groups.visits;
    if (visit > 0 && !is_ahead(p, visits[visit - 1].group, visit))
        drop_weights(p, visits[visit - 1].group);
    bound_gradients(p);
    for (size_t v = visit; v < p->groups.num_visits && v <= visit + p->options.prefetch; v++) {
        size_t group = visits[v].group;
        if (!p->gathered[group])
            p->gathered[group] =
                submit(p, JOB_ALL_GATHER, p->params->weights, p->groups.list[group].range, false);
    }
    comm_wait(p->comm, p->gathered[visits[visit].group]);
}

static void end_visits(Parallel *p)
{
    for (size_t i = 0; i < p->groups.count; i++)
        if (p->gathered[i])
            drop_weights(p, i);
    p->next_visit = 0;
}

/* ---- gradients ---- */

static void reduce_group(Parallel *p, size_t group)
{
    bool scatter = p->options.strategy == FSDP;
    size_t job = submit(p, scatter ? JOB_REDUCE_SCATTER : JOB_ALL_REDUCE, p->params->grads,
                        p->groups.list[group].range, scatter);
    if (scatter)
        p->reduced[p->num_reduced++] = job;
}

static void before_step(void *ctx, const Step *step)
{
    Parallel *p = ctx;
    if (step->kind == STEP_GRAD_READY) {
        size_t group = p->groups.of_param[step->t->index];
        if (++p->ready[group] == p->groups.list[group].gradients && !p->muted)
            reduce_group(p, group);
        return;
    }
    size_t at = (size_t)(step - p->plan->schedule->steps);
    while (p->options.strategy == FSDP && p->next_visit < p->groups.num_visits &&
           p->groups.visits[p->next_visit].first <= at)
        begin_visit(p, p->next_visit++);
}

/* ---- the step ---- */

static Groups groups_for(const Params *p, const Schedule *s, const ParallelOptions *o)
{
    if (o->strategy == FSDP)
        return groups_by_layer(p, s);
    return o->strategy == DDP_BUCKET ? groups_of_buckets(p, s, o->bucket_floats)
                                     : groups_of_each(p, s);
}

/* What this rank updates: its segment of every layer, its segment of all, or all. */
static void list_own(Parallel *p)
{
    size_t count = divided_ranges(p);
    p->own = xcalloc(count, sizeof *p->own);
    for (size_t i = 0; i < count; i++) {
        Range range = divided_range(p, i);
        p->own[p->num_own++] =
            p->options.strategy >= SHARDED_OPTIMIZER ? own_part(p, range) : range;
    }
}

/* What both a step and its forecast need. */
static void lay_out(Parallel *p)
{
    p->groups = groups_for(p->params, p->plan->schedule, &p->options);
    p->ready = xcalloc(p->groups.count, sizeof *p->ready);
    p->gathered = xcalloc(p->groups.count, sizeof *p->gathered);
    p->reduced = xcalloc(p->groups.count, sizeof *p->reduced);
}

void parallel_init(Parallel *p, Params *params, Exec *exec, const Plan *plan, CommThread *comm,
                   const ParallelOptions *o)
{
    *p = (Parallel){.params = params, .exec = exec, .plan = plan, .comm = comm, .options = *o};
    if (!comm)
        return;
    lay_out(p);
    list_own(p);
    exec->training.loss_weight = 1.0f / (float)comm->comm.size;
    if (overlaps(o->strategy)) {
        exec->before = before_step;
        exec->before_ctx = p;
    }
}

void parallel_release(Parallel *p)
{
    groups_release(&p->groups);
    free(p->ready);
    free(p->gathered);
    free(p->reduced);
    free(p->own);
    *p = (Parallel){0};
}

void parallel_randomize(Parallel *p, uint64_t seed)
{
    Params *params = p->params;
    int threads = p->exec->threads;
    if (!p->comm || p->options.strategy != FSDP) {
        params_randomize(params, seed, threads);
        return;
    }
    for (size_t k = 0; k < params->count; k++) {
        params_randomize_one(params, k, seed, threads);
        bool last = k + 1 == params->count || p->groups.of_param[k + 1] != p->groups.of_param[k];
        if (last)
            drop_weights(p, p->groups.of_param[k]);
    }
    params_touched(params);
}

static void drop_moments(Parallel *p)
{
    for (size_t i = 0; p->options.strategy >= SHARDED_OPTIMIZER && i < divided_ranges(p); i++) {
        Range r = divided_range(p, i);
        comm_drop_others(&p->comm->comm, p->params->moment1 + r.from, r.to - r.from);
        comm_drop_others(&p->comm->comm, p->params->moment2 + r.from, r.to - r.from);
    }
}

void parallel_keep_own(Parallel *p)
{
    for (size_t i = 0; p->comm && p->options.strategy == FSDP && i < p->groups.count; i++)
        drop_weights(p, i);
    if (p->comm && p->params->moment1)
        drop_moments(p);
}

static void collect(Comm *c, void *arg)
{
    const Parallel *p = arg;
    const Params *q = p->params;
    for (size_t i = 0; i < divided_ranges(p); i++) {
        Range r = divided_range(p, i);
        size_t n = r.to - r.from;
        if (p->options.strategy == FSDP)
            comm_gather(c, q->weights + r.from, n, 0);
        comm_gather(c, q->moment1 + r.from, n, 0);
        comm_gather(c, q->moment2 + r.from, n, 0);
    }
}

void parallel_collect(Parallel *p)
{
    if (p->comm && p->options.strategy >= SHARDED_OPTIMIZER)
        comm_call(p->comm, collect, p);
}

/* Range by range, so that no rank has more than one of another's in full. */
static void spread(Comm *c, void *arg)
{
    const Parallel *p = arg;
    bool shared = p->options.strategy >= SHARDED_OPTIMIZER;
    float *const blocks[] = {p->params->weights, p->params->moment1, p->params->moment2};
    for (size_t i = 0; i < divided_ranges(p); i++)
        for (size_t b = 0; b < COUNT_OF(blocks); b++) {
            Range r = divided_range(p, i);
            comm_broadcast(c, blocks[b] + r.from, r.to - r.from, 0);
            if (shared && (b > 0 || p->options.strategy == FSDP))
                comm_drop_others(c, blocks[b] + r.from, r.to - r.from);
        }
}

void parallel_spread(Parallel *p)
{
    if (!p->comm)
        return;
    comm_call(p->comm, spread, p);
    params_touched(p->params);
}

double parallel_squares(const Parallel *p, const float *block)
{
    bool weights = block == p->params->weights;
    Strategy s = p->comm ? p->options.strategy : PARALLEL_NONE;
    double sum = 0;
    if (s != FSDP && (weights || s != ZERO1)) {
        double norm = gradient_norm(block, p->params->block_floats, p->exec->threads);
        return p->comm && p->comm->comm.rank > 0 ? 0 : norm * norm;
    }
    for (size_t i = 0; i < p->num_own; i++) {
        double norm =
            gradient_norm(block + p->own[i].from, p->own[i].to - p->own[i].from, p->exec->threads);
        sum += norm * norm;
    }
    return sum;
}

/* As the main thread has counted it. */
static int64_t waited_ns(const Parallel *p)
{
    return p->comm ? p->comm->times.waited_ns : 0;
}

void parallel_forward(Parallel *p, const Plan *plan)
{
    int64_t before = waited_ns(p);
    p->plan = plan;
    p->next_visit = 0;
    exec_run(p->exec, plan, PHASE_FORWARD);
    if (!plan->schedule->root)
        parallel_end_forward(p);
    p->forward_waited_ns = waited_ns(p) - before;
}

void parallel_end_forward(Parallel *p)
{
    if (!p->comm || p->options.strategy != FSDP)
        return;
    comm_wait_all(p->comm); /* what was gathered ahead */
    end_visits(p);
}

/* What is communicated once all gradients are there. */
static void reduce_after(Parallel *p)
{
    float *grads = p->params->grads;
    if (p->options.strategy == DDP_NAIVE)
        for (size_t i = 0; i < p->groups.count; i++)
            comm_wait(p->comm, submit(p, JOB_ALL_REDUCE, grads, p->groups.list[i].range, false));
    else if (p->options.strategy == ZERO1)
        submit(p, JOB_REDUCE_SCATTER, grads, whole_block(p), false);
    else if (!overlaps(p->options.strategy))
        submit(p, JOB_ALL_REDUCE, grads, whole_block(p), false);
}

static void begin_backward(Parallel *p)
{
    memset(p->ready, 0, p->groups.count * sizeof *p->ready);
    p->num_reduced = 0;
}

static void end_backward(Parallel *p)
{
    if (!p->muted)
        reduce_after(p);
    comm_wait_all(p->comm);
    if (p->options.strategy == FSDP)
        end_visits(p);
}

void parallel_backward(Parallel *p)
{
    if (!p->comm) {
        exec_run(p->exec, p->plan, PHASE_BACKWARD);
        return;
    }
    int64_t before = waited_ns(p);
    begin_backward(p);
    exec_run(p->exec, p->plan, PHASE_BACKWARD);
    end_backward(p);
    p->backward_waited_ns = waited_ns(p) - before;
}

static void broadcast_shares(Parallel *p)
{
    const Comm *c = &p->comm->comm;
    Range all = whole_block(p);
    for (int r = 0; r < c->size; r++) {
        Range share = comm_segment(all.to, c->size, r);
        float *weights = p->params->weights;
        comm_submit(p->comm, (Job){.kind = JOB_BROADCAST,
                                   .x = weights ? weights + share.from : NULL,
                                   .n = share.to - share.from,
                                   .root = r});
    }
}

/* What is communicated once each rank has updated its own. */
static void share_weights(Parallel *p)
{
    if (p->options.strategy == SHARDED_OPTIMIZER)
        broadcast_shares(p);
    else if (p->options.strategy == ZERO1)
        submit(p, JOB_ALL_GATHER, p->params->weights, whole_block(p), false);
    comm_wait_all(p->comm);
}

void parallel_update(Parallel *p, const AdamW *o, float grad_scale)
{
    if (!p->comm) {
        params_update(p->params, o, grad_scale, p->exec->threads);
        return;
    }
    params_update_ranges(p->params, o, grad_scale, p->exec->threads, p->own, p->num_own);
    if (p->params->step == 1) /* what huge pages have beyond the own segments */
        drop_moments(p);
    share_weights(p);
}

/* ---- a forecast ---- */

static void walk(Parallel *p, size_t from, size_t to, double ns_per_flop)
{
    const Step *steps = p->plan->schedule->steps;
    for (const Step *s = steps + from; s < steps + to; s++) {
        if (overlaps(p->options.strategy))
            before_step(p, s);
        p->comm->forecast->now_ns += step_flops(s) * ns_per_flop;
    }
}

StepForecast parallel_forecast(Model *m, const ParallelOptions *o, CommRate rate, double compute_ns)
{
    const Schedule *s = &m->schedule;
    StepForecast step = {0};
    CommForecast forecast;
    CommThread t;
    Parallel p = {.params = &m->params, .plan = &m->plan, .comm = &t, .options = *o};
    double flops = 0;
    if (o->ranks < 2)
        return step;
    for (size_t i = 0; i < s->count; i++)
        flops += step_flops(&s->steps[i]);
    comm_forecast_start(&t, &forecast, o->ranks, rate);
    lay_out(&p);
    walk(&p, 0, s->num_forward, compute_ns / flops);
    const double forward_ns = forecast.now_ns - forecast.waited_ns;
    if (m->options.backward) {
        begin_backward(&p);
        walk(&p, s->num_forward, s->count, compute_ns / flops);
        end_backward(&p);
    } else {
        parallel_end_forward(&p);
    }
    if (m->options.optimizer)
        share_weights(&p);
    step = (StepForecast){.comm_ns = forecast.busy_ns,
                          .exposed_ns = forecast.waited_ns,
                          .cover_ns = compute_ns - (o->strategy == FSDP ? 0 : forward_ns)};
    for (int r = 0; r < o->ranks; r++)
        step.wire_bytes =
            forecast.sent_bytes[r] > step.wire_bytes ? forecast.sent_bytes[r] : step.wire_bytes;
    comm_forecast_finish(&t);
    parallel_release(&p);
    return step;
}

/* FNV-1a (Fowler, Noll & Vo) over words of 32 bits. */
static uint64_t hash_floats(uint64_t hash, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        hash = (hash ^ bits) * 0x100000001b3u;
    }
    return hash;
}

uint64_t parallel_weights_hash(Parallel *p)
{
    const Params *params = p->params;
    uint64_t hash = 0xcbf29ce484222325u;
    bool gathers = p->comm && p->options.strategy == FSDP;
    for (size_t k = 0; k < params->count; k++) {
        size_t group = gathers ? p->groups.of_param[k] : 0;
        if (gathers && !p->gathered[group]) {
            p->gathered[group] =
                submit(p, JOB_ALL_GATHER, params->weights, p->groups.list[group].range, false);
            comm_wait(p->comm, p->gathered[group]);
        }
        const Param *q = params->list[k];
        hash = hash_floats(hash, params->weights + q->offset, tensor_count(&q->tensor));
        if (gathers && (k + 1 == params->count || p->groups.of_param[k + 1] != group))
            drop_weights(p, group);
    }
    return hash;
}
