/* process: runs one program to its end in a process of its own, and says how it ended.
 *
 * The one idea: the program's answer comes on a pipe, its file descriptor CHILD_RESULT_FD; its
 * stdout and stderr are captured as the reason of a failure. It reads nothing on stdin, stays in
 * our process group and dies with us. The parent sleeps while it runs. What an answer means is not
 * decided here. */
#ifndef TARE_BENCH_UTIL_PROCESS_H
#define TARE_BENCH_UTIL_PROCESS_H

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

/* Runs argv (NULL-terminated, argv[0] is only its name) from the file `program`. max_seconds
 * INFINITY = no limit. -1: no process could be made. Then child_release is not needed. */
int child_run(Child *c, const char *program, char *const *argv, double max_seconds, Err *err);
void child_release(Child *c);

/* Writes why it failed, one line for status_reason: "killed by SIGSEGV" or "exit code 1" and the
 * last line it printed; or that line alone if it is one of this program's errors, "tare: ...". Not
 * for exit code 0. */
void child_reason(const Child *c, char *text, size_t size);

#endif
