/* paths: see paths.h. */
#include "model/files/paths.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "autograd/base.h"

enum { MOST_LINKS = 40 }; /* as many as Linux follows */

/* What the link at `path` holds, seen from the link's own folder. NULL: it is no link. */
static char *link_target(const char *path)
{
    char target[PATH_MAX];
    ssize_t n = readlink(path, target, sizeof target - 1);
    if (n < 0)
        return NULL;
    target[n] = '\0';
    const char *slash = strrchr(path, '/');
    if (target[0] == '/' || !slash)
        return xstrdup(target);
    return xasprintf("%.*s/%s", (int)(slash - path), path, target);
}

char *path_target(const char *path)
{
    char *real = realpath(path, NULL);
    if (real)
        return real;
    if (access(path, F_OK) == 0)
        return xstrdup(path); /* what a link of /proc/self/fd leads to need not have a path */
    char *end = xstrdup(path);
    for (int i = 0; i < MOST_LINKS; i++) {
        char *next = link_target(end);
        if (!next)
            return end;
        free(end);
        end = next;
    }
    free(end);
    return xstrdup(path); /* a circle: opening it will say so */
}

char *path_to_make(const char *path)
{
    return access(path, F_OK) == 0 ? xstrdup(path) : path_target(path);
}

static bool is_stdout(const struct stat *at)
{
    struct stat out;
    return fstat(STDOUT_FILENO, &out) == 0 && at->st_dev == out.st_dev && at->st_ino == out.st_ino;
}

bool path_is_stream(const char *path)
{
    struct stat at;
    if (stat(path, &at) != 0)
        return false;
    OWNED char *real = realpath(path, NULL);
    return !real || !S_ISREG(at.st_mode) || is_stdout(&at);
}

int path_open_stream(const char *path)
{
    struct stat at;
    if (stat(path, &at) == 0 && S_ISREG(at.st_mode) && is_stdout(&at))
        return fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    return open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
}

int path_check_new(const char *path, bool overwrite, Err *err)
{
    if (overwrite || access(path, F_OK) != 0 || path_is_stream(path))
        return 0;
    return err_set(err, "'%s' exists; replace it with --overwrite", path);
}

int path_refuse(const char *path, Err *err)
{
    int why = errno;
    OWNED char *parent = xstrdup(path);
    char *slash = strrchr(parent, '/');
    struct stat st;
    if (slash)
        *slash = '\0';
    if (slash && slash != parent && stat(parent, &st) != 0 && errno == ENOENT)
        return err_set(err, "cannot create '%s': there is no folder '%s'", path, parent);
    return err_set(err, "cannot create '%s': %s", path, strerror(why));
}

/* ---- temporary names ---- */

#define TEMPORARY ".tmp."

/* The length of NAME where `entry` is NAME.tmp.PID with the number of no process but this one; 0
 * for any other entry. */
static size_t abandoned_stem(const char *entry)
{
    const char *mark = NULL;
    for (const char *at = entry; (at = strstr(at, TEMPORARY)); at++)
        mark = at;
    const char *digits = mark ? mark + strlen(TEMPORARY) : "";
    long pid = strtol(digits, NULL, 10);
    if (!*digits || digits[strspn(digits, "0123456789")] || pid <= 0 || pid > INT_MAX)
        return 0;
    bool dead = pid == getpid() || (kill((pid_t)pid, 0) != 0 && errno == ESRCH);
    return dead ? (size_t)(mark - entry) : 0;
}

static bool is_one_of(const char *entry, const char *const *files)
{
    size_t stem = abandoned_stem(entry), length = stem ? stem : strlen(entry);
    for (; files && *files; files++)
        if (strlen(*files) == length && strncmp(entry, *files, length) == 0)
            return true;
    return false;
}

static bool holds_only(int fd, const char *const *files)
{
    DIR *dir = fdopendir(dup(fd));
    bool only = dir;
    for (struct dirent *d; only && (d = readdir(dir));)
        only = strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0 ||
               is_one_of(d->d_name, files);
    if (dir)
        closedir(dir);
    return only;
}

void folder_remove(const char *folder)
{
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir)
        closedir(dir);
    rmdir(folder);
}

static void remove_abandoned(const char *path, const char *const *files)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && flock(fd, LOCK_EX | LOCK_NB) == 0) {
        if (S_ISREG(st.st_mode))
            unlink(path);
        else if (S_ISDIR(st.st_mode) && files && holds_only(fd, files))
            folder_remove(path);
    }
    close(fd);
}

char *path_temporary(const char *target, const char *const *files)
{
    const char *slash = strrchr(target, '/'), *name = slash ? slash + 1 : target;
    char *folder = xasprintf("%.*s", (int)(name - target), target);
    DIR *dir = opendir(*folder ? folder : ".");
    for (struct dirent *d; dir && (d = readdir(dir));) {
        if (abandoned_stem(d->d_name) != strlen(name) ||
            strncmp(d->d_name, name, strlen(name)) != 0)
            continue;
        char *path = xasprintf("%s%s", folder, d->d_name);
        remove_abandoned(path, files);
        free(path);
    }
    if (dir)
        closedir(dir);
    free(folder);
    return xasprintf("%s" TEMPORARY "%ld", target, (long)getpid());
}

void temporary_lock(int fd)
{
    if (fd >= 0)
        flock(fd, LOCK_EX | LOCK_NB); /* a file system without locks: the number alone counts */
}
