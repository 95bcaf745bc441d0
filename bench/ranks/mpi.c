/* mpi: the plug-in of plugin.h over the MPI that compiles it. No part of the program. */
#include <mpi.h>
#include <stdio.h>

#include "bench/ranks/plugin.h"

/* The state is MPI_COMM_WORLD, of which a process has one. */
static void *start(int *rank, int *size, char name[COMM_NAME])
{
    int provided;
    MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided);
    MPI_Comm_rank(MPI_COMM_WORLD, rank);
    MPI_Comm_size(MPI_COMM_WORLD, size);
#ifdef OPEN_MPI
    snprintf(name, COMM_NAME, "Open MPI %d.%d.%d", OMPI_MAJOR_VERSION, OMPI_MINOR_VERSION,
             OMPI_RELEASE_VERSION);
#else
    snprintf(name, COMM_NAME, "MPICH %s", MPICH_VERSION);
#endif
    return NULL;
}

static void sendrecv(void *world, const void *out, size_t out_bytes, int to, void *in,
                     size_t in_bytes, int from)
{
    (void)world;
    MPI_Sendrecv(out, (int)out_bytes, MPI_BYTE, to < 0 ? MPI_PROC_NULL : to, 0, in, (int)in_bytes,
                 MPI_BYTE, from < 0 ? MPI_PROC_NULL : from, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
}

static void broadcast(void *world, void *x, size_t bytes, int root)
{
    (void)world;
    MPI_Bcast(x, (int)bytes, MPI_BYTE, root, MPI_COMM_WORLD);
}

static void barrier(void *world)
{
    (void)world;
    MPI_Barrier(MPI_COMM_WORLD);
}

static void all_reduce(void *world, float *x, size_t n)
{
    (void)world;
    MPI_Allreduce(MPI_IN_PLACE, x, (int)n, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
}

static void reduce(void *world, float *x, size_t n, int root)
{
    int rank;
    (void)world;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Reduce(rank == root ? MPI_IN_PLACE : x, x, (int)n, MPI_FLOAT, MPI_SUM, root,
               MPI_COMM_WORLD);
}

static void reduce_scatter(void *world, const float *x, const int *counts, float *own)
{
    (void)world;
    MPI_Reduce_scatter(x, own, counts, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
}

static void all_gather(void *world, float *x, const int *counts, const int *places)
{
    (void)world;
    MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, x, counts, places, MPI_FLOAT,
                   MPI_COMM_WORLD);
}

static void finish(void *world)
{
    (void)world;
    MPI_Finalize();
}

const CommPlugin *tare_comm_plugin(void)
{
    static const CommPlugin plugin = {.start = start,
                                      .sendrecv = sendrecv,
                                      .broadcast = broadcast,
                                      .barrier = barrier,
                                      .all_reduce = all_reduce,
                                      .reduce = reduce,
                                      .reduce_scatter = reduce_scatter,
                                      .all_gather = all_gather,
                                      .finish = finish};
    return &plugin;
}
