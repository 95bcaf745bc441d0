/* spawn: runs one row in a fresh process, `tare run ... --result-fd 3`, and takes its result back.
 *
 * The one idea: in a process of its own, peak memory, cold start and crash belong to that row
 * alone. The answer is one JSON document, {"result": ..., "samples": [...]}, with "profile" if
 * asked for. Running the row is in row/run.h, making a process in util/process.h. */
#pragma once

#include "bench/row/profile.h"
#include "bench/row/row.h"
#include "bench/row/samples.h"

typedef struct RowLimits {
    size_t memory_limit; /* bytes that recompute = auto stays below; 0 = what there is */
    double max_seconds;  /* a row that runs longer is stopped; INFINITY = no limit */
    bool no_probe;       /* leave row/probe.h out */
    const char *program; /* path of the tare that runs it; NULL = this one */
} RowLimits;

/* Runs r->config, which has passed row_config_check. Keeps the predictions in r and adds the
 * result, machine and build. status becomes ok, or failed with the reason; a failed row has no
 * samples. If the user interrupted the row, interrupted() is true and r->status is empty: the row
 * is not finished. -1: no process could be made. */
int row_spawn(RowResult *r, Samples *samples, const RowLimits *limits, Err *err);

/* Does the same and fills *profile, which has been initialised, unless the row is not ok. NULL: no
 * profile. */
int row_spawn_profiled(RowResult *r, Samples *samples, Profile *profile, const RowLimits *limits,
                       Err *err);

/* In that process, of a row of several ranks: runs argv (as row_argv has it, and freed) by the
 * launcher of c and hands the answer of rank 0 on to the open descriptor fd. */
int row_spawn_ranks(const RowConfig *c, char **argv, int fd, Err *err);

/* Writes and reads the document, at the two ends of the pipe; profile may be NULL.
 * row_document_parse adds to *r, *samples and *profile; what an older program's document lacks is
 * missing. */
json_t *row_document(const RowResult *r, const Samples *samples, const Profile *profile);
int row_document_parse(const char *text, size_t len, RowResult *r, Samples *samples,
                       Profile *profile, Err *err);

/* Adds the document's samples, and the tokens of a row that has any. */
int row_document_samples(const json_t *document, Samples *samples, Err *err);
