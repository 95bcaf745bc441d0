/* job: see job.h. */
#include "bench/ranks/job.h"

#include <math.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/ranks/heartbeat.h"
#include "bench/ranks/loader.h"
#include "bench/util/process.h"
#include "commit.h"

/* ---- joining ---- */

/* This rank's part of the CPUs that all ranks of the host share; threads started later inherit it.
 * More ranks than CPUs are left to the system. */
static void take_cpus(void)
{
    LocalRank local = local_rank();
    cpu_set_t all, own;
    if (sched_getaffinity(0, sizeof all, &all) != 0 || local.size > CPU_COUNT(&all))
        return;
    int count = CPU_COUNT(&all), from = local.rank * count / local.size,
        to = (local.rank + 1) * count / local.size, seen = 0;
    CPU_ZERO(&own);
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &all) && seen++ >= from && seen <= to)
            CPU_SET(cpu, &own);
    sched_setaffinity(0, sizeof own, &own);
}

enum { PROGRAM_SIZE = 512 };

/* Every rank compares itself with rank 0. */
static int check_program(CommThread *t, Err *err)
{
    char own[PROGRAM_SIZE] = "", first[PROGRAM_SIZE];
    snprintf(own, sizeof own, "commit %s, %s", TARE_GIT_COMMIT, TARE_BUILD);
    memcpy(first, own, sizeof first);
    job_share(t, first, sizeof first);
    if (strcmp(own, first) == 0)
        return 0;
    return err_set(err, "rank %d runs another program than rank 0: %s, not %s", t->comm.rank, own,
                   first);
}

int job_join(CommThread *t, int64_t ranks, const char *reduce, Err *err)
{
    const CommPlugin *plugin;
    if (comm_plugin_load(&plugin, err) != 0)
        return -1;
    take_cpus();
    comm_thread_start(t, plugin, strcmp(reduce, "mpi") == 0);
    if (t->comm.size != ranks)
        return err_set(
            err,
            "the launcher made a job of %d of the %d ranks (%s): it is another MPI's, or "
            "was told another number",
            t->comm.size, (int)ranks, t->comm.name);
    return check_program(t, err) == 0 ? heartbeat_start(t, err) : -1;
}

void job_leave(CommThread *t)
{
    comm_barrier(t);
    heartbeat_stop();
    comm_thread_finish(t);
}

bool job_stop_asked(void)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    char byte = 0;
    return poll(&in, 1, 0) == 1 && in.revents & POLLIN && read(STDIN_FILENO, &byte, 1) == 1 &&
           byte == CHILD_STOP;
}

/* ---- exchanging ---- */

typedef struct Shared {
    void *x;
    size_t bytes;
} Shared;

static void share(Comm *c, void *arg)
{
    const Shared *s = arg;
    comm_share_bytes(c, s->x, s->bytes, 0);
}

void job_share(CommThread *t, void *x, size_t bytes)
{
    comm_call(t, share, &(Shared){x, bytes});
}

typedef struct Exchange {
    const double *own;
    double *all; /* [size][n] */
    size_t n;
} Exchange;

static void gather(Comm *c, void *arg)
{
    const Exchange *e = arg;
    comm_gather_doubles(c, e->own, e->n, e->all);
}

/* [size][n]; caller frees. */
static double *all_values(CommThread *t, const double *own, size_t n)
{
    double *all = xmalloc((size_t)t->comm.size * n * sizeof *all);
    comm_call(t, gather, &(Exchange){own, all, n});
    return all;
}

void job_largest(CommThread *t, double *values, double *low, size_t n)
{
    if (low)
        memcpy(low, values, n * sizeof *low);
    if (!t)
        return;
    OWNED double *all = all_values(t, values, n);
    for (size_t i = 0; i < n; i++)
        for (int r = 0; r < t->comm.size; r++) {
            double value = all[(size_t)r * n + i];
            values[i] = r ? fmax(values[i], value) : value;
            if (low)
                low[i] = r ? fmin(low[i], value) : value;
        }
}

void job_sum(CommThread *t, double *values, size_t n)
{
    if (!t)
        return;
    OWNED double *all = all_values(t, values, n);
    memset(values, 0, n * sizeof *values);
    for (int r = 0; r < t->comm.size; r++)
        for (size_t i = 0; i < n; i++)
            values[i] += all[(size_t)r * n + i];
}
