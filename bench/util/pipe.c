/* pipe: see pipe.h. */
#include "bench/util/pipe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/util/interrupt.h"

enum {
    TICK_MS = 200,         /* delay at which an interruption is noticed, at most */
    SETTLE_TICK_MS = 2,    /* delay at which a sleeping worker is noticed, at most */
    FAREWELL_MS = 1000,    /* time for a worker that closed its channel to end by itself */
    SHOWN_OF_RUBBISH = 80, /* bytes shown of an answer that is not JSON */
};

static void pause_ms(long ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

/* ---- starting and ending ---- */

int peer_start(Peer *p, const char *name, char *const *argv, char *const *settings, Err *err)
{
    int talk[2];
    *p = (Peer){.name = name};
    /* A socket pair, since writing to a pipe whose reader is gone would end us with SIGPIPE. */
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, talk) != 0)
        return err_set(err, "%s: cannot make a socket pair: %s", name, strerror(errno));
    int noise = stream_open(&p->log, PEER_LOG_BYTES, err);
    const Program program = {argv[0], argv, {talk[1], talk[1], noise}, 3, settings};
    pid_t pid = noise < 0 ? -1 : process_start(&program, err);
    close(talk[1]);
    if (noise >= 0)
        close(noise);
    if (pid < 0) {
        close(talk[0]);
        stream_release(&p->log);
        return err_prefix(err, "%s", name);
    }
    fcntl(talk[0], F_SETFL, O_NONBLOCK);
    p->pid = pid;
    p->channel = talk[0];
    return 0;
}

bool peer_running(const Peer *p)
{
    return p->pid > 0;
}

/* Kills what is left of its group and reaps it. Returns waitpid's status. */
static int reap(Peer *p)
{
    int status = 0;
    kill(-p->pid, SIGKILL);
    while (waitpid(p->pid, &status, 0) < 0 && errno == EINTR)
        ;
    close(p->channel);
    stream_release(&p->log);
    p->pid = 0;
    return status;
}

void peer_stop(Peer *p)
{
    if (peer_running(p))
        reap(p);
}

/* ---- failures: each stops the worker ---- */

/* Its channel is closed: gives it the time to end by itself and to say why. */
static void wait_for_last_words(Peer *p)
{
    for (int waited = 0; waited < FAREWELL_MS; waited += SETTLE_TICK_MS) {
        siginfo_t info = {.si_pid = 0};
        stream_drain(&p->log);
        if (waitid(P_PID, (id_t)p->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid)
            break;
        pause_ms(SETTLE_TICK_MS);
    }
    stream_drain(&p->log);
}

static int ended(Peer *p, Err *err)
{
    wait_for_last_words(p);
    OWNED char *words = xstrdup(last_line(p->log.text));
    const char *colon = *words ? ": " : "";
    int status = reap(p);
    if (WIFSIGNALED(status))
        return err_set(err, "%s was killed by SIG%s%s%s", p->name, signal_name(WTERMSIG(status)),
                       colon, words);
    return err_set(err, "%s ended with exit code %d%s%s", p->name, WEXITSTATUS(status), colon,
                   words);
}

static int silent(Peer *p, double max_seconds, Err *err)
{
    peer_stop(p);
    return err_set(err, "%s did not answer within %g s and was stopped", p->name, max_seconds);
}

static int rubbish(Peer *p, const char *reply, size_t len, Err *err)
{
    peer_stop(p);
    int shown = len < SHOWN_OF_RUBBISH ? (int)len : SHOWN_OF_RUBBISH;
    return err_set(err, "%s answered with something that is no JSON object and was stopped: '%.*s'",
                   p->name, shown, reply);
}

static int broken_off(Peer *p, Err *err)
{
    peer_stop(p);
    return err_set(err, "interrupted while waiting for %s", p->name);
}

/* ---- the talk ---- */

/* Waits for `events` on the channel until the deadline; takes what comes on stderr meanwhile. */
static int await(Peer *p, short events, int64_t deadline_ns, double max_seconds, Err *err)
{
    for (;;) {
        if (interrupted())
            return broken_off(p, err);
        int64_t left = deadline_ns - clock_ns();
        if (left <= 0)
            return silent(p, max_seconds, err);
        struct pollfd fds[2] = {{.fd = p->channel, .events = events},
                                {.fd = p->log.fd, .events = POLLIN}};
        int64_t left_ms = left / 1000000 + 1;
        poll(fds, 2, left_ms < TICK_MS ? (int)left_ms : TICK_MS);
        if (fds[1].revents)
            stream_drain(&p->log);
        if (fds[0].revents)
            return 0;
    }
}

static int send_line(Peer *p, const char *line, size_t len, int64_t deadline_ns, double max_seconds,
                     Err *err)
{
    while (len > 0) {
        ssize_t n = send(p->channel, line, len, MSG_NOSIGNAL);
        if (n > 0) {
            line += n;
            len -= (size_t)n;
        } else if (errno == EAGAIN) {
            if (await(p, POLLOUT, deadline_ns, max_seconds, err) != 0)
                return -1;
        } else if (errno != EINTR) {
            return ended(p, err);
        }
    }
    return 0;
}

/* A line without its end, NUL-terminated; the caller frees. Bytes after the line are an answer to
 * nothing we asked, so the whole is rubbish. */
static char *receive_line(Peer *p, size_t *len, int64_t deadline_ns, double max_seconds, Err *err)
{
    size_t room = 4096;
    char *line = xmalloc(room);
    *len = 0;
    for (;;) {
        ssize_t n = recv(p->channel, line + *len, room - *len, 0);
        int status = 0;
        if (n > 0) {
            *len += (size_t)n;
            if (line[*len - 1] == '\n')
                break;
            if (*len > PEER_REPLY_BYTES || memchr(line, '\n', *len))
                status = rubbish(p, line, *len, err);
            else if (*len == room)
                line = xrealloc(line, room *= 2);
        } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
            status = ended(p, err);
        } else {
            status = await(p, POLLIN, deadline_ns, max_seconds, err);
        }
        if (status != 0) {
            free(line);
            return NULL;
        }
    }
    line[--*len] = '\0';
    return line;
}

/* The object in an answer, or NULL with a sentence. */
static json_t *understand(Peer *p, const char *line, size_t len, Err *err)
{
    json_t *reply = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(reply)) {
        json_decref(reply);
        rubbish(p, line, len, err);
        return NULL;
    }
    const char *error = json_string_value(json_object_get(reply, "error"));
    if (!error)
        return reply;
    err_set(err, "%s: %s", p->name, error);
    json_decref(reply);
    return NULL;
}

json_t *peer_ask(Peer *p, json_t *request, double max_seconds, Err *err)
{
    CHECK(peer_running(p), "%s is not running", p->name);
    int64_t deadline_ns = clock_ns() + (int64_t)(max_seconds * 1e9);
    OWNED char *text = json_dumps(request, JSON_COMPACT);
    CHECK(text, "a request that is no JSON");
    json_decref(request);
    OWNED char *line = xasprintf("%s\n", text);
    if (send_line(p, line, strlen(line), deadline_ns, max_seconds, err) != 0)
        return NULL;
    size_t len;
    OWNED char *answer = receive_line(p, &len, deadline_ns, max_seconds, err);
    return answer ? understand(p, answer, len, err) : NULL;
}

/* ---- asleep? ---- */

/* The state letter of /proc/PID/task/TID/stat: R runs or wants to. */
static char thread_state(pid_t pid, const char *tid)
{
    char path[64 + 256], text[512];
    snprintf(path, sizeof path, "/proc/%d/task/%s/stat", (int)pid, tid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 'X';
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    const char *name_end = strrchr(text, ')');
    return name_end && name_end[1] == ' ' ? name_end[2] : 'X';
}

static bool asleep(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *tasks = opendir(path);
    bool busy = false;
    for (struct dirent *d; tasks && !busy && (d = readdir(tasks));)
        busy = d->d_name[0] != '.' && thread_state(pid, d->d_name) == 'R';
    if (tasks)
        closedir(tasks);
    return !busy;
}

bool peer_settle(const Peer *p, double max_seconds)
{
    int64_t deadline_ns = clock_ns() + (int64_t)(max_seconds * 1e9);
    bool quiet = asleep(p->pid);
    while (!quiet && clock_ns() < deadline_ns && !interrupted()) {
        pause_ms(SETTLE_TICK_MS);
        quiet = asleep(p->pid);
    }
    return quiet;
}
