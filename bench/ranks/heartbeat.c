/* heartbeat: see heartbeat.h. */
#include "bench/ranks/heartbeat.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BEAT_MS = 500, MAX_ADDRESSES = 16, CONNECT_MS = 1000, HOST_SIZE = 64 };

/* Where rank 0 listens. */
typedef struct Meeting {
    char host[HOST_SIZE];
    uint32_t addresses[MAX_ADDRESSES]; /* as in sin_addr */
    uint32_t count;
    uint16_t port; /* as in sin_port */
} Meeting;

/* A connection to another rank. */
typedef struct Peer {
    int fd; /* -1: not there yet, or ended */
    int rank;
    int64_t heard_ns;
    bool ended;
    char host[HOST_SIZE];
} Peer;

/* What a rank says first. */
typedef struct Greeting {
    int32_t rank;
    char host[HOST_SIZE];
} Greeting;

typedef struct Heart {
    int listener; /* of rank 0; else -1 */
    Peer *peers;
    size_t count;
} Heart;

static atomic_bool stopped;

_Noreturn static void alarm_about(const Peer *p)
{
    print_clean(stderr,
                "tare: rank %d%s%s has not answered for %d s: it is stopped, or its host or "
                "link is down",
                p->rank, *p->host ? " on " : "", p->host, HEARTBEAT_SECONDS);
    fflush(stderr);
    _exit(1);
}

/* ---- rank 0 ---- */

static void list_addresses(Meeting *m)
{
    struct ifaddrs *all = NULL;
    if (getifaddrs(&all) != 0)
        return;
    for (struct ifaddrs *a = all; a && m->count < MAX_ADDRESSES; a = a->ifa_next)
        if (a->ifa_addr && a->ifa_addr->sa_family == AF_INET && !(a->ifa_flags & IFF_LOOPBACK))
            m->addresses[m->count++] = ((struct sockaddr_in *)a->ifa_addr)->sin_addr.s_addr;
    freeifaddrs(all);
}

static int listen_anywhere(Meeting *m, Err *err)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY)};
    socklen_t size = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, SOMAXCONN) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &size) != 0)
        return err_set(err, "cannot listen for the other ranks: %s", strerror(errno));
    m->port = at.sin_port;
    list_addresses(m);
    return fd;
}

static void accept_one(Heart *h)
{
    Greeting g;
    int fd = accept4(h->listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return;
    struct timeval limit = {.tv_sec = 1};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    bool whole = recv(fd, &g, sizeof g, MSG_WAITALL) == (ssize_t)sizeof g;
    if (!whole || g.rank < 1 || (size_t)g.rank > h->count || h->peers[g.rank - 1].fd >= 0) {
        close(fd);
        return;
    }
    Peer *p = &h->peers[g.rank - 1];
    fcntl(fd, F_SETFL, O_NONBLOCK);
    g.host[HOST_SIZE - 1] = '\0';
    memcpy(p->host, g.host, sizeof p->host);
    p->fd = fd;
    p->heard_ns = clock_ns();
}

/* ---- the others ---- */

static int connect_to(uint32_t address, uint16_t port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = address};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), error = 0;
    socklen_t size = sizeof error;
    if (fd < 0)
        return -1;
    struct pollfd ready = {.fd = fd, .events = POLLOUT};
    bool started = connect(fd, (struct sockaddr *)&at, sizeof at) == 0 || errno == EINPROGRESS;
    if (started && poll(&ready, 1, CONNECT_MS) == 1 &&
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0)
        return fd;
    close(fd);
    return -1;
}

static int meet(const Meeting *m, int rank, Peer *first, Err *err)
{
    Greeting g = {.rank = rank};
    gethostname(g.host, sizeof g.host - 1);
    *first = (Peer){.fd = -1, .rank = 0, .heard_ns = clock_ns()};
    memcpy(first->host, m->host, sizeof first->host);
    if (strcmp(g.host, m->host) == 0)
        first->fd = connect_to(htonl(INADDR_LOOPBACK), m->port);
    for (uint32_t i = 0; i < m->count && first->fd < 0; i++)
        first->fd = connect_to(m->addresses[i], m->port);
    if (first->fd < 0 || send(first->fd, &g, sizeof g, MSG_NOSIGNAL) != (ssize_t)sizeof g)
        return err_set(err, "rank %d cannot reach rank 0 on %s by TCP", rank, m->host);
    return 0;
}

/* ---- both ---- */

static void hear(Peer *p)
{
    char bytes[256];
    ssize_t n = recv(p->fd, bytes, sizeof bytes, 0);
    if (n > 0)
        p->heard_ns = clock_ns();
    if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
        return;
    close(p->fd);
    p->fd = -1;
    p->ended = true;
}

static void beat(Heart *h, int64_t last_ns)
{
    int64_t now = clock_ns();
    bool was_away = now - last_ns > (int64_t)4 * BEAT_MS * 1000000; /* we ourselves were stopped */
    for (size_t i = 0; i < h->count; i++) {
        Peer *p = &h->peers[i];
        if (p->fd >= 0)
            (void)!send(p->fd, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (was_away)
            p->heard_ns = now;
        if (!p->ended && !stopped && now - p->heard_ns > (int64_t)HEARTBEAT_SECONDS * 1000000000)
            alarm_about(p);
    }
}

static void *listen_to_hearts(void *arg)
{
    Heart *h = arg;
    struct pollfd *fds = xcalloc(h->count + 1, sizeof *fds);
    int64_t last_ns = clock_ns();
    while (!stopped) {
        fds[h->count] = (struct pollfd){.fd = h->listener, .events = POLLIN};
        for (size_t i = 0; i < h->count; i++)
            fds[i] = (struct pollfd){.fd = h->peers[i].fd, .events = POLLIN};
        poll(fds, h->count + 1, BEAT_MS / 5);
        for (size_t i = 0; i < h->count; i++)
            if (h->peers[i].fd >= 0 && fds[i].revents)
                hear(&h->peers[i]);
        if (fds[h->count].revents)
            accept_one(h);
        if (clock_ns() - last_ns < (int64_t)BEAT_MS * 1000000)
            continue;
        beat(h, last_ns);
        last_ns = clock_ns();
    }
    free(fds);
    return NULL; /* the connections last as long as the process */
}

static void share_meeting(Comm *c, void *arg)
{
    comm_share_bytes(c, arg, sizeof(Meeting), 0);
}

int heartbeat_start(CommThread *t, Err *err)
{
    Meeting m = {.count = 0};
    Heart *h = xcalloc(1, sizeof *h);
    bool first = t->comm.rank == 0;
    gethostname(m.host, sizeof m.host - 1);
    h->listener = first ? listen_anywhere(&m, err) : -1;
    if (first && h->listener < 0)
        return -1;
    comm_call(t, share_meeting, &m);
    h->count = first ? (size_t)t->comm.size - 1 : 1;
    h->peers = xcalloc(h->count + 1, sizeof *h->peers);
    for (size_t i = 0; i < h->count && first; i++)
        h->peers[i] = (Peer){.fd = -1, .rank = (int)i + 1, .heard_ns = clock_ns()};
    if (!first && meet(&m, t->comm.rank, h->peers, err) != 0)
        return -1;
    pthread_t thread;
    int status = pthread_create(&thread, NULL, listen_to_hearts, h);
    CHECK(status == 0, "no thread for the heartbeat: error %d", status);
    pthread_detach(thread);
    return 0;
}

void heartbeat_stop(void)
{
    stopped = true;
}
