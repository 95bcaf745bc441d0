/* The child process of a row: what it answers, how it may end, and that we hear why. The children
 * here are shell scripts; that a row answers in this way is seen in tests/cli. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/util/process.h"
#include "bench/util/interrupt.h"
#include "bench/row/counters.h"

static Child run_script(const char *script, double max_seconds)
{
    Child c;
    Err err;
    char *argv[] = {"sh", "-c", (char *)script, NULL};
    cr_assert(child_run(&c, "/bin/sh", argv, max_seconds, &err) == 0, "%s", err.msg);
    return c;
}

static void expect_reason(const char *script, double max_seconds, ChildEnd end, const char *reason)
{
    char text[256];
    Child c = run_script(script, max_seconds);
    child_reason(&c, text, sizeof text);
    cr_expect(c.end == end, "'%s' ended in way %d", script, c.end);
    cr_expect(eq(str, text, (char *)reason));
    child_release(&c);
}

Test(spawn, answer_comes_through_its_own_pipe)
{
    Child c = run_script("echo chatter; echo answer >&3; echo more >&2", INFINITY);
    cr_expect(eq(int, c.end, CHILD_EXITED));
    cr_expect(eq(int, c.code, 0));
    cr_expect(eq(str, c.answer, "answer\n"));
    cr_expect(eq(sz, c.answer_len, 7));
    cr_expect(eq(str, c.output, "chatter\nmore\n"));
    child_release(&c);
}

Test(spawn, silence_is_two_empty_strings)
{
    Child c = run_script("true", INFINITY);
    cr_expect(eq(str, c.answer, ""));
    cr_expect(eq(str, c.output, ""));
    child_release(&c);
}

Test(spawn, large_answer_is_whole_and_large_output_is_cut)
{
    Child c = run_script("head -c 3000000 /dev/zero >&3; head -c 100000 /dev/zero | tr '\\0' x; "
                         "echo; echo the end",
                         INFINITY);
    cr_expect(eq(sz, c.answer_len, 3000000));
    cr_expect(lt(sz, strlen(c.output), 5000));
    cr_expect(c.output[0] == 'x' && strstr(c.output, "\nthe end\n"));
    child_release(&c);
}

Test(spawn, reasons)
{
    expect_reason("exit 3", INFINITY, CHILD_EXITED, "exit code 3");
    expect_reason("echo first >&2; echo 'last words' >&2; echo; exit 1", INFINITY, CHILD_EXITED,
                  "exit code 1: last words");
    expect_reason("echo 'tare: cannot map 8 bytes' >&2; exit 2", INFINITY, CHILD_EXITED,
                  "cannot map 8 bytes");
    expect_reason("kill -SEGV $$", INFINITY, CHILD_KILLED, "killed by SIGSEGV");
    expect_reason("echo hm; kill -KILL $$", INFINITY, CHILD_KILLED,
                  "killed by SIGKILL (out of memory?): hm");
}

Test(spawn, missing_program_says_so)
{
    Child c;
    Err err;
    char text[256], *argv[] = {"x", NULL};
    cr_assert(child_run(&c, "/no/such/program", argv, INFINITY, &err) == 0);
    child_reason(&c, text, sizeof text);
    cr_expect(eq(str, text,
                 "exit code 127: cannot execute '/no/such/program': No such file or directory"));
    child_release(&c);
}

/* Tolerance: the time limit is noticed at the next tick (0.2 s); the rest is for a busy machine. */
Test(spawn, hang_is_bounded)
{
    int64_t start = clock_ns();
    expect_reason("exec sleep 60", 0.3, CHILD_TIMED_OUT, "exceeded the time limit of 300 ms");
    cr_expect(lt(i64, clock_ns() - start, 5000000000));
}

Test(spawn, hang_with_closed_pipes_is_bounded)
{
    expect_reason("exec 1>&- 2>&- 3>&-; exec sleep 60", 0.3, CHILD_TIMED_OUT,
                  "exceeded the time limit of 300 ms");
}

Test(spawn, interruption_ends_the_child)
{
    interrupt_install();
    int64_t start = clock_ns();
    expect_reason("kill -INT $PPID; exec sleep 60", INFINITY, CHILD_INTERRUPTED, "interrupted");
    cr_expect(lt(i64, clock_ns() - start, 5000000000));
}

Test(spawn, works_where_child_signals_are_ignored)
{
    signal(SIGCHLD, SIG_IGN);
    expect_reason("exit 4", INFINITY, CHILD_EXITED, "exit code 4");
}

/* The middle process dies by SIGKILL while its child sleeps; the sleeper must go too. */
Test(spawn, child_dies_with_its_parent)
{
    int ends[2];
    cr_assert(pipe(ends) == 0);
    pid_t middle = fork();
    if (middle == 0) {
        dup2(ends[1], 9); /* a shell's redirection takes one digit */
        run_script("echo $$ >&9; exec sleep 60", INFINITY);
        _exit(0);
    }
    close(ends[1]);
    char pid_text[32] = "";
    cr_assert(read(ends[0], pid_text, sizeof pid_text - 1) > 0);
    kill(middle, SIGKILL);
    waitpid(middle, NULL, 0);
    pid_t sleeper = (pid_t)atoi(pid_text);
    for (int i = 0; i < 500 && kill(sleeper, 0) == 0; i++)
        usleep(10000);
    char path[64], state[256] = "gone";
    snprintf(path, sizeof path, "/proc/%d/stat", (int)sleeper);
    FILE *f = fopen(path, "r");
    if (f) {
        cr_assert(fgets(state, sizeof state, f) != NULL);
        fclose(f);
    }
    bool gone = !f || strstr(state, ") Z ");
    cr_expect(gone, "the child is still there: %s", state);
}
