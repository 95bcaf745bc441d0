/* implementation: one implementation that `tare compare` measures, in a worker process of its own:
 * how it is started and greeted, how it is asked, and why it is left out. What is asked is not
 * decided here. */
#pragma once

#include "bench/compare/project.h"
#include "bench/compare/component.h"
#include "bench/util/pipe.h"

typedef struct Implementation {
    const char *name;
    bool available; /* it answered once; it need not run at the moment */
    Err left_out;   /* why a wanted one is not available; "" else */
    char *argv[4], *settings[8];
    char *install;   /* the shell command that installs it, for messages */
    double max_wait; /* seconds, for one answer */
    Peer peer;
    json_t *versions;
    double start_ms;      /* until it answers for the first time */
    double empty_call_ms; /* an empty request and its answer through the pipe, median */
    double empty_run_ns;  /* timing a call that does nothing, inside the worker */
    double cpu_ns;        /* CPU time of one call of the last implementation_time; NaN = not told */
} Implementation;

/* How all of them run. */
typedef struct ImplementationOptions {
    const bool *wanted; /* [NUM_IMPLEMENTATIONS]; ours is wanted always */
    int64_t threads;
    double max_wait;
} ImplementationOptions;

/* Starts every wanted one once, to learn its versions and the cost of an empty call. One that
 * cannot be had is a line on stderr, whether it is not installed, its device is not in this
 * machine, or it misbehaves; then also *misbehaved. -1: ours does not start, or we were
 * interrupted. */
int implementations_start(Implementation list[NUM_IMPLEMENTATIONS], const Project *p,
                          const ImplementationOptions *o, bool *misbehaved, Err *err);
void implementations_stop(Implementation list[NUM_IMPLEMENTATIONS]); /* their processes */
void implementations_release(Implementation list[NUM_IMPLEMENTATIONS]);

/* {"NAME": {"versions": ..., "empty_call_ms": ..., "empty_run_ns": ...}} of the available ones. */
json_t *implementations_to_json(const Implementation list[NUM_IMPLEMENTATIONS]);
/* {"NAME": "why"} of those that were left out. */
json_t *implementations_left_out(const Implementation list[NUM_IMPLEMENTATIONS]);
/* One line each, for Markdown: versions, or why it was left out. */
void implementations_print(const Implementation list[NUM_IMPLEMENTATIONS], FILE *f);

/* Starts the process, if it does not run, and greets it. */
int implementation_wake(Implementation *a, Err *err);

/* The answer to a request (taken over), after which the worker's threads sleep again; the caller
 * owns it. NULL with a sentence, which says how to install a module that is missing. */
json_t *implementation_ask(Implementation *a, json_t *request, Err *err);
/* Mean time of `calls` calls of "run" or "nothing", in ns, and cpu_ns; NaN when it failed. */
double implementation_time(Implementation *a, const char *what, int64_t calls, Err *err);

/* How many CPUs other programs keep busy, seen for half a second before anything of ours is
 * started; a line on stderr where that is more than CPUS_IN_USE (machine/machine.h). NaN where the
 * system does not tell. */
double other_cpus_before_start(void);
