/* thread_ranks: see thread_ranks.h. */
#include "tests/support/thread_ranks.h"

#include <pthread.h>
#include <string.h>

typedef struct Box {
    const void *data;
    size_t bytes;
    bool full;
} Box;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static Box boxes[MOST_THREAD_RANKS][MOST_THREAD_RANKS]; /* from, to */
static int ranks, joined, arrived;
static unsigned generation;
static _Thread_local int me;

static void *start(bool by_mpi, int *rank, int *size, char name[COMM_NAME])
{
    (void)by_mpi;
    pthread_mutex_lock(&mutex);
    *rank = me = joined++;
    *size = ranks;
    pthread_mutex_unlock(&mutex);
    strcpy(name, "threads");
    return NULL;
}

/* All with the mutex held. */
static void post(int to, const void *data, size_t bytes)
{
    while (boxes[me][to].full)
        pthread_cond_wait(&changed, &mutex);
    boxes[me][to] = (Box){data, bytes, true};
    pthread_cond_broadcast(&changed);
}

static void take(int from, void *data, size_t bytes)
{
    Box *b = &boxes[from][me];
    while (!b->full)
        pthread_cond_wait(&changed, &mutex);
    CHECK(b->bytes == bytes, "rank %d expects %zu bytes of %d, not %zu", me, bytes, from, b->bytes);
    memcpy(data, b->data, bytes);
    b->full = false;
    pthread_cond_broadcast(&changed);
}

static void until_taken(int to)
{
    while (boxes[me][to].full)
        pthread_cond_wait(&changed, &mutex);
}

static void sendrecv(void *world, const void *out, size_t out_bytes, int to, void *in,
                     size_t in_bytes, int from)
{
    (void)world;
    pthread_mutex_lock(&mutex);
    if (to >= 0)
        post(to, out, out_bytes);
    if (from >= 0)
        take(from, in, in_bytes);
    if (to >= 0)
        until_taken(to);
    pthread_mutex_unlock(&mutex);
}

/* Nothing is left to wait for. */
static void end(void *world)
{
    (void)world;
}

static void broadcast(void *world, void *x, size_t bytes, int root)
{
    for (int r = 0; r < ranks; r++)
        if (me == root && r != root)
            sendrecv(world, x, bytes, r, NULL, 0, -1);
    if (me != root)
        sendrecv(world, NULL, 0, -1, x, bytes, root);
}

static void barrier(void *world)
{
    (void)world;
    pthread_mutex_lock(&mutex);
    unsigned now = generation;
    if (++arrived == ranks) {
        arrived = 0;
        generation++;
        pthread_cond_broadcast(&changed);
    }
    while (now == generation)
        pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
}

static void finish(void *world)
{
    barrier(world);
}

const CommPlugin *thread_ranks(int size)
{
    static const CommPlugin plugin = {.start = start,
                                      .begin = sendrecv,
                                      .end = end,
                                      .broadcast = broadcast,
                                      .barrier = barrier,
                                      .finish = finish};
    ranks = size;
    joined = 0;
    return &plugin;
}
