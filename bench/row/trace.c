/* trace: see trace.h. */
#include "bench/row/trace.h"

#include <stdlib.h>
#include <string.h>

#include "autograd/op.h"
#include "bench/row/profile.h"

enum { PHASES_LANE, FIRST_SLICE_LANE };

void trace_init(Trace *t, const Plan *p)
{
    *t = (Trace){p, xcalloc(p->slices.count * p->schedule->count, sizeof *t->times)};
}

void trace_release(Trace *t)
{
    free(t->times);
    *t = (Trace){0};
}

void trace_step(void *ctx, const Step *step, const StepTime *time)
{
    Trace *t = ctx;
    const Schedule *s = t->plan->schedule;
    t->times[time->slice * s->count + (size_t)(step - s->steps)] = *time;
}

/* Begins `from` ns after the first event. */
static json_t *event(const char *name, const char *category, int lane, int64_t from, int64_t ns)
{
    return json_pack("{s:s, s:s, s:s, s:i, s:i, s:f, s:f}", "name", name, "cat", category, "ph",
                     "X", "pid", 1, "tid", lane, "ts", (double)from / 1e3, "dur", (double)ns / 1e3);
}

static void add_lane(json_t *events, int lane, char *name)
{
    json_array_append_new(events,
                          json_pack("{s:s, s:s, s:i, s:i, s:{s:s}}", "name", "thread_name", "ph",
                                    "M", "pid", 1, "tid", lane, "args", "name", name));
    free(name);
}

static void add_step(json_t *events, const Step *step, const StepTime *time, size_t number,
                     int64_t start_ns)
{
    const Tensor *t = step->t;
    if (step->kind == STEP_GRAD_READY)
        return;
    json_t *e = event(t->op->name, profile_pass(step->kind), FIRST_SLICE_LANE + (int)time->slice,
                      time->start_ns - start_ns, (int64_t)time->ns);
    json_t *args =
        json_pack("{s:I, s:s}", "step", (json_int_t)number + 1, "phase", profile_pass(step->kind));
    if (t->block >= 0)
        json_object_set_new(args, "layer", json_integer(t->block));
    for (size_t i = 0; i < MAX_STEP_PARTS && t->op->parts[i]; i++) {
        char *key = xasprintf("%s_us", t->op->parts[i]);
        json_object_set_new(args, key, json_real((double)time->part_ns[i] / 1e3));
        free(key);
    }
    json_object_set_new(e, "args", args);
    json_array_append_new(events, e);
}

static void add_phases(json_t *events, const Sample *run)
{
    const char *const names[] = {"forward", "backward", "update"};
    const int64_t ns[] = {run->forward_ns, run->backward_ns, run->optimizer_ns};
    int64_t from = 0;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (ns[i] == INT_MISSING)
            continue;
        json_array_append_new(events, event(names[i], "run", PHASES_LANE, from, ns[i]));
        from += ns[i];
    }
}

/* ---- communication ---- */

/* Where x lies in a flat block; false: not there. */
static bool find_in(const float *block, const Params *p, const JobTime *j, Range *range)
{
    if (!block || j->x < block || j->x >= block + p->block_floats)
        return false;
    range->from = (size_t)(j->x - block);
    range->to = range->from + j->n;
    return true;
}

/* The first and last parameter that have a part of it. */
static void name_ends(const Params *p, Range range, const char **first, const char **last)
{
    *first = *last = "";
    for (size_t k = 0; k < p->count; k++) {
        size_t from = p->list[k]->offset, to = from + tensor_count(&p->list[k]->tensor);
        if (to <= range.from || from >= range.to)
            continue;
        *first = **first ? *first : p->list[k]->name;
        *last = p->list[k]->name;
    }
}

static void add_job(json_t *events, int lane, const JobTime *j, const Params *p, int64_t start_ns)
{
    static const char *const names[] = {[JOB_ALL_REDUCE] = "all_reduce",
                                        [JOB_REDUCE_SCATTER] = "reduce_scatter",
                                        [JOB_ALL_GATHER] = "all_gather",
                                        [JOB_BROADCAST] = "broadcast"};
    Range range;
    const char *first, *last;
    bool gradients = find_in(p->grads, p, j, &range);
    if (!gradients && !find_in(p->weights, p, j, &range))
        return;
    name_ends(p, range, &first, &last);
    OWNED char *name = strcmp(first, last) == 0
                           ? xasprintf("%s %s", names[j->kind], first)
                           : xasprintf("%s %s to %s", names[j->kind], first, last);
    json_t *e = event(name, "communication", lane, j->start_ns - start_ns, j->ns);
    json_object_set_new(
        e, "args",
        json_pack("{s:s, s:I, s:s, s:s}", "block", gradients ? "gradients" : "weights", "bytes",
                  (json_int_t)(j->n * sizeof(float)), "first", first, "last", last));
    json_array_append_new(events, e);
}

void trace_add_jobs(json_t *trace, const Trace *t, const JobLog *log, const Params *p,
                    const Comm *c, int64_t start_ns)
{
    json_t *events = json_object_get(trace, "traceEvents");
    int lane = FIRST_SLICE_LANE + (int)t->plan->slices.count;
    add_lane(events, lane, xasprintf("communication of rank %d of %d", c->rank, c->size));
    for (size_t i = 0; i < log->count; i++)
        add_job(events, lane, &log->at[i], p, start_ns);
}

json_t *trace_to_json(const Trace *t, int64_t start_ns, const Sample *run)
{
    const Schedule *s = t->plan->schedule;
    json_t *events = json_array();
    add_lane(events, PHASES_LANE, xstrdup("run"));
    add_phases(events, run);
    for (size_t slice = 0; slice < t->plan->slices.count; slice++) {
        add_lane(events, FIRST_SLICE_LANE + (int)slice, xasprintf("steps, part %zu", slice + 1));
        for (size_t i = 0; i < s->count; i++)
            add_step(events, &s->steps[i], &t->times[slice * s->count + i], i, start_ns);
    }
    return json_pack("{s:o, s:s}", "traceEvents", events, "displayTimeUnit", "ms");
}
