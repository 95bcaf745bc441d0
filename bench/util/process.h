/* process: runs one program to its end in a process of its own, and says how it ended.
 *
 * The one idea: the program's answer comes on a pipe, its file descriptor CHILD_RESULT_FD; its
 * stdout and stderr are captured as the reason of a failure. It reads nothing on stdin, stays in
 * our process group and dies with us. Where its time is up it gets SIGTERM, and SIGKILL where that
 * does not end it. The parent sleeps while it runs. What an answer means is not
 * decided here. */
#pragma once

#include <stdio.h>
#include <sys/types.h>

#include "autograd/base.h"

enum { CHILD_RESULT_FD = 3 };

typedef enum ChildEnd {
    CHILD_EXITED,      /* by itself, `code` is its exit code */
    CHILD_KILLED,      /* by a signal that we did not send, `code` is its number */
    CHILD_TIMED_OUT,   /* by us, after max_seconds */
    CHILD_INTERRUPTED, /* the user interrupted us, or it */
} ChildEnd;

typedef struct Child {
    ChildEnd end;
    int code;
    char *answer; /* what came through the pipe, NUL-terminated */
    size_t answer_len;
    double max_seconds;
    char *output; /* the last few kilobytes it printed, NUL-terminated */
} Child;

/* The file of this program: /proc/self/exe, or where there is no /proc the path that it was started
 * by. */
const char *own_program(void);

/* Its path, for another process to start it by: what /proc/self/exe points to. */
const char *own_path(void);

/* Adds a word to a NULL-terminated vector of strings, which it makes where it is NULL. */
void argv_add(char ***argv, const char *format, ...) __attribute__((format(printf, 2, 3)));
void argv_free(char **argv);

/* Runs argv (NULL-terminated, argv[0] is only its name) from the file `program`. max_seconds
 * INFINITY = no limit. -1: no process could be made. Then child_release is not needed. */
int child_run(Child *c, const char *program, char *const *argv, double max_seconds, Err *err);
void child_release(Child *c);

/* A byte on a program's stdin that asks it to end in order. */
enum { CHILD_STOP = 's' };

/* The same without a limit, of a program whose answer is what it prints on stdout: `output` is its
 * stderr. chatter: unless NULL, it gets what comes before a line that begins with '{', as it comes.
 * Such a program has something to keep: it is out of reach of Ctrl-C, and where we are interrupted
 * it gets CHILD_STOP and all the time it takes. */
int child_run_printing(Child *c, const char *program, char *const *argv, FILE *chatter, Err *err);

/* Writes why it failed, one line for status_reason: "killed by SIGSEGV" or "exit code 1" and the
 * last line it printed; or that line alone if it is one of this program's errors, "tare: ...". Not
 * for exit code 0. */
void child_reason(const Child *c, char *text, size_t size);

/* ---- what this shares with pipe.h ---- */

/* The reading end of a pipe, which does not block, and what has come through it. */
typedef struct Stream {
    int fd;      /* -1 once the other side has closed */
    char *text;  /* NUL-terminated */
    size_t len;  /* without the NUL */
    size_t keep; /* only the last so many bytes of it; 0 = all */
} Stream;

/* Makes the pipe and returns its writing end; -1 leaves nothing to release. */
int stream_open(Stream *s, size_t keep, Err *err);
void stream_drain(Stream *s); /* takes what is there without waiting for more */
void stream_release(Stream *s);

/* Cuts out the last line that is not blank, in place; "" if there is none. */
const char *last_line(char *text);

/* "SEGV" of SIGSEGV, "RT" of a signal without a name. */
const char *signal_name(int number);

/* GNU OpenMP's spin count of idle threads; and a mark that main, not the user, set it. */
#define SPIN_COUNT         "GOMP_SPINCOUNT"
#define SPIN_COUNT_IS_OURS "TARE_SPIN_COUNT_IS_OURS"

/* What process_start runs, and in which place. */
typedef struct Program {
    const char *path;
    char *const *argv; /* NULL-terminated */
    /* fds[i] becomes descriptor i of the new process, which inherits no other; -1 = /dev/null. */
    int fds[CHILD_RESULT_FD + 1];
    int num_fds;
    /* In its own process group, out of reach of Ctrl-C, with these "NAME=VALUE" (NULL-terminated)
     * added to its environment and without that spin count; NULL = like us. */
    char *const *settings;
} Program;

/* The process, which dies with us. -1: there is none. A program that cannot be executed says so on
 * its stderr and ends with exit code 127. */
pid_t process_start(const Program *p, Err *err);
