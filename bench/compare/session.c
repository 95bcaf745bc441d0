/* session: see session.h. */
#include "bench/compare/session.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER_NAME "tare-compare-"

void session_init(Session *s)
{
    *s = (Session){.threads = 1, .lock = -1};
    guard_init(&s->guard);
    project_find(&s->project);
}

void session_release(Session *s)
{
    implementations_release(s->implementations);
    guard_release(&s->guard);
    project_release(&s->project);
    if (s->folder[0])
        rmdir(s->folder);
    if (s->lock >= 0)
        close(s->lock);
}

/* Removes a folder that holds no folders, if it is ours and nobody has locked it. */
static void remove_folder(int parent, const char *name)
{
    struct stat s;
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool stale =
        fd >= 0 && fstat(fd, &s) == 0 && s.st_uid == geteuid() && flock(fd, LOCK_EX | LOCK_NB) == 0;
    DIR *files = stale ? fdopendir(fd) : NULL;
    for (struct dirent *d; files && (d = readdir(files));)
        unlinkat(fd, d->d_name, 0);
    if (stale)
        unlinkat(parent, name, AT_REMOVEDIR);
    if (files)
        closedir(files);
    else if (fd >= 0)
        close(fd);
}

/* Whether NAME is FOLDER_NAME PID-XXXXXX, to the letter, of a process that is gone: a longer or
 * shorter name that begins so is somebody else's. */
static bool is_stale(const char *name)
{
    long pid;
    int end = 0;
    return sscanf(name, FOLDER_NAME "%ld-%n", &pid, &end) == 1 && end > 0 &&
           strlen(name + end) == strlen("XXXXXX") && pid > 0 && kill((pid_t)pid, 0) != 0 &&
           errno == ESRCH;
}

/* A process of another container may have the same number, hence the lock; the number is for the
 * moment before a folder is locked. */
static void remove_stale_folders(const char *tmp)
{
    DIR *dir = opendir(tmp);
    for (struct dirent *d; dir && (d = readdir(dir));)
        if (is_stale(d->d_name))
            remove_folder(dirfd(dir), d->d_name);
    if (dir)
        closedir(dir);
}

static int make_folder(Session *s, Err *err)
{
    const char *set = getenv("TMPDIR"), *tmp = set && *set ? set : "/tmp";
    int n =
        snprintf(s->folder, sizeof s->folder, "%s/" FOLDER_NAME "%ld-XXXXXX", tmp, (long)getpid());
    remove_stale_folders(tmp);
    if (n >= 0 && n < (int)sizeof s->folder && mkdtemp(s->folder)) {
        s->lock = open(s->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (s->lock >= 0)
            flock(s->lock, LOCK_EX | LOCK_NB);
        return 0;
    }
    s->folder[0] = '\0';
    return err_set(err, "cannot make a temporary folder in '%s'", tmp);
}

int session_start(Session *s, const ImplementationOptions *o, Err *err)
{
    if (make_folder(s, err) != 0)
        return -1;
    s->threads = o->threads;
    s->other_cpus = other_cpus_before_start();
    return implementations_start(s->implementations, &s->project, o, &s->misbehaved, err);
}

/* ---- peaks ---- */

const Peaks *session_peaks(const Session *s)
{
    return guard_peaks(&s->guard, s->threads);
}

void session_measure_peaks(Session *s)
{
    Err err;
    if (guard_measure(&s->guard, s->threads, &err) != 0)
        fprintf(stderr, "tare: %s, so shares of the peak are missing\n", err.msg);
}

void session_claim(Session *s, Entry *e, Claim claim)
{
    Err ignored;
    e->claim = claim;
    if (session_peaks(s))
        guard_doubt(&s->guard, s->threads, &e->claim, &ignored);
}

EntryState session_state(const Session *s, const Entry *e)
{
    return entry_state(e, session_peaks(s));
}

/* ---- outputs ---- */

char *session_file(const Session *s, const char *name)
{
    return xasprintf("%s/%s.safetensors", s->folder, name);
}

void session_remove_file(const Session *s, const char *name)
{
    OWNED char *path = session_file(s, name);
    unlink(path);
}

int session_write_outputs(const Session *s, Implementation *a, const char *name, Err *err)
{
    OWNED char *path = session_file(s, name);
    json_auto_t *reply =
        implementation_ask(a, json_pack("{s:s, s:s}", "do", "outputs", "path", path), err);
    return reply ? 0 : -1;
}

void session_prove(const Session *s, const Entry *ours, Entry *e, double tolerance)
{
    if (e != ours && !entry_failed(ours))
        session_prove_by(s, ours->implementation->name, e, tolerance);
}

void session_prove_by(const Session *s, const char *name, Entry *e, double tolerance)
{
    OWNED char *right = session_file(s, name), *tested = session_file(s, e->implementation->name);
    if (!entry_failed(e))
        e->has_parity = parity_compare(right, tested, tolerance, &e->parity, &e->failure) == 0;
}
