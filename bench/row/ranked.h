/* ranked: a row of several ranks, from inside one of them: joining the job, and what its trials say
 * of communication.
 *
 * The one idea: every rank runs the same trials behind a barrier, and after each all exchange their
 * times, so that every rank knows the slowest one's and decides alike. Only rank 0 answers. What is
 * communicated and when is ranks/parallel.h, how a job is started ranks/launch.h. */
#pragma once

#include "bench/ranks/parallel.h"
#include "bench/row/row.h"
#include "bench/row/samples.h"

/* ranks; 1 where an older file does not tell. */
int row_ranks(const RowConfig *c);
ParallelOptions row_parallel(const RowConfig *c);
size_t row_rank_batch(const RowConfig *c); /* sequences of one rank */

/* Peak bytes of one rank, as model_predicted_bytes of a process. */
size_t row_rank_bytes(const Model *m, const RowConfig *c);
/* Fills the columns of memory by category. */
void row_fill_rank_bytes(RowResult *r, const Model *m);

/* Fills what a step of m, which is planned, communicates at that rate, and what is exposed where
 * both passes compute for compute_ms; nothing of one rank. */
void row_forecast(RowResult *r, Model *m, CommRate rate, double compute_ms);

/* How ranked_fit measures the link of a row's ranks. */
typedef enum LinkKind { LINK_ALONE, LINK_BESIDE_PRODUCTS, LINK_OF_A_SHARD } LinkKind;
LinkKind ranked_link_kind(const RowConfig *c);

typedef struct RankedRow {
    CommThread comm;
    Parallel parallel;
    CommRate rate;                              /* fitted */
    double *skew_ns, *compute_ns, *backward_ns; /* [runs] without waiting; compute: both passes */
    double quiet_backward_ns;                   /* without communication; NaN: not measured */
    double sent_bytes;                          /* of the last run */
    size_t runs;
} RankedRow;

/* Joins the job of c and checks it: as many ranks as asked for, of the same program. Takes this
 * rank's part of the host's CPUs. -1: no plug-in, or another job than c's. */
int ranked_join(RankedRow *w, const RowConfig *c, Err *err);
/* After parallel_init: measures what communication costs; of a strategy that overlaps, also while
 * all ranks compute. -1: no memory. */
int ranked_fit(RankedRow *w, Err *err);
/* Around each run: *s becomes the slowest rank's. */
void ranked_begin(RankedRow *w);
void ranked_end(RankedRow *w, Sample *s);
/* The slowest rank's of a time of each. */
double ranked_slowest(RankedRow *w, double ns);
/* In rank order. */
double ranked_sum(RankedRow *w, double value);

/* After the last run of m: fills the columns that only ranks know, from all of them; r->loss, of
 * this rank's part, becomes that of all. -1: the ranks have come apart. */
int ranked_fill(RankedRow *w, RowResult *r, Model *m, Err *err);
/* Leaves the job. */
void ranked_leave(RankedRow *w);
