/* parallel: a training step over several ranks, each with its part of the batch.
 *
 * The one idea: a strategy is which ranges of the flat blocks are communicated by which operation
 * and when; gradients are reduced where they lie, and every rank holds the same addresses. What a
 * rank does not own costs no memory because its pages are given back, not because it is not there:
 * with zero1 the moments outside a rank's share are never touched, with fsdp the weights of a layer
 * are there from the gathering before its first step to its last step only.
 *
 *   ddp-naive    after backward, parameter by parameter       (all-reduce)
 *   ddp-flat     after backward, all at once
 *   ddp-overlap  each parameter as soon as its gradient is complete
 *   ddp-bucket   each bucket as soon as its gradients are     (Li et al. 2020)
 *   sharded-optimizer  ddp-flat; each rank updates its share and broadcasts it
 *   zero1        reduce-scatter, update of the share, all-gather (Rajbhandari et al. 2020)
 *   fsdp         the same a layer; weights gathered at most `prefetch` layers ahead
 *                (Zhao et al. 2023)
 *
 * The gradient is that of the mean over all tokens: each rank's loss has the weight of its part.
 * Of the model it knows parameters, Exec and plan alone: several plans of one model may take
 * turns, as in model/bucketed.h. */
#pragma once

#include "bench/ranks/groups.h"
#include "bench/ranks/thread.h"
#include "model/model.h"

#define PARALLEL_NAMES "none|ddp-naive|ddp-flat|ddp-overlap|ddp-bucket|sharded-optimizer|zero1|fsdp"
typedef enum Strategy {
    PARALLEL_NONE,
    DDP_NAIVE,
    DDP_FLAT,
    DDP_OVERLAP,
    DDP_BUCKET,
    SHARDED_OPTIMIZER,
    ZERO1,
    FSDP
} Strategy;

Strategy parallel_strategy(const char *name); /* one of PARALLEL_NAMES */

typedef struct ParallelOptions {
    Strategy strategy;
    int ranks;
    size_t bucket_floats; /* of ddp-bucket */
    size_t prefetch;      /* of fsdp: layers */
} ParallelOptions;

/* What is left for a rank, the largest, of what one process takes. */
ModelBytes parallel_bytes(ModelBytes whole, const Params *p, const Schedule *s,
                          const ParallelOptions *o);
/* What a process needs to be a rank, beside MODEL_PROCESS_BYTES: MPI, and the parts of sums. */
size_t parallel_process_bytes(int ranks);

typedef struct Parallel {
    Params *params; /* allocated; all four borrowed */
    Exec *exec;
    const Plan *plan; /* of the run */
    CommThread *comm; /* NULL: one process, and nothing is communicated */
    ParallelOptions options;
    /* Backward communicates no gradients: to time it alone, and where more are added first. */
    bool muted;
    Groups groups;
    size_t *ready;    /* [groups.count] complete gradients in this run */
    size_t *gathered; /* fsdp: [groups.count] number of the job; 0: not there */
    size_t *reduced;  /* fsdp: [groups.count] the jobs of this run in their order */
    size_t num_reduced;
    size_t next_visit;
    int64_t forward_waited_ns, backward_waited_ns; /* of the last run */
    Range *own; /* ranges of the flat block that this rank updates */
    size_t num_own;
} Parallel;

/* plan: any that will run. The weight of this rank's loss becomes 1 / ranks. */
void parallel_init(Parallel *p, Params *params, Exec *exec, const Plan *plan, CommThread *comm,
                   const ParallelOptions *o);
void parallel_release(Parallel *p);

/* As params_randomize: the same weights whatever the number of ranks. */
void parallel_randomize(Parallel *p, uint64_t seed);

/* After all weights, or moments, were filled by other means: gives back those of other ranks. */
void parallel_keep_own(Parallel *p);

/* As the functions of model.h, on this rank's part of the batch. The time in which they wait for
 * communication is CommTimes.waited_ns. */
void parallel_forward(Parallel *p, const Plan *plan);
void parallel_backward(Parallel *p); /* gradients of the whole batch, of fsdp and zero1 own ones */
void parallel_update(Parallel *p, const AdamW *o, float grad_scale);

/* After a forward pass that no backward pass follows, though its plan has one. */
void parallel_end_forward(Parallel *p);

/* The squares of a flat block, weights or reduced gradients, that this rank has to add to those of
 * the others for the norm of the whole: all on rank 0 of what every rank has in full. */
double parallel_squares(const Parallel *p, const float *block);

/* Rank 0 gets the weights and moments of all, for a file of one process, and has them until
 * parallel_keep_own; of all ranks at once. */
void parallel_collect(Parallel *p);
/* All ranks get those of rank 0, and keep their own. */
void parallel_spread(Parallel *p);

/* A step of a model that is planned, allocated or not, without running it; the time of computing is
 * spread over the steps as their FLOPs are. */
typedef struct StepForecast {
    uint64_t wire_bytes;        /* that our own operations send, the most of all ranks */
    double comm_ns, exposed_ns; /* communication; what of it the main thread waits for */
    double cover_ns;            /* computing behind which it can hide: backward, of fsdp both */
} StepForecast;
StepForecast parallel_forecast(Model *m, const ParallelOptions *o, CommRate rate,
                               double compute_ns);

/* A hash of all weights, which fsdp gathers for it; the same on every rank, or the ranks have come
 * apart. */
uint64_t parallel_weights_hash(Parallel *p);
