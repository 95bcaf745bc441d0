/* plugin: what an MPI library does for us: the only interface between this program and one.
 *
 * The one idea: `tare` neither links nor needs MPI. One source, mpi.c, is built once for each MPI
 * that CMake finds, into tare_comm_openmpi.so and tare_comm_mpich.so beside the program; a process
 * that is a rank loads one of them. Everything else is ours (comm.h).
 *
 * Only one thread of a process calls these functions, from start to finish. A count or a number of
 * bytes is at most COMM_PIECE. An error of MPI ends the whole job, with MPI's message on stderr. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum { COMM_NAME = 64, COMM_PIECE = 1 << 30, COMM_UNDER_WAY = 2 };

typedef struct CommPlugin {
    /* Joins the job and returns the state that the other functions take. by_mpi: MPI's own
     * operations will be called, not begin, end and barrier alone, whose waits sleep. name:
     * "Open MPI 4.1.4". */
    void *(*start)(bool by_mpi, int *rank, int *size, char name[COMM_NAME]);
    /* Begins to send to one rank and to receive from one; a rank of -1: none. At most
     * COMM_UNDER_WAY have begun and not ended. */
    void (*begin)(void *world, const void *out, size_t out_bytes, int to, void *in, size_t in_bytes,
                  int from);
    void (*end)(void *world); /* of the oldest: waits until both are done */
    void (*broadcast)(void *world, void *x, size_t bytes, int root);
    void (*barrier)(void *world);
    /* MPI's own sums of fp32: in place; to the root in place, others' x as it was; of counts[r]
     * elements for rank r, those of this rank into own. */
    void (*all_reduce)(void *world, float *x, size_t n);
    void (*reduce)(void *world, float *x, size_t n, int root);
    void (*reduce_scatter)(void *world, const float *x, const int *counts, float *own);
    /* Rank r's counts[r] elements lie at x + places[r]; afterwards everyone has all. */
    void (*all_gather)(void *world, float *x, const int *counts, const int *places);
    void (*finish)(void *world);
} CommPlugin;

/* The one symbol of the shared object. */
#define COMM_PLUGIN_SYMBOL "tare_comm_plugin"
const CommPlugin *tare_comm_plugin(void);
