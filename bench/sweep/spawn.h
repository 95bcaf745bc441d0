/* spawn: runs one row in a fresh process, `tare run ... --result-fd 3`, and takes its result back.
 *
 * The one idea: peak memory, cold starts and crashes then belong to that row alone. The answer is one
 * JSON document, {"result": ..., "samples": [...]}, with "profile" where that was asked for; how the row is run is row/run.h's business, how
 * processes are made util/process.h's. */
#ifndef TARE_BENCH_SWEEP_SPAWN_H
#define TARE_BENCH_SWEEP_SPAWN_H

#include "bench/row/profile.h"
#include "bench/row/row.h"
#include "bench/row/samples.h"

typedef struct RowLimits {
    size_t memory_limit; /* bytes that recompute = auto stays below; 0 = what there is */
    double max_seconds;  /* a row that runs longer is stopped; INFINITY = no limit */
} RowLimits;

/* Runs r->config, which has passed row_config_check. What r knows already (predictions) stays, what
 * the row found out is added, also whose machine and build it was. status becomes ok, or failed with
 * the reason; a failed row has no samples. When the user interrupted it (interrupted() is true then),
 * r->status is empty: the row is not finished. -1: no process could be made. */
int row_spawn(RowResult *r, Samples *samples, const RowLimits *limits, Err *err);

/* The same with a profile of the row in *profile, which has been initialised; it stays empty when the row
 * is not ok. NULL: no profile. */
int row_spawn_profiled(RowResult *r, Samples *samples, Profile *profile, const RowLimits *limits,
                       Err *err);

/* The document, for both sides of the pipe; profile may be NULL. row_document_parse adds to *r, *samples
 * and *profile. */
json_t *row_document(const RowResult *r, const Samples *samples, const Profile *profile);
int row_document_parse(const char *text, size_t len, RowResult *r, Samples *samples,
                       Profile *profile, Err *err);

#endif
