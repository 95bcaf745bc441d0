/* process: see process.h. */
#include "bench/util/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "autograd/kernels/placement.h"
#include "bench/util/interrupt.h"
#include "bench/util/units.h"

enum {
    OUTPUT_KEPT = 4096,
    TICK_MS = 200,    /* delay at which an interruption or a time limit is noticed, at most */
    REAP_TICK_MS = 2, /* the same once its pipes are closed and it is about to end */
};

/* A pipe's reading end and what has come through; fd is -1 once the other side has closed. */
typedef struct Stream {
    int fd;
    char *text;
    size_t len;
    size_t keep; /* drop all but the last `keep` bytes; 0 = keep everything */
} Stream;

static void stream_append(Stream *s, const char *data, size_t n)
{
    s->text = xrealloc(s->text, s->len + n + 1);
    memcpy(s->text + s->len, data, n);
    s->len += n;
    if (s->keep && s->len > s->keep) {
        memmove(s->text, s->text + s->len - s->keep, s->keep);
        s->len = s->keep;
    }
    s->text[s->len] = '\0';
}

static void stream_close(Stream *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

/* Takes what is there without waiting for more. */
static void stream_drain(Stream *s)
{
    char data[65536];
    while (s->fd >= 0) {
        ssize_t n = read(s->fd, data, sizeof data);
        if (n > 0)
            stream_append(s, data, (size_t)n);
        else if (n == 0 || (errno != EAGAIN && errno != EINTR))
            stream_close(s);
        else if (errno == EAGAIN)
            return;
    }
}

/* In the new process: the reason goes where its output would. */
__attribute__((format(printf, 1, 2))) _Noreturn static void give_up(const char *fmt, ...)
{
    int why = errno;
    va_list ap;
    va_start(ap, fmt);
    vdprintf(STDERR_FILENO, fmt, ap);
    dprintf(STDERR_FILENO, ": %s\n", strerror(why));
    va_end(ap);
    _exit(127);
}

/* In the new process, between fork and exec: calls nothing that another thread could have
 * locked. */
_Noreturn static void become(const char *program, char *const *argv, int answer_fd, int output_fd,
                             pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(127); /* it died before we asked to die with it */
    /* Copies above the standard descriptors first, so that no dup2 below closes another's
     * source. */
    int answer = fcntl(answer_fd, F_DUPFD_CLOEXEC, CHILD_RESULT_FD + 1);
    int output = fcntl(output_fd, F_DUPFD_CLOEXEC, CHILD_RESULT_FD + 1);
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (dup2(output, STDOUT_FILENO) < 0 || dup2(output, STDERR_FILENO) < 0 ||
        dup2(answer, CHILD_RESULT_FD) < 0)
        _exit(127);
    if (nothing < 0)
        give_up("cannot open '/dev/null'");
    dup2(nothing, STDIN_FILENO);
    signal(SIGPIPE, SIG_DFL);
    placement_unpin(NULL);
    execv(program, argv);
    give_up("cannot execute '%s'", program);
}

static int open_pipe(int ends[2], Err *err)
{
    if (pipe2(ends, O_CLOEXEC) != 0)
        return err_set(err, "cannot make a pipe: %s", strerror(errno));
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    return 0;
}

/* Forks; the reading ends of its two pipes are then in `answer` and `output`. -1 on failure. */
static pid_t start(const char *program, char *const *argv, Stream *answer, Stream *output, Err *err)
{
    int answer_ends[2], output_ends[2];
    if (open_pipe(answer_ends, err) != 0)
        return -1;
    if (open_pipe(output_ends, err) != 0) {
        close(answer_ends[0]);
        close(answer_ends[1]);
        return -1;
    }
    signal(SIGCHLD, SIG_DFL); /* where our caller left it ignored, waitpid would lose the status */
    pid_t parent = getpid(), pid = fork();
    if (pid == 0)
        become(program, argv, answer_ends[1], output_ends[1], parent);
    answer->fd = answer_ends[0];
    output->fd = output_ends[0];
    close(answer_ends[1]);
    close(output_ends[1]);
    if (pid < 0) {
        err_set(err, "cannot start a process: %s", strerror(errno));
        stream_close(answer);
        stream_close(output);
    }
    return pid;
}

/* Waits for its end while collecting what it writes. Returns waitpid's status. */
static int wait_for_end(Child *c, pid_t pid, Stream *answer, Stream *output)
{
    int64_t start_ns = clock_ns();
    bool stopped = false;
    int status;
    for (;;) {
        bool closed = answer->fd < 0 && output->fd < 0;
        struct pollfd fds[2] = {{.fd = answer->fd, .events = POLLIN},
                                {.fd = output->fd, .events = POLLIN}};
        poll(fds, 2, closed ? REAP_TICK_MS : TICK_MS);
        stream_drain(answer);
        stream_drain(output);
        pid_t done = waitpid(pid, &status, WNOHANG);
        CHECK(done >= 0 || errno == EINTR, "waitpid: %s", strerror(errno));
        if (done == pid)
            break;
        bool late = (double)(clock_ns() - start_ns) > 1e9 * c->max_seconds;
        if (!stopped && (interrupted() || late)) {
            c->end = interrupted() ? CHILD_INTERRUPTED : CHILD_TIMED_OUT;
            kill(pid, SIGKILL);
            stopped = true;
        }
    }
    stream_drain(answer);
    stream_drain(output);
    return status;
}

int child_run(Child *c, const char *program, char *const *argv, double max_seconds, Err *err)
{
    *c = (Child){.end = CHILD_EXITED, .max_seconds = max_seconds};
    Stream answer = {.fd = -1}, output = {.fd = -1, .keep = OUTPUT_KEPT};
    pid_t pid = start(program, argv, &answer, &output, err);
    if (pid < 0)
        return -1;
    stream_append(&answer, "", 0);
    stream_append(&output, "", 0);
    int status = wait_for_end(c, pid, &answer, &output);
    stream_close(&answer);
    stream_close(&output);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGINT)
        interrupt_note();
    if (c->end == CHILD_EXITED && WIFSIGNALED(status))
        c->end = interrupted() ? CHILD_INTERRUPTED : CHILD_KILLED;
    c->code = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
    c->answer = answer.text;
    c->answer_len = answer.len;
    c->output = output.text;
    return 0;
}

void child_release(Child *c)
{
    free(c->answer);
    free(c->output);
    *c = (Child){0};
}

/* The last line that is not blank; cuts it out of `output` in place. */
static char *last_line(char *output)
{
    size_t end = strlen(output);
    while (end > 0 && (output[end - 1] == '\n' || output[end - 1] == ' '))
        end--;
    output[end] = '\0';
    char *newline = strrchr(output, '\n');
    return newline ? newline + 1 : output;
}

void child_reason(const Child *c, char *text, size_t size)
{
    static const char own_prefix[] = "tare: ";
    char *copy = xstrdup(c->output), *line = text_cleaned(last_line(copy)), limit[UNIT_TEXT_SIZE];
    const char *colon = *line ? ": " : "", *name = sigabbrev_np(c->code);
    if (c->end == CHILD_TIMED_OUT) {
        format_duration(limit, c->max_seconds);
        snprintf(text, size, "exceeded the time limit of %s", limit);
    } else if (c->end == CHILD_INTERRUPTED) {
        snprintf(text, size, "interrupted");
    } else if (c->end == CHILD_KILLED) {
        snprintf(text, size, "killed by SIG%s%s%s%s", name ? name : "RT",
                 c->code == SIGKILL ? " (out of memory?)" : "", colon, line);
    } else if (strncmp(line, own_prefix, strlen(own_prefix)) == 0) {
        snprintf(text, size, "%s", line + strlen(own_prefix));
    } else {
        snprintf(text, size, "exit code %d%s%s", c->code, colon, line);
    }
    free(line);
    free(copy);
}
