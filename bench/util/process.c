/* process: see process.h. */
#include "bench/util/process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/auxv.h>
#include <sys/wait.h>
#include <unistd.h>

#include "autograd/kernels/placement.h"
#include "bench/util/interrupt.h"
#include "bench/util/units.h"

enum {
    OUTPUT_KEPT = 4096,
    TICK_MS = 200,    /* delay at which an interruption or a time limit is noticed, at most */
    REAP_TICK_MS = 2, /* the same once its pipes are closed and it is about to end */
    GRACE_MS = 6000,  /* from SIGTERM to SIGKILL; a job of ranks has to end them first */
    PRINTER_GRACE_MS = 2000, /* the same of the launcher of such a job */
};

/* ---- streams ---- */

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

int stream_open(Stream *s, size_t keep, Err *err)
{
    int ends[2];
    *s = (Stream){.fd = -1};
    if (pipe2(ends, O_CLOEXEC) != 0)
        return err_set(err, "cannot make a pipe: %s", strerror(errno));
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    *s = (Stream){.fd = ends[0], .keep = keep};
    stream_append(s, "", 0);
    return ends[1];
}

static void stream_close(Stream *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1; /* which poll passes over */
}

void stream_drain(Stream *s)
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

void stream_release(Stream *s)
{
    stream_close(s);
    free(s->text);
    s->text = NULL;
}

const char *last_line(char *text)
{
    size_t end = strlen(text);
    while (end > 0 && strchr(" \n\r", text[end - 1]))
        end--;
    text[end] = '\0';
    char *newline = strrchr(text, '\n');
    return newline ? newline + 1 : text;
}

const char *signal_name(int number)
{
    const char *name = sigabbrev_np(number);
    return name ? name : "RT";
}

/* ---- starting ---- */

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

/* Also forgets the spin count that main has set: a peer is measured as its users run it. */
static void set_apart(char *const *settings)
{
    setpgid(0, 0);
    if (getenv(SPIN_COUNT_IS_OURS)) {
        unsetenv(SPIN_COUNT_IS_OURS);
        unsetenv(SPIN_COUNT);
    }
    for (; *settings; settings++)
        putenv(*settings);
}

/* In the new process, between fork and exec: calls nothing that another thread could have
 * locked. */
_Noreturn static void become(const Program *p, pid_t parent)
{
    int copies[COUNT_OF(p->fds)];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(127); /* it died before we asked to die with it */
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    /* Copies above the wanted descriptors first, so that no dup2 below closes another's source. */
    for (int i = 0; i < p->num_fds; i++)
        copies[i] = fcntl(p->fds[i] < 0 ? nothing : p->fds[i], F_DUPFD_CLOEXEC, p->num_fds);
    for (int i = 0; i < p->num_fds; i++)
        if (copies[i] >= 0 && dup2(copies[i], i) < 0)
            _exit(127);
    if (nothing < 0)
        give_up("cannot open '/dev/null'");
    if (p->settings)
        set_apart(p->settings);
    signal(SIGPIPE, SIG_DFL);
    placement_unpin(NULL);
    execv(p->path, p->argv);
    give_up("cannot execute '%s'", p->path);
}

pid_t process_start(const Program *p, Err *err)
{
    signal(SIGCHLD, SIG_DFL); /* where our caller left it ignored, waitpid would lose the status */
    pid_t parent = getpid(), pid = fork();
    if (pid == 0)
        become(p, parent);
    if (pid < 0)
        return err_set(err, "cannot start a process: %s", strerror(errno));
    if (p->settings)
        setpgid(pid, pid); /* whoever of the two comes first; the other's call changes nothing */
    return pid;
}

/* ---- running to the end ---- */

/* How a program is run whose answer comes on stdout. */
typedef struct Printer {
    FILE *chatter;  /* or NULL */
    size_t relayed; /* bytes of the answer */
    bool answered;
    int stop; /* writing end of its stdin, or -1 */
} Printer;

/* Hands on whole lines, until one opens the answer. */
static void relay(Printer *p, const Stream *answer)
{
    while (p->chatter && !p->answered) {
        const char *line = answer->text + p->relayed, *end = strchr(line, '\n');
        p->answered = *line == '{';
        if (p->answered || !end)
            break;
        fwrite(line, 1, (size_t)(end + 1 - line), p->chatter);
        p->relayed += (size_t)(end + 1 - line);
    }
    if (p->chatter)
        fflush(p->chatter);
}

/* Forks; the reading ends of its two pipes are then in `answer` and `output`. -1 on failure. */
static pid_t start(const char *program, char *const *argv, Printer *printer, Stream *answer,
                   Stream *output, Err *err)
{
    static char *const apart[] = {NULL};
    int stdins[2] = {-1, -1}, answers = stream_open(answer, 0, err);
    int outputs = answers < 0 ? -1 : stream_open(output, OUTPUT_KEPT, err);
    if (printer && printer->chatter && pipe2(stdins, O_CLOEXEC) == 0)
        printer->stop = stdins[1];
    const Program p = {program,
                       argv,
                       {stdins[0], printer ? answers : outputs, outputs, answers},
                       printer ? CHILD_RESULT_FD : COUNT_OF(p.fds),
                       stdins[0] >= 0 ? apart : NULL};
    pid_t pid = outputs < 0 ? -1 : process_start(&p, err);
    if (stdins[0] >= 0)
        close(stdins[0]);
    if (answers >= 0)
        close(answers);
    if (outputs >= 0)
        close(outputs);
    return pid;
}

/* Waits for its end while collecting what it writes. Returns waitpid's status. */
static int wait_for_end(Child *c, pid_t pid, Printer *printer, Stream *answer, Stream *output)
{
    const int grace_ms = printer ? PRINTER_GRACE_MS : GRACE_MS;
    const char stop = CHILD_STOP;
    bool asked = false;
    int64_t start_ns = clock_ns(), stopped_ns = 0;
    int status;
    for (;;) {
        bool closed = answer->fd < 0 && output->fd < 0;
        struct pollfd fds[2] = {{.fd = answer->fd, .events = POLLIN},
                                {.fd = output->fd, .events = POLLIN}};
        poll(fds, 2, closed ? REAP_TICK_MS : TICK_MS);
        stream_drain(answer);
        stream_drain(output);
        if (printer)
            relay(printer, answer);
        pid_t done = waitpid(pid, &status, WNOHANG);
        CHECK(done >= 0 || errno == EINTR, "waitpid: %s", strerror(errno));
        if (done == pid)
            break;
        bool late = (double)(clock_ns() - start_ns) > 1e9 * c->max_seconds;
        if (printer && printer->stop >= 0) {
            asked |= interrupted() && !asked && write(printer->stop, &stop, 1) == 1;
        } else if (!stopped_ns && (interrupted() || late)) {
            c->end = interrupted() ? CHILD_INTERRUPTED : CHILD_TIMED_OUT;
            kill(pid, SIGTERM);
            stopped_ns = clock_ns();
        }
        if (stopped_ns && clock_ns() - stopped_ns > (int64_t)grace_ms * 1000000)
            kill(pid, SIGKILL);
    }
    stream_drain(answer);
    stream_drain(output);
    return status;
}

const char *own_program(void)
{
    static const char exe[] = "/proc/self/exe";
    const char *started = (const char *)getauxval(AT_EXECFN);
    return access(exe, X_OK) == 0 || !started ? exe : started;
}

const char *own_path(void)
{
    static char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    return n > 0 ? path : own_program();
}

void argv_add(char ***argv, const char *format, ...)
{
    size_t n = 0;
    while (*argv && (*argv)[n])
        n++;
    *argv = xrealloc(*argv, (n + 2) * sizeof **argv);
    va_list ap;
    va_start(ap, format);
    (*argv)[n] = xvasprintf(format, ap);
    va_end(ap);
    (*argv)[n + 1] = NULL;
}

void argv_free(char **argv)
{
    for (char **word = argv; word && *word; word++)
        free(*word);
    free(argv);
}

static int run_child(Child *c, const char *program, char *const *argv, Printer *printer, Err *err)
{
    Stream answer = {.fd = -1}, output = {.fd = -1};
    pid_t pid = start(program, argv, printer, &answer, &output, err);
    if (pid < 0) {
        stream_release(&answer);
        stream_release(&output);
        return -1;
    }
    int status = wait_for_end(c, pid, printer, &answer, &output);
    if (printer)
        relay(printer, &answer);
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

int child_run(Child *c, const char *program, char *const *argv, double max_seconds, Err *err)
{
    *c = (Child){.end = CHILD_EXITED, .max_seconds = max_seconds};
    return run_child(c, program, argv, NULL, err);
}

int child_run_printing(Child *c, const char *program, char *const *argv, FILE *chatter, Err *err)
{
    Printer printer = {.chatter = chatter, .stop = -1};
    *c = (Child){.end = CHILD_EXITED, .max_seconds = INFINITY};
    int status = run_child(c, program, argv, &printer, err);
    if (printer.stop >= 0)
        close(printer.stop);
    return status;
}

void child_release(Child *c)
{
    free(c->answer);
    free(c->output);
    *c = (Child){0};
}

void child_reason(const Child *c, char *text, size_t size)
{
    static const char own_prefix[] = "tare: ";
    OWNED char *copy = xstrdup(c->output), *line = text_cleaned(last_line(copy));
    char limit[UNIT_TEXT_SIZE];
    const char *colon = *line ? ": " : "";
    if (c->end == CHILD_TIMED_OUT) {
        format_duration(limit, c->max_seconds);
        snprintf(text, size, "exceeded the time limit of %s", limit);
    } else if (c->end == CHILD_INTERRUPTED) {
        snprintf(text, size, "interrupted");
    } else if (c->end == CHILD_KILLED) {
        snprintf(text, size, "killed by SIG%s%s%s%s", signal_name(c->code),
                 c->code == SIGKILL ? " (out of memory?)" : "", colon, line);
    } else if (strncmp(line, own_prefix, strlen(own_prefix)) == 0) {
        snprintf(text, size, "%s", line + strlen(own_prefix));
    } else {
        snprintf(text, size, "exit code %d%s%s", c->code, colon, line);
    }
}
