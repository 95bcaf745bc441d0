/* sweep: runs the rows of a config, one fresh process after the other, into a result file.
 *
 *   config_load -> sweep_expand -> row_estimate -> row_admit -> execute -> result_judge -> append
 *
 * The one idea: every row of the config ends up in the file, also those that did not run, in the
 * order of the config whatever the order of execution; and what is in the file is never run again.
 * A row of several processes gets its line after the last; those before are in the journal.
 * How a row is run is the executor's business: row_spawn, or what a test puts there. */
#pragma once

#include <stdio.h>

#include "bench/sweep/estimate.h"
#include "bench/machine/plausible.h"
#include "bench/result/file.h"
#include "bench/sweep/noise.h"
#include "bench/sweep/config.h"

typedef struct SweepItem {
    FieldTEXT name;
    RowResult result;
    bool selected; /* by filter and shard */
    bool in_file;
    /* Of its processes that have run: how many, their runs, the time they took. */
    int64_t processes;
    Samples samples;
    double seconds;
} SweepItem;

typedef struct Sweep {
    SweepConfig config;
    SweepItem *items; /* in the order of the config */
    size_t count;
    TimeModel time;
} Sweep;

/* Reads the config and multiplies it out. -1 leaves nothing to release. */
int sweep_init(Sweep *s, const char *config_path, const TextList *settings, Err *err);
void sweep_release(Sweep *s);

/* Selects the rows whose name matches a POSIX extended regular expression (NULL = all) and whose
 * hash falls into shard 1..shards: of the config alone, so that it is the same shard on every
 * machine, and that adding rows to a config moves none. -1: a bad expression, or one that matches
 * nothing. */
int sweep_select(Sweep *s, const char *filter, int64_t shard, int64_t shards, Err *err);

/* Bytes that a row may need: what the config says, or what there is. */
int64_t sweep_memory_limit(const Sweep *s);

/* Estimates the selected rows and makes them `planned`; the reason says if they would be
 * skipped. */
void sweep_plan(Sweep *s);

/* Fills what the planned rows of several ranks communicate, at the measured peak of their products:
 * by a link's latency and bandwidth, or (NULL) those that a small row of as many ranks measures,
 * once for all rows that it serves, of no more than the CPUs where the default launcher would start
 * them here. A row for which that fails stays as it is, and log says why. */
void sweep_forecast(Sweep *s, const CommRate *link, FILE *log);

/* Whether the noise floor is measured. Auto: in a sweep that is predicted to take 20 times as long
 * as that, some of whose rows have too few processes to tell it themselves. */
typedef enum SweepNoise { SWEEP_NOISE_OFF, SWEEP_NOISE_AUTO, SWEEP_NOISE_ON } SweepNoise;

typedef struct SweepRun {
    const char *path; /* of the result file */
    ResultOpen how;
    bool shuffle; /* run in a random order, made from order_seed */
    int64_t order_seed;
    RowExecutor execute;
    double delay; /* seconds of rest between two rows that run, for the machine to cool down */
    SweepNoise noise;
    bool no_probe; /* see row/probe.h */
    Guard *guard;  /* judges the finished rows; NULL = nobody does */
    FILE *log;     /* progress */
} SweepRun;

/* Runs what is selected and not in the file yet. Ends early, and in order, when interrupted(). -1:
 * the result file cannot be used, or no process can be made. */
int sweep_run(Sweep *s, const SweepRun *run, Err *err);

/* The selected rows that are planned or in the file, in order; `rows` has room for s->count. */
size_t sweep_results(const Sweep *s, const RowResult **rows);
