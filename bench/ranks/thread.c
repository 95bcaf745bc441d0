/* thread: see thread.h. */
#include "bench/ranks/thread.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

void comm_drop(float *x, size_t from, size_t to)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t begin = ((uintptr_t)(x + from) + page - 1) / page * page;
    uintptr_t end = (uintptr_t)(x + to) / page * page;
    if (begin < end)
        madvise((void *)begin, end - begin, MADV_DONTNEED);
}

void comm_drop_others(const Comm *c, float *x, size_t n)
{
    Range own = comm_segment(n, c->size, c->rank);
    comm_drop(x, 0, own.from);
    comm_drop(x, own.to, n);
}

static uint64_t others_bytes(size_t n, int size, int r)
{
    Range own = comm_segment(n, size, r);
    return (n - (own.to - own.from)) * sizeof(float);
}

/* All-gather hands on every segment but the next rank's, and a broadcast ends at the last rank. */
uint64_t comm_bytes_sent(const Job *j, int size, int rank)
{
    uint64_t scattered = others_bytes(j->n, size, rank),
             gathered = others_bytes(j->n, size, (rank + 1) % size);
    switch (j->kind) {
    case JOB_ALL_REDUCE:
        return scattered + gathered;
    case JOB_REDUCE_SCATTER:
        return scattered;
    case JOB_ALL_GATHER:
        return gathered;
    case JOB_BROADCAST:
        return (rank + 1) % size == j->root ? 0 : j->n * sizeof(float);
    default:
        return 0;
    }
}

void comm_run(Comm *c, const Job *j)
{
    switch (j->kind) {
    case JOB_ALL_REDUCE:
        comm_all_reduce(c, j->x, j->n);
        break;
    case JOB_REDUCE_SCATTER:
        comm_reduce_scatter(c, j->x, j->n);
        break;
    case JOB_ALL_GATHER:
        comm_all_gather(c, j->x, j->n);
        break;
    case JOB_BROADCAST:
        comm_broadcast(c, j->x, j->n, j->root);
        break;
    case JOB_BARRIER:
        c->plugin->barrier(c->world);
        break;
    case JOB_CALL:
        j->call(c, j->arg);
        break;
    }
    if (j->drop)
        comm_drop_others(c, j->x, j->n);
}

/* The next job, or false at the end. Called with the mutex held. */
static bool next_job(CommThread *t, Job *job)
{
    while (t->done == t->submitted && !t->ending)
        pthread_cond_wait(&t->changed, &t->mutex);
    if (t->done == t->submitted)
        return false;
    *job = t->queue[t->done % JOBS_WAITING];
    return true;
}

/* Called with the mutex held. */
static void note(JobLog *log, const Job *j, int64_t start_ns, int64_t ns)
{
    if (!log || j->kind >= JOB_BARRIER)
        return;
    log->at = xgrow(log->at, log->count, sizeof *log->at);
    log->at[log->count++] = (JobTime){j->kind, j->x, j->n, start_ns, ns};
}

static void *work(void *arg)
{
    CommThread *t = arg;
    Job job;
    bool use_mpi = t->comm.use_mpi;
    comm_start(&t->comm, t->plugin, use_mpi);
    pthread_mutex_lock(&t->mutex);
    t->done++; /* what comm_thread_start waits for */
    pthread_cond_broadcast(&t->changed);
    while (next_job(t, &job)) {
        pthread_mutex_unlock(&t->mutex);
        uint64_t sent = t->comm.sent_bytes;
        int64_t start = clock_ns();
        comm_run(&t->comm, &job);
        int64_t ns = clock_ns() - start;
        pthread_mutex_lock(&t->mutex);
        note(t->log, &job, start, ns);
        t->times.busy_ns += ns;
        t->times.sent_bytes += t->comm.sent_bytes - sent;
        t->done++;
        pthread_cond_broadcast(&t->changed);
    }
    pthread_mutex_unlock(&t->mutex);
    comm_finish(&t->comm);
    return NULL;
}

/* A rank that never comes, or is stopped on its way, is noticed by no one else (heartbeat.h). */
static void wait_to_join(CommThread *t)
{
    struct timespec until;
    int status = 0;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += COMM_JOIN_SECONDS;
    pthread_mutex_lock(&t->mutex);
    while (t->done < t->submitted && status == 0)
        status = pthread_cond_timedwait(&t->changed, &t->mutex, &until);
    pthread_mutex_unlock(&t->mutex);
    if (status == 0)
        return;
    print_clean(stderr, "tare: not all ranks have come within %d s", COMM_JOIN_SECONDS);
    fflush(stderr);
    _exit(1);
}

void comm_thread_start(CommThread *t, const CommPlugin *plugin, bool use_mpi)
{
    *t = (CommThread){.plugin = plugin, .submitted = 1, .comm.use_mpi = use_mpi};
    pthread_mutex_init(&t->mutex, NULL);
    pthread_cond_init(&t->changed, NULL);
    int status = pthread_create(&t->thread, NULL, work, t);
    CHECK(status == 0, "no communication thread: error %d", status);
    wait_to_join(t);
    comm_times_reset(t);
}

void comm_thread_finish(CommThread *t)
{
    pthread_mutex_lock(&t->mutex);
    t->ending = true;
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->mutex);
    pthread_join(t->thread, NULL);
    pthread_mutex_destroy(&t->mutex);
    pthread_cond_destroy(&t->changed);
}

/* ---- a forecast ---- */

void comm_forecast_start(CommThread *t, CommForecast *f, int size, CommRate rate)
{
    *f = (CommForecast){.rate = rate, .sent_bytes = xcalloc((size_t)size, sizeof *f->sent_bytes)};
    *t = (CommThread){.forecast = f, .comm.size = size};
}

void comm_forecast_finish(CommThread *t)
{
    free(t->forecast->end_ns);
    free(t->forecast->sent_bytes);
}

/* As long as the rank that sends most takes. */
static size_t forecast_job(CommThread *t, const Job *j)
{
    CommForecast *f = t->forecast;
    uint64_t most = 0;
    for (int r = 0; r < t->comm.size; r++) {
        uint64_t bytes = comm_bytes_sent(j, t->comm.size, r);
        f->sent_bytes[r] += bytes;
        most = bytes > most ? bytes : most;
    }
    double ns = f->rate.latency_ns + (double)most * f->rate.ns_per_byte;
    f->busy_ns += ns;
    f->free_ns = fmax(f->free_ns, f->now_ns) + ns;
    f->end_ns = xgrow(f->end_ns, t->submitted, sizeof *f->end_ns);
    f->end_ns[t->submitted] = f->free_ns;
    return ++t->submitted;
}

/* What is still to be done, up to the job that is waited for, goes at the rate of waiting. */
static void forecast_wait(CommThread *t, size_t number)
{
    CommForecast *f = t->forecast;
    double left = number ? fmax(f->end_ns[number - 1] - f->now_ns, 0) : 0;
    double saved = left * (1 - f->rate.idle);
    for (size_t k = 0; k < t->submitted; k++)
        f->end_ns[k] -= fmin(fmax(f->end_ns[k] - f->now_ns, 0), left) * (1 - f->rate.idle);
    f->free_ns -= saved;
    f->busy_ns -= saved;
    f->waited_ns += left - saved;
    f->now_ns += left - saved;
}

/* ---- from the main thread ---- */

/* Until `number` jobs are done. Called with the mutex held. */
static void wait_for(CommThread *t, size_t number)
{
    int64_t start = t->done < number ? clock_ns() : 0;
    if (!start)
        return;
    while (t->done < number)
        pthread_cond_wait(&t->changed, &t->mutex);
    t->times.waited_ns += clock_ns() - start;
}

size_t comm_submit(CommThread *t, Job job)
{
    if (t->forecast)
        return forecast_job(t, &job);
    pthread_mutex_lock(&t->mutex);
    if (t->submitted >= JOBS_WAITING)
        wait_for(t, t->submitted + 1 - JOBS_WAITING);
    t->queue[t->submitted % JOBS_WAITING] = job;
    size_t number = ++t->submitted;
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->mutex);
    return number;
}

void comm_wait(CommThread *t, size_t number)
{
    if (t->forecast) {
        forecast_wait(t, number);
        return;
    }
    pthread_mutex_lock(&t->mutex);
    wait_for(t, number);
    pthread_mutex_unlock(&t->mutex);
}

bool comm_is_done(CommThread *t, size_t number)
{
    pthread_mutex_lock(&t->mutex);
    bool done = t->done >= number;
    pthread_mutex_unlock(&t->mutex);
    return done;
}

void comm_wait_all(CommThread *t)
{
    comm_wait(t, t->submitted);
}

void comm_call(CommThread *t, void (*call)(Comm *c, void *arg), void *arg)
{
    comm_wait(t, comm_submit(t, (Job){.kind = JOB_CALL, .call = call, .arg = arg}));
}

void comm_barrier(CommThread *t)
{
    comm_wait(t, comm_submit(t, (Job){.kind = JOB_BARRIER}));
}

void comm_times_reset(CommThread *t)
{
    pthread_mutex_lock(&t->mutex);
    t->times = (CommTimes){0};
    pthread_mutex_unlock(&t->mutex);
}
