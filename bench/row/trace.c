/* trace: see trace.h. */
#include "bench/row/trace.h"

#include <stdlib.h>

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
