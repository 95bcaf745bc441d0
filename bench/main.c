/* main: picks the verb, prints the one error, decides the exit code. */
#include <fcntl.h>
#include <omp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "autograd/kernels/kernels.h"
#include "autograd/kernels/placement.h"
#include "bench/commands.h"
#include "bench/util/man.h"
#include "bench/util/output.h"
#include "bench/util/pipe.h"
#include "bench/util/process.h"

typedef struct Verb {
    const char *name, *help;
    int (*run)(int argc, char **argv, Err *err);
} Verb;

static const Verb verbs[] = {
#define COMMAND_AS(name, verb, help) {name, help, cmd_##verb},
    COMMANDS
#undef COMMAND_AS
};

#define SUMMARY "Weighs GPT-style and BERT-style transformers on this machine's CPU"

static const char exit_codes[] =
    "exit: 0 ok, 1 a row failed or a check did not pass, 2 bad command, config or input,\n"
    "      3 regression found, 130 interrupted\n";

static void print_help(void)
{
    printf("usage: tare VERB [ARGUMENTS]\n\n" SUMMARY ".\n\n");
    for (size_t i = 0; i < COUNT_OF(verbs); i++)
        if (verbs[i].help[0])
            printf("  %-15s %s\n", verbs[i].name, verbs[i].help);
    printf("\n  tare VERB --help   the options of a verb\n"
           "  tare --version     the version\n\n%s",
           exit_codes);
}

/* The page that the build makes and `cmake --install` installs. A verb prints its part itself. */
static int print_man(Err *err)
{
    man_page_begin(TARE_VERSION, SUMMARY);
    for (size_t i = 0; i < COUNT_OF(verbs); i++) {
        char *argv[] = {(char *)verbs[i].name, "--man", NULL};
        if (verbs[i].help[0] && verbs[i].run(2, argv, err) != EXIT_OK)
            return -1;
    }
    man_lines("EXIT STATUS", exit_codes);
    return EXIT_OK;
}

static const Verb *find_verb(const char *name, Err *err)
{
    const char *names[COUNT_OF(verbs)];
    for (size_t i = 0; i < COUNT_OF(verbs); i++) {
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
        names[i] = verbs[i].name;
    }
    Hint hint;
    did_you_mean(hint, name, names, COUNT_OF(names));
    err_set(err, "unknown verb '%.60s'%s%s tare --help", name, hint, *hint ? " See" : "; see");
    return NULL;
}

/* A result that did not reach stdout is a lost result, unless its reader wanted no more. */
static int flush_results(int code, Err *err)
{
    Err unwritten;
    if (output_flush(&unwritten) == 0)
        return code;
    if (output_reader_left())
        return EXIT_OK;
    if (code >= 0)
        *err = unwritten;
    return -1;
}

static int run(int argc, char **argv, Err *err)
{
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_help();
        return EXIT_OK;
    }
    if (strcmp(argv[1], "--man") == 0)
        return print_man(err);
    if (strcmp(argv[1], "--version") == 0) {
        printf("tare %s\n", TARE_VERSION);
        return EXIT_OK;
    }
    const Verb *verb = find_verb(argv[1], err);
    if (!verb || kernels_select(getenv("TARE_ISA"), err) != 0 ||
        gemm_select(getenv("TARE_GEMM"), err) != 0)
        return -1;
    return verb->run(argc - 1, argv + 1, err);
}

/* Executes this program again with GOMP_SPINCOUNT set, unless the user has set a policy. GNU OpenMP
 * reads the variable once, when it is loaded: how long an idle thread spins before it sleeps. Its
 * default of some milliseconds is ruinous where other programs want the CPUs, for the spinning
 * thread holds the CPU of the thread that it waits for. Rows inherit the variable, peers do not
 * (util/process.h). Figures are in analysis/SPEED.md. */
static void reexecute_with_short_spin(char **argv)
{
    if (getenv(SPIN_COUNT) || getenv("OMP_WAIT_POLICY"))
        return;
    setenv(SPIN_COUNT, "5000", 1);
    setenv(SPIN_COUNT_IS_OURS, "1", 1);
    cpu_set_t pinned;
    placement_unpin(&pinned);
    execv(own_program(), argv);
    sched_setaffinity(0, sizeof pinned, &pinned); /* if it fails, run with the default */
}

/* Makes a team have the threads that --threads asks for, whatever OMP_DYNAMIC and
 * OMP_MAX_ACTIVE_LEVELS say. OMP_THREAD_LIMIT cannot be undone: threads_seen tells. */
static void start_all_threads(void)
{
    omp_set_dynamic(0);
    omp_set_max_active_levels(1);
}

/* Takes the numbers of standard streams that are closed: the first file that is opened would have
 * one, and what is printed would go into it. Reading or writing them fails as before, also where a
 * result is to go to /dev/stdout: a folder cannot be opened for writing. */
static void keep_standard_streams_apart(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            open(fd == STDIN_FILENO ? "/dev/null" : "/", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

int main(int argc, char **argv)
{
    keep_standard_streams_apart();
    reexecute_with_short_spin(argv);
    start_all_threads();
    if (argc < 2) {
        fprintf(stderr, "tare: no verb given\ntry: tare --help\n");
        return EXIT_BAD_INPUT;
    }
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow any more is an error of that file */
    Err err = {""};
    int code = flush_results(run(argc, argv, &err), &err);
    if (code >= 0)
        return code;
    fprintf(stderr, "tare: %s\n", err.msg);
    return EXIT_BAD_INPUT;
}
