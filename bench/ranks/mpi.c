/* mpi: the plug-in of plugin.h over the MPI that compiles it. No part of the program. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

#include "bench/ranks/plugin.h"

/* ---- waiting ---- */

/* How long a wait looks again and again, and sleeps between two looks after that. */
enum { SPIN_NS = 50000, NAP_NS = 30000, NAP_SLACK_NS = 1000 };
enum { REQUESTS = 2 }; /* of an exchange: to receive, and to send */

static long long now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

/* MPI's own waits spin or yield, which takes the CPU from a thread that computes there, and then
 * waits whole slices of the scheduler for its turn. One that sleeps is let in when it wakes. */
static void finish_all(int count, MPI_Request *requests)
{
    const struct timespec nap = {.tv_nsec = NAP_NS};
    MPI_Status ignored[REQUESTS];
    int done = 0;
    for (long long start = now_ns();;) {
        MPI_Testall(count, requests, &done, ignored);
        if (done)
            return;
        if (now_ns() - start > SPIN_NS)
            nanosleep(&nap, NULL);
    }
}

/* ---- the plug-in ---- */

/* The state is MPI_COMM_WORLD, of which a process has one. */
static void *start(bool by_mpi, int *rank, int *size, char name[COMM_NAME])
{
    int provided;
    prctl(PR_SET_TIMERSLACK, NAP_SLACK_NS, 0, 0, 0); /* of this thread */
    /* Open MPI's own operations yield while they wait; for ours each look would be a yield. */
    setenv("OMPI_MCA_mpi_yield_when_idle", by_mpi ? "1" : "0", 0);
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

/* Exchange number k has place k % COMM_UNDER_WAY. */
static MPI_Request under_way[COMM_UNDER_WAY][REQUESTS];
static unsigned begun, ended;

static void begin(void *world, const void *out, size_t out_bytes, int to, void *in, size_t in_bytes,
                  int from)
{
    MPI_Request *r = under_way[begun++ % COMM_UNDER_WAY];
    (void)world;
    MPI_Irecv(in, (int)in_bytes, MPI_BYTE, from < 0 ? MPI_PROC_NULL : from, 0, MPI_COMM_WORLD,
              &r[0]);
    MPI_Isend(out, (int)out_bytes, MPI_BYTE, to < 0 ? MPI_PROC_NULL : to, 0, MPI_COMM_WORLD, &r[1]);
}

static void end(void *world)
{
    (void)world;
    finish_all(REQUESTS, under_way[ended++ % COMM_UNDER_WAY]);
}

static void broadcast(void *world, void *x, size_t bytes, int root)
{
    (void)world;
    MPI_Bcast(x, (int)bytes, MPI_BYTE, root, MPI_COMM_WORLD);
}

static void barrier(void *world)
{
    MPI_Request all;
    (void)world;
    MPI_Ibarrier(MPI_COMM_WORLD, &all);
    finish_all(1, &all);
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
                                      .begin = begin,
                                      .end = end,
                                      .broadcast = broadcast,
                                      .barrier = barrier,
                                      .all_reduce = all_reduce,
                                      .reduce = reduce,
                                      .reduce_scatter = reduce_scatter,
                                      .all_gather = all_gather,
                                      .finish = finish};
    return &plugin;
}
