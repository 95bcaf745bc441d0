/* paths: see paths.h. */
#include "model/files/paths.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
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
