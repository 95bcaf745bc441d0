/* implementation: one implementation that `tare compare` measures, in a worker process of its own: how it is
 * started and greeted, how it is asked, and why it is left out. What is asked is not decided here. */
#ifndef TARE_BENCH_COMPARE_IMPLEMENTATION_H
#define TARE_BENCH_COMPARE_IMPLEMENTATION_H

#include "bench/compare/project.h"
#include "bench/compare/component.h"
#include "bench/util/pipe.h"

enum { TEMPORARY_FOLDER = 64 }; /* bytes of the path where outputs are exchanged */

typedef struct Alternative {
    const char *name;
    bool available; /* it answered once; it need not run at the moment */
    Err left_out;   /* why a wanted one is not available; "" else */
    char *argv[4], *settings[8];
    double max_wait; /* seconds, for one answer */
    Peer peer;
    json_t *versions;
    double empty_call_ms; /* an empty request and its answer through the pipe, median */
    double empty_run_ns;  /* timing a call that does nothing, inside the worker */
} Alternative;

/* How all of them run. */
typedef struct AlternativeOptions {
    const bool *wanted; /* [NUM_ALTERNATIVES]; ours is wanted always */
    int64_t threads;
    double max_wait;
} AlternativeOptions;

/* Starts every wanted one once, to learn its versions and the cost of an empty call. One that cannot be
 * had is a line on stderr, whether it is not installed, its device is not in this machine, or it
 * misbehaves; then also *misbehaved. -1: ours does not start, or we were interrupted. */
int alternatives_start(Alternative list[NUM_ALTERNATIVES], const Project *p,
                       const AlternativeOptions *o, bool *misbehaved, Err *err);
void alternatives_stop(Alternative list[NUM_ALTERNATIVES]); /* their processes */
void alternatives_release(Alternative list[NUM_ALTERNATIVES]);

/* {"NAME": {"versions": ..., "empty_call_ms": ..., "empty_run_ns": ...}} of the available ones. */
json_t *alternatives_to_json(const Alternative list[NUM_ALTERNATIVES]);
/* {"NAME": "why"} of those that were left out. */
json_t *alternatives_left_out(const Alternative list[NUM_ALTERNATIVES]);
/* One line each, for Markdown: versions, or why it was left out. */
void alternatives_print(const Alternative list[NUM_ALTERNATIVES], FILE *f);

/* Starts the process, if it does not run, and greets it. */
int alternative_wake(Alternative *a, Err *err);

/* The answer to a request (taken over), after which the worker's threads sleep again; the caller owns
 * it. NULL with a sentence. */
json_t *alternative_ask(Alternative *a, json_t *request, Err *err);
/* The same where the answer says nothing but that it was done. */
int alternative_tell(Alternative *a, json_t *request, Err *err);
/* Mean time of `calls` calls of "run" or "nothing", in ns; NaN when it failed. */
double alternative_time(Alternative *a, const char *what, int64_t calls, Err *err);

/* How many CPUs other programs keep busy, seen for half a second before anything of ours is started; a line
 * on stderr where that is more than CPUS_IN_USE (machine/machine.h). NaN where the system does not tell. */
double other_cpus_before_start(void);

#endif
