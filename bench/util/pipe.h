/* pipe: a worker process that stays alive and answers requests, one line of JSON each way.
 *
 * The one idea: whatever the worker does, the caller gets an answer or a sentence within a limit of
 * time: a worker that ended, is silent or answers with anything but one JSON object is stopped. It
 * reads requests on stdin and answers on stdout; what it says on stderr is kept for the reason of a
 * failure. It runs in a process group of its own, so a Ctrl-C reaches only us, and dies with us.
 * What requests mean is not decided here. */
#ifndef TARE_BENCH_UTIL_PIPE_H
#define TARE_BENCH_UTIL_PIPE_H

#include <jansson.h>
#include <sys/types.h>

#include "autograd/base.h"

enum { PEER_LOG_BYTES = 4096, PEER_REPLY_BYTES = 1 << 20 };

typedef struct Peer {
    const char *name;              /* for messages; borrowed */
    pid_t pid;                     /* 0 = not running */
    int channel, log;              /* both directions of the talk; its stderr */
    char tail[PEER_LOG_BYTES + 1]; /* the end of what it said on stderr */
    size_t tail_len;
} Peer;

/* How long idle threads spin, and a mark where that is main's choice and not the user's. */
#define SPIN_COUNT         "GOMP_SPINCOUNT"
#define SPIN_COUNT_IS_OURS "TARE_SPIN_COUNT_IS_OURS"

/* Starts argv[0] with these arguments (NULL-terminated) and "NAME=VALUE" settings (NULL-terminated)
 * added to its environment, from which our own spin count is gone: it is measured as its users run it. That
 * it can be executed is only known at the first answer. */
int peer_start(Peer *p, const char *name, char *const *argv, char *const *settings, Err *err);

/* Sends the request (the reference is taken over) and waits for its answer, which the caller owns. NULL
 * when there is none: the worker ended, or it was stopped because it was silent for max_seconds,
 * answered with something else than an object, or we were interrupted; peer_running is then false. Also
 * NULL when the answer is {"error": "..."}, with that sentence; the worker then goes on. */
json_t *peer_ask(Peer *p, json_t *request, double max_seconds, Err *err);

bool peer_running(const Peer *p);

/* Waits until every thread of the worker sleeps, for thread teams and pools go on spinning after their
 * work; false when they still do not after max_seconds. */
bool peer_settle(const Peer *p, double max_seconds);

/* Ends it, if it runs. */
void peer_stop(Peer *p);

#endif
