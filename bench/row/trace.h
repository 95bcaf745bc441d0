/* trace: when each step of one run began and ended, as Chrome trace events, which Perfetto and
 * chrome://tracing show.
 *
 * The one idea: exec's hook fills a table that was made before, a line for each step and slice;
 * events are made of it afterwards. Format: "Trace Event Format" of the Chromium project, complete
 * events, times in microseconds. */
#pragma once

#include <jansson.h>

#include "autograd/exec.h"
#include "bench/ranks/thread.h"
#include "bench/row/samples.h"
#include "model/params.h"

typedef struct Trace {
    const Plan *plan; /* borrowed */
    StepTime *times;  /* [slices, steps] */
} Trace;

void trace_init(Trace *t, const Plan *p);
void trace_release(Trace *t);

/* A StepHook; ctx is the Trace. */
void trace_step(void *ctx, const Step *step, const StepTime *time);

/* {"traceEvents": [...]}: an event a step, on a lane for each slice, and one for each phase of the
 * run, which began at start_ns (clock_ns). */
json_t *trace_to_json(const Trace *t, int64_t start_ns, const Sample *run);

/* Adds a lane to it: what the communication thread of this rank did, an event an operation, named
 * by the parameters that it was about. */
void trace_add_jobs(json_t *trace, const Trace *t, const JobLog *log, const Params *p,
                    const Comm *c, int64_t start_ns);
