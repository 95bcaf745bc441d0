/* compare_cell: one cell of a comparison: every alternative loads the same model and inputs, shows that
 * it computes the same, and then they take turns.
 *
 * A round gives each alternative one turn, in a cyclic order whose start and direction are drawn anew.
 * A turn is one sample: the mean of as many calls as fit in SAMPLE_NS, at least one, timed inside the
 * worker; where a call is shorter than WARM_CALL_NS an untimed one goes first, for the others have had
 * the caches meanwhile (in a fresh process: always). After a turn the next begins when every thread of the last worker sleeps. The
 * parent only waits; it never calls a kernel. Nothing is subtracted from any time. */
#ifndef TARE_COMPARE_CELL_H
#define TARE_COMPARE_CELL_H

#include "compare_config.h"
#include "compare_parity.h"
#include "compare_project.h"
#include "peer.h"
#include "rank_tests.h"

enum { SAMPLE_NS = 5000000, WARM_CALL_NS = 100000000 };

/* One implementation in a worker process. */
typedef struct Alternative {
    const char *name;
    bool available; /* it answered once; it need not run at the moment */
    char *argv[4], *settings[8];
    Peer peer;
    json_t *versions;
    double empty_call_ms; /* an empty request and its answer through the pipe, median */
    double empty_run_ns;  /* timing a call that does nothing, inside the worker */
} Alternative;

/* Of one alternative in one cell. */
typedef struct Record {
    const CompareCell *cell;
    const Alternative *alternative;
    double *ms; /* [rounds], in their order */
    size_t rounds;
    int64_t calls;  /* a sample */
    bool warm_call; /* an untimed call goes before each sample */
    double median_ms;
    Interval interval;
    bool has_parity; /* not for tare itself */
    Parity parity;
    RatioTest ratio; /* tare's time over this one's; missing without parity */
    Err failure;     /* "" = none; otherwise there are no figures */
} Record;

/* Everything but the models. */
typedef struct Comparison {
    const CompareConfig *config;
    Project project;
    Alternative alternatives[NUM_ALTERNATIVES];
    double load;        /* the machine's 1-minute load average before anything was started */
    char folder[64];    /* temporary, for inputs and outputs */
    ModelFiles *models; /* [config->num_models]; dir is NULL where no cell uses it */
    Record *records;    /* of the finished cells */
    size_t num_records;
} Comparison;

/* Starts every wanted alternative once, to learn its versions and the cost of an empty call. One that
 * cannot be had is a line on stderr; one that misbehaves too, and *misbehaved. -1: ours does not start,
 * or we were interrupted. */
int comparison_start(Comparison *c, bool *misbehaved, Err *err);
void comparison_release(Comparison *c);

/* Measures the cell and appends a record for every available alternative that can do it. An
 * alternative that fails has its failure in its record. -1: the inputs cannot be written, or we were
 * interrupted, and nothing was appended. */
int comparison_measure(Comparison *c, const CompareCell *cell, Err *err);

#endif
