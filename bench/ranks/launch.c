/* launch: see launch.h. */
#include "bench/ranks/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/ranks/loader.h"
#include "bench/util/interrupt.h"
#include "bench/util/process.h"
#include "bench/util/units.h"

enum { REAP_TICK_MS = 10, REAP_PATIENCE_MS = 1000, REAP_LIMIT_MS = 3000, GUARD_TRIES = 4 };

static const char shared_memory[] = "/dev/shm";
/* Observed with Open MPI 4.1 on 2 to 4 ranks: 4.1 MB each, and 2 MB for the job. */
#define RANK_SHARED_BYTES 6e6

/* ---- the job's folder ---- */

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *walk)
{
    (void)st, (void)type, (void)walk;
    remove(path);
    return 0;
}

static void remove_folder(const char *path)
{
    nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* Caller frees; "" where none can be made. */
static char *make_folder(void)
{
    static const char *const parents[] = {shared_memory, "/tmp"};
    for (size_t i = 0; i < COUNT_OF(parents); i++) {
        char *path = xasprintf("%s/tare.XXXXXX", parents[i]);
        if (mkdtemp(path))
            return path;
        free(path);
    }
    return xstrdup("");
}

/* An MPI that meets a full one fails late, and says less. */
static int check_shared_memory(int64_t ranks, const char *launcher, Err *err)
{
    struct statvfs s;
    double needed = (double)ranks * RANK_SHARED_BYTES;
    char there[UNIT_TEXT_SIZE], wanted[UNIT_TEXT_SIZE];
    if (*launcher || statvfs(shared_memory, &s) != 0 ||
        (double)s.f_bavail * (double)s.f_frsize >= needed)
        return 0;
    format_bytes(there, (double)s.f_bavail * (double)s.f_frsize);
    format_bytes(wanted, needed);
    return err_set(err, "%s has %s left, %d ranks need %s", shared_memory, there, (int)ranks,
                   wanted);
}

/* ---- its guard ---- */

/* A process that outlives this one where it is killed, and removes the folder in its place. Returns
 * the end of a pipe that holds it back until it is closed. */
static int guard_folder(const char *folder)
{
    int ends[2];
    if (!*folder || pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    pid_t pid = fork();
    if (pid != 0) {
        close(ends[0]);
        return ends[1];
    }
    char byte;
    setsid(); /* out of reach of Ctrl-C */
    if (ends[0] != 3) {
        dup2(ends[0], 3);
        ends[0] = 3;
    }
    close_range(0, 2, 0);
    close_range(4, ~0u, 0);
    while (read(ends[0], &byte, 1) < 0 && errno == EINTR)
        ;
    /* A process that ends in order has removed it before it lets go; ranks may take their time. */
    for (int i = 0; i < GUARD_TRIES && (i > 0 || access(folder, F_OK) == 0); i++) {
        remove_folder(folder);
        sleep(1);
    }
    _exit(0);
}

/* ---- the launcher's environment ---- */

static void set_unless_set(const char *name, const char *value)
{
    setenv(name, value, 0);
}

/* Shared memory and sockets lie in the job's folder; a link that is down ends the launcher too, and
 * so does a host that ssh does not reach or that asks for a password. */
static void prepare_environment(const char *folder, const char *launcher)
{
    launcher_forget_others();
    set_unless_set("OMPI_ALLOW_RUN_AS_ROOT", "1");
    set_unless_set("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
    set_unless_set("OMPI_MCA_oob_tcp_keepalive_time", "2");
    set_unless_set("OMPI_MCA_oob_tcp_keepalive_intvl", "1");
    set_unless_set("OMPI_MCA_oob_tcp_keepalive_probes", "3");
    if (!strstr(launcher, "plm_rsh_agent"))
        set_unless_set("OMPI_MCA_plm_rsh_args", "-oConnectTimeout=5 -oBatchMode=yes");
    if (!*folder)
        return;
    set_unless_set("OMPI_MCA_btl_vader_backing_directory", folder);
    set_unless_set("OMPI_MCA_orte_tmpdir_base", folder);
    set_unless_set("UCX_POSIX_DIR", folder);
}

/* ---- what is left of a job ---- */

static void kill_children(void)
{
    OWNED char *path = xasprintf("/proc/self/task/%d/children", (int)getpid());
    FILE *f = fopen(path, "r");
    int pid;
    while (f && fscanf(f, "%d", &pid) == 1)
        kill(pid, SIGKILL);
    if (f)
        fclose(f);
}

/* Waits until the ranks that we have adopted are gone. */
static void reap_all(void)
{
    for (int ms = 0; ms < REAP_LIMIT_MS; ms += REAP_TICK_MS) {
        pid_t done;
        while ((done = waitpid(-1, NULL, WNOHANG)) > 0)
            ;
        if (done < 0 && errno == ECHILD)
            return;
        if (ms >= REAP_PATIENCE_MS)
            kill_children();
        usleep(REAP_TICK_MS * 1000);
    }
}

/* ---- why it failed ---- */

static const char *line_with(char **lines, size_t count, const char *words)
{
    for (size_t i = 0; i < count; i++)
        if (strstr(lines[i], words))
            return lines[i];
    return NULL;
}

/* The line that says most: a rank's own error, then what the launchers say of how a rank ended,
 * then the last one. */
static const char *telling_line(char **lines, size_t count)
{
    static const char *const words[] = {
        "ssh: ",
        "Permission denied (",
        "Host key verification",
        "exited on signal",
        "not enough slots",
        "EXIT CODE",
        "EXIT STRING",
        "unable to",
        "could not",
        "ERROR",
        "rror",
    };
    const char *own = line_with(lines, count, "tare: ");
    if (own)
        return strstr(own, "tare: ") + strlen("tare: ");
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        const char *line = line_with(lines, count, words[i]);
        if (line)
            return line;
    }
    return count ? lines[count - 1] : "it said nothing";
}

/* Splits in place, without rules and empty lines; *lines is the caller's to free. */
static size_t split_lines(char *text, char ***lines)
{
    size_t count = 0;
    *lines = xcalloc(strlen(text) / 2 + 2, sizeof **lines);
    for (char *line; (line = strsep(&text, "\n\r"));)
        if (line[strspn(line, "-= ")])
            (*lines)[count++] = line + strspn(line, " ");
    return count;
}

static int describe(const Child *c, const char *launcher, Err *err)
{
    if (c->end == CHILD_INTERRUPTED)
        return err_set(err, "interrupted");
    if (c->end == CHILD_KILLED)
        return err_set(err, "the launcher %s was killed by SIG%s", launcher, signal_name(c->code));
    char **lines;
    OWNED char *clean = xstrdup(c->output);
    size_t count = split_lines(clean, &lines);
    err_set(err, "%s", telling_line(lines, count));
    free(lines);
    return -1;
}

/* ---- the job ---- */

static char **join(char **words, char *const *argv)
{
    size_t n = 0, more = 0;
    while (words[n])
        n++;
    while (argv[more])
        more++;
    words = xrealloc(words, (n + more + 2) * sizeof *words);
    words[n++] = xstrdup(own_path());
    for (size_t i = 0; i < more; i++)
        words[n++] = xstrdup(argv[i]);
    words[n] = NULL;
    return words;
}

static int take_answer(const Child *c, const char *launcher, char **answer, Err *err)
{
    const char *begin = c->answer[0] == '{' ? c->answer : strstr(c->answer, "\n{");
    begin += begin && *begin == '\n';
    if (c->end != CHILD_EXITED || c->code != 0)
        return describe(c, launcher, err);
    if (!begin)
        return err_set(err, "%s ended without an answer of rank 0", launcher);
    *answer = xstrdup(begin);
    return 0;
}

int ranks_launch(char *const *argv, int64_t ranks, const char *launcher, FILE *chatter,
                 char **answer, Err *err)
{
    char **words;
    Child c;
    launcher = launcher ? launcher : "";
    if (check_shared_memory(ranks, launcher, err) != 0 ||
        launcher_words(launcher, ranks, &words, err) != 0)
        return -1;
    interrupt_install();
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* instead of SIGKILL (util/process.h) */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    OWNED char *folder = make_folder();
    prepare_environment(folder, launcher);
    int guard = guard_folder(folder);
    words = join(words, argv);
    int status = child_run_printing(&c, words[0], words, chatter, err);
    if (status == 0) {
        reap_all();
        status = take_answer(&c, words[0], answer, err);
        child_release(&c);
    }
    argv_free(words);
    if (*folder)
        remove_folder(folder);
    if (guard >= 0)
        close(guard);
    return status;
}
