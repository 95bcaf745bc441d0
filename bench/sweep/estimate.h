/* estimate: predicts what a row needs: parameters, FLOPs, peak memory, time.
 *
 * The one idea: memory follows from the plan, time only from a rate, so the prediction of time
 * learns from every finished row. Nothing large is allocated and nothing is run. */
#pragma once

#include "model/precision.h"
#include "bench/ranks/thread.h"
#include "bench/row/row.h"

/* Sums of ln(observed / assumed) over finished rows; assumed is FLOPs over the rate. */
typedef struct TimeRatios {
    double count, sum, sum_of_squares;
} TimeRatios;

typedef struct TimeModel {
    double gflops_per_thread;                       /* the rate assumed until rows have finished */
    TimeRatios kind[NUM_PRECISIONS][NUM_TASKS + 1]; /* [precision][task, or backward] */
    TimeRatios all;
} TimeModel;

/* gflops: the measured matrix rate on `threads` threads, or NaN for a stated default. */
void time_model_init(TimeModel *t, double gflops, int64_t threads);
void time_model_learn(TimeModel *t, const RowResult *r, double seconds);

/* Seconds of the whole row with warmups and start; num_params and model_flops of r are known. */
double time_model_predict(const TimeModel *t, const RowResult *r);

/* Standard deviation of ln(observed / predicted), a guess before three rows have finished. */
double time_model_spread(const TimeModel *t);
double time_model_count(const TimeModel *t); /* rows learned from */

/* Fills num_params, model_flops and the product's columns from r->config, which has been checked;
 * if the row is supported here, also recompute_used, predicted_peak_bytes and predicted_time_s.
 * recompute = auto becomes block if the row would not fit into memory_limit bytes otherwise. */
void row_estimate(RowResult *r, int64_t memory_limit, const TimeModel *t);

/* Fills what an estimated row of several ranks takes and communicates, where each rank computes at
 * gflops. */
void row_estimate_ranks(RowResult *r, int64_t memory_limit, CommRate rate, double gflops);

/* Whether an estimated row may run: supported here, within memory_limit bytes and max_seconds
 * (INFINITY = any). If not, status and status_reason say why. */
bool row_admit(RowResult *r, int64_t memory_limit, double max_seconds);
/* The same by its predictions alone. */
bool row_fits(RowResult *r, int64_t memory_limit, double max_seconds);
