/* comm: collective operations over fp32 arrays, by MPI or by our own exchange.
 *
 * The one idea: our own sums every element in rank order 0, 1, ..., whoever computes it, so a sum
 * has the same bits whatever the array that it is a part of: one parameter, a bucket or all
 * gradients. Rank r owns segment r of an array. Reduce-scatter sends every segment straight to its
 * owner, who adds the parts up; all-gather hands the segments round the ring; all-reduce is one
 * after the other. Each rank sends (R - 1) / R of the array in either, as in the ring of Patarasuk
 * & Yuan (2009), the least there can be.
 *
 * Blocking, and for one thread (thread.h). Which MPI there is: loader.h. */
#pragma once

#include "autograd/base.h"
#include "bench/ranks/plugin.h"

typedef struct Comm {
    const CommPlugin *plugin;
    void *world;
    int rank, size;
    bool use_mpi;        /* sums, gathers and broadcasts by MPI's own algorithms */
    size_t piece;        /* elements that one call of the plug-in moves at most */
    uint64_t sent_bytes; /* by our own operations; MPI does not tell */
    float *parts;        /* of the other ranks, while they are added up */
    char name[COMM_NAME];
} Comm;

/* Joins the job. */
void comm_start(Comm *c, const CommPlugin *plugin, bool use_mpi);
void comm_finish(Comm *c);

/* Elements [from, to) of an array of n that belong to rank r: in whole cache lines, but for the
 * last. */
Range comm_segment(size_t n, int size, int r);

void comm_all_reduce(Comm *c, float *x, size_t n);
void comm_reduce_scatter(Comm *c, float *x, size_t n); /* the other segments are undefined then */
void comm_all_gather(Comm *c, float *x, size_t n);     /* of each rank's own segment */
void comm_broadcast(Comm *c, float *x, size_t n, int root);
/* The root gets each rank's own segment; no part of what is measured. */
void comm_gather(Comm *c, float *x, size_t n, int root);

/* Small: no part of what is measured. */
void comm_share_bytes(Comm *c, void *x, size_t bytes, int root);
void comm_gather_doubles(Comm *c, const double *own, size_t n, double *all); /* [size][n] */
