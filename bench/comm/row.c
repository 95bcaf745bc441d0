/* row: see row.h. */
#include "bench/comm/row.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bench/ranks/parallel.h"
#include "bench/row/config.h"
#include "bench/row/ranked.h"
#include "bench/sweep/grid_row.h"

#define KEY(...) GRID_KEY(CommRow, __VA_ARGS__)
#define OUT(...) GRID_OUT(CommRow, __VA_ARGS__)
#define SHARED   GRID_SHARED

/* In the order of the CSV. */
static Field fields[] = {
    KEY(TEXT, "operation", operation, "all_reduce",
        "of all ranks, in fp32: all_reduce, reduce_scatter, all_gather; broadcast from rank 0",
        .choices = "all_reduce|reduce_scatter|all_gather|broadcast"),
    KEY(INT, "bytes", bytes, "1000000", "of the whole array, a multiple of 4",
        BETWEEN(4, (int64_t)1 << 42)),
    KEY(INT, "ranks", base.config.ranks, "2", "processes of the job", BETWEEN(2, 4096)),
    KEY(TEXT, "algorithm", base.config.reduce, "ring",
        "mpi: the library's own; ring: ours, which sums in rank order", .choices = "mpi|ring"),
    SHARED("median_ms"),
    SHARED("median_lo_ms"),
    SHARED("median_hi_ms"),
    OUT(REAL, "algbw_gb_per_s", algbw_gb_per_s, "1e9 B/s", "bytes over median_ms"),
    OUT(REAL, "busbw_gb_per_s", busbw_gb_per_s, "1e9 B/s",
        "algbw times 2 (R - 1) / R of all_reduce, (R - 1) / R of reduce_scatter and all_gather, as "
        "nccl-tests has it: comparable with a link"),
    OUT(INT, "wrong", wrong, "",
        "elements of all rounds and ranks that are not what they should be"),
    OUT(INT, "rounds", rounds, "", "timed runs"),
    SHARED("mpi"),
    OUT(TEXT, "status", base.status, "", "ok, skipped_memory, unsupported or failed"),
    SHARED("status_reason"),
    OUT(TEXT, "row_id", base.row_id, "", "name of the row, for --filter and the samples file"),
    OUT(INT, "predicted_peak_bytes", base.predicted_peak_bytes, "B", "memory of a rank"),
    SHARED("peak_rss_bytes"),
    KEY(INT, "num_warmups", base.config.num_warmups, "5", "untimed runs before the first trial",
        BETWEEN(0, 1000000)),
    KEY(INT, "num_trials", base.config.num_trials, "20", "timed runs", BETWEEN(1, 1000000)),
    KEY(INT, "threads", base.config.threads, "1", "of a rank's computing, with overlap",
        BETWEEN(1, 4096)),
    KEY(TEXT, "launcher", base.config.launcher, "",
        "command that starts the ranks, {ranks} replaced by their number; mpirun.openmpi by "
        "default",
        .choices = NULL),
    KEY(INT, "piece", piece, "268435456", "elements that one call of MPI moves at most",
        BETWEEN(1, 1 << 28)),
    KEY(BOOL, "overlap", overlap, "False",
        "True: also computes matrix products for about as long, alone and at the same time",
        .choices = NULL),
    OUT(REAL, "compute_ms", compute_ms, "ms", "median of the matrix products alone"),
    OUT(REAL, "both_ms", both_ms, "ms", "median of both at the same time"),
    OUT(REAL, "overlap_fraction", overlap_fraction, "",
        "what is hidden of the shorter one: (median_ms + compute_ms - both_ms) over it"),
    SHARED("mean_time_ms"),
    SHARED("std_time_ms"),
    SHARED("min_ms"),
    SHARED("max_ms"),
    SHARED("cv"),
    SHARED("first_trial_ms"),
    SHARED("steady_class"),
    SHARED("cpu_model"),
    SHARED("cpus_allowed"),
    SHARED("build"),
    SHARED("timestamp_utc"),
    SHARED("git_commit"),
};

const Schema *comm_schema(void)
{
    static const Schema schema = {"a row", fields, COUNT_OF(fields), sizeof(CommRow)};
    return grid_schema(&schema, fields);
}

void comm_row_plan(void *row)
{
    CommRow *r = row;
    const RowConfig *c = &r->base.config;
    snprintf(r->base.row_id, sizeof r->base.row_id, "%.16s/%" PRId64 "/r%" PRId64 "/%.8s",
             r->operation, r->bytes, c->ranks, c->reduce);
    r->base.predicted_peak_bytes =
        r->bytes + MODEL_PROCESS_BYTES + (int64_t)parallel_process_bytes(row_ranks(c));
}

void comm_row_rates(CommRow *r)
{
    double ranks = (double)r->base.config.ranks, factor = (ranks - 1) / ranks;
    if (strcmp(r->operation, "all_reduce") == 0)
        factor *= 2;
    else if (strcmp(r->operation, "broadcast") == 0)
        factor = 1;
    r->algbw_gb_per_s = (double)r->bytes / (r->base.median_ms * 1e6);
    r->busbw_gb_per_s = r->algbw_gb_per_s * factor;
}
