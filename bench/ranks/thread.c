/* thread: see thread.h. */
#include "bench/ranks/thread.h"

#include <sys/mman.h>
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

uint64_t comm_moved_bytes(const Comm *c, JobKind kind, size_t n)
{
    Range own = comm_segment(n, c->size, c->rank);
    uint64_t others = (n - (own.to - own.from)) * sizeof(float);
    switch (kind) {
    case JOB_ALL_REDUCE:
        return 2 * others;
    case JOB_REDUCE_SCATTER:
    case JOB_ALL_GATHER:
        return others;
    case JOB_BROADCAST:
        return n * sizeof(float);
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
        t->times.moved_bytes += comm_moved_bytes(&t->comm, job.kind, job.n);
        t->times.jobs += job.kind < JOB_BARRIER;
        t->done++;
        pthread_cond_broadcast(&t->changed);
    }
    pthread_mutex_unlock(&t->mutex);
    comm_finish(&t->comm);
    return NULL;
}

void comm_thread_start(CommThread *t, const CommPlugin *plugin, bool use_mpi)
{
    *t = (CommThread){.plugin = plugin, .submitted = 1, .comm.use_mpi = use_mpi};
    pthread_mutex_init(&t->mutex, NULL);
    pthread_cond_init(&t->changed, NULL);
    int status = pthread_create(&t->thread, NULL, work, t);
    CHECK(status == 0, "no communication thread: error %d", status);
    comm_wait_all(t);
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
    pthread_mutex_lock(&t->mutex);
    wait_for(t, number);
    pthread_mutex_unlock(&t->mutex);
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
