/* thread: the communication thread of a rank, and the queue of what it is told to do.
 *
 * The one idea: MPI makes no progress by itself, so one thread does all communication in blocking
 * calls, from joining the job to leaving it, while the main thread computes. The main thread
 * submits jobs, which are done in their order, and waits for one where it needs the result. All
 * ranks have to submit the same jobs in the same order. What is exposed is the time of that
 * waiting. */
#pragma once

#include <pthread.h>

#include "autograd/base.h"
#include "bench/ranks/comm.h"

typedef enum JobKind {
    JOB_ALL_REDUCE,
    JOB_REDUCE_SCATTER,
    JOB_ALL_GATHER,
    JOB_BROADCAST,
    JOB_BARRIER,
    JOB_CALL, /* call(comm, arg) */
} JobKind;

typedef struct Job {
    JobKind kind;
    float *x;
    size_t n;
    int root;
    /* of the two that a segment is left of: give back the memory of the others afterwards */
    bool drop;
    void (*call)(Comm *c, void *arg);
    void *arg;
} Job;

/* Since the last comm_times_reset. */
typedef struct CommTimes {
    int64_t busy_ns, waited_ns; /* of the communication thread, of the main thread */
    uint64_t sent_bytes;        /* by our own operations; MPI does not tell */
} CommTimes;

/* One of the four operations, as it was done. x is borrowed. */
typedef struct JobTime {
    JobKind kind;
    const float *x;
    size_t n;
    int64_t start_ns, ns; /* clock_ns */
} JobTime;

typedef struct JobLog {
    JobTime *at; /* the owner of the log frees it */
    size_t count;
} JobLog;

/* What an operation takes: so long whatever its size, and so long a byte that a rank sends. While
 * the main thread waits, and computes nothing, `idle` of that, at most 1. */
typedef struct CommRate {
    double latency_ns, ns_per_byte, idle;
} CommRate;

/* In the place of a thread: jobs are done at that rate on a clock that the caller moves on. */
typedef struct CommForecast {
    CommRate rate;
    double now_ns, free_ns, busy_ns, waited_ns;
    double *end_ns;       /* [submitted] of job number k + 1 */
    uint64_t *sent_bytes; /* [size] by each rank */
} CommForecast;

enum { JOBS_WAITING = 256 };

typedef struct CommThread {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    Job queue[JOBS_WAITING];
    size_t submitted, done; /* numbers of jobs; job k has place k % JOBS_WAITING */
    bool ending;
    CommTimes times;
    JobLog *log; /* borrowed; NULL: nobody wants it. Set with no job under way */
    const CommPlugin *plugin;
    CommForecast *forecast; /* NULL: a thread */
    Comm comm; /* rank, size and name may be read once started; all else is the thread's */
} CommThread;

/* Starts the thread, which joins the job; a broken MPI ends the process, and so do ranks that have
 * not all come in COMM_JOIN_SECONDS. */
enum { COMM_JOIN_SECONDS = 60 };
void comm_thread_start(CommThread *t, const CommPlugin *plugin, bool use_mpi);
/* Does what is still waiting, leaves the job and ends the thread. */
void comm_thread_finish(CommThread *t);

/* As rank 0 of `size`: no job is done and no memory touched, comm_submit and comm_wait only keep
 * the books of the forecast. */
void comm_forecast_start(CommThread *t, CommForecast *f, int size, CommRate rate);
void comm_forecast_finish(CommThread *t);

/* Returns the job's number, for comm_wait; waits where JOBS_WAITING are under way. */
size_t comm_submit(CommThread *t, Job job);
void comm_wait(CommThread *t, size_t number);
bool comm_is_done(CommThread *t, size_t number);
void comm_wait_all(CommThread *t);

/* Submits and waits. */
void comm_call(CommThread *t, void (*call)(Comm *c, void *arg), void *arg);
void comm_barrier(CommThread *t);

void comm_times_reset(CommThread *t); /* with no job under way */

/* One job, at once: for JOB_CALL, and what has no main thread. */
void comm_run(Comm *c, const Job *j);

/* What our own operations send from a rank for a job; 0 of what is none of the four. */
uint64_t comm_bytes_sent(const Job *j, int size, int rank);

/* Gives back the memory of [from, to) elements of x, whole pages only: zeros when next read. */
void comm_drop(float *x, size_t from, size_t to);
/* The same of all segments but this rank's, of an array of n. */
void comm_drop_others(const Comm *c, float *x, size_t n);
