/* pipe: a worker process that stays alive and answers requests, one line of JSON each way.
 *
 * The one idea: the caller gets an answer or an error within a time limit, whatever the worker
 * does. A worker that ends, stays silent or answers with anything but one JSON object is stopped.
 * The worker reads requests on stdin and answers on stdout; the end of its stderr becomes the
 * reason of a failure. It runs in its own process group, so that Ctrl-C reaches only us, and it
 * dies with us. What requests mean is not decided here. */
#pragma once

#include <jansson.h>

#include "bench/util/process.h"

enum { PEER_LOG_BYTES = 4096, PEER_REPLY_BYTES = 1 << 20 };

typedef struct Peer {
    const char *name; /* for messages; borrowed */
    pid_t pid;        /* 0 = not running */
    int channel;      /* requests and answers */
    Stream log;       /* the end of its stderr */
} Peer;

/* Starts argv[0] with these arguments (NULL-terminated) and "NAME=VALUE" settings (NULL-terminated)
 * added to its environment. Removes a spin count that main has set: a peer is measured as its users
 * run it. A program that cannot be executed shows at the first answer. */
int peer_start(Peer *p, const char *name, char *const *argv, char *const *settings, Err *err);

/* Sends the request, taking over the reference, and waits for the answer, which the caller owns.
 * NULL with an error in two cases. The worker answered {"error": "..."}: it runs on. Or the worker
 * ended, was silent for max_seconds, answered with something else than an object, or we were
 * interrupted: it is stopped, and peer_running is false. */
json_t *peer_ask(Peer *p, json_t *request, double max_seconds, Err *err);

bool peer_running(const Peer *p);

/* Waits until every thread of the worker sleeps: thread teams and pools spin on after their work.
 * False if one is still awake after max_seconds. */
bool peer_settle(const Peer *p, double max_seconds);

/* Stops the worker if it runs. */
void peer_stop(Peer *p);
