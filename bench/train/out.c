/* out: whether a training may have its directory, and making it; see train.h. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/files/paths.h"
#include "bench/train/train.h"

static bool holds_model(const char *dir)
{
    static const char *const names[] = {"config.json", "model.safetensors"};
    bool found = false;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        OWNED char *path = xasprintf("%s/%s", dir, names[i]);
        found |= access(path, F_OK) == 0;
    }
    return found;
}

/* Whether dir, or the nearest that exists above it, is a directory that can be written into. */
static int check_place(const char *dir, bool named, Err *err)
{
    OWNED char *at = xstrdup(dir);
    struct stat s;
    bool there;
    size_t levels = 0; /* that are missing */
    while (!(there = stat(at, &s) == 0) && errno == ENOENT) {
        const char *above = dirname(at);
        memmove(at, above, strlen(above) + 1);
        levels++;
    }
    if (!there)
        return err_set(err, "cannot create '%s': %s", dir, strerror(errno));
    if (named && levels > 1) {
        errno = ENOENT;
        return path_refuse(dir, err);
    }
    if (!S_ISDIR(s.st_mode))
        return err_set(err, "cannot create '%s': '%s' is not a directory", dir, at);
    if (access(at, W_OK | X_OK) != 0)
        return err_set(err, "cannot write into '%s': %s", at, strerror(errno));
    return 0;
}

int train_check_out(const TrainConfig *c, const TrainOptions *o, Err *err)
{
    const char *dir = c->out;
    bool training = train_state_exists(dir);
    if (!*dir)
        return err_set(err, "the name of the checkpoint's directory is empty");
    if (c->checkpoint && file_is_same(dir, c->checkpoint))
        return err_set(err, "'%s' is also the checkpoint to start from; 'out' must be another",
                       dir);
    if (c->tokenizer && file_is_same(dir, c->tokenizer))
        return err_set(err, "'%s' is also the tokenizer's directory; 'out' must be another", dir);
    if (training && !o->resume && !o->overwrite)
        return err_set(
            err, "'%s' has a training already; --resume goes on, --overwrite begins anew", dir);
    if (!training && holds_model(dir) && !o->overwrite)
        return err_set(
            err, "'%s' has a model, but no training that could go on; --overwrite replaces it",
            dir);
    return check_place(dir, o->named, err);
}

static int make_out(const char *dir, Err *err)
{
    OWNED char *path = xstrdup(dir);
    for (size_t i = 1, len = strlen(dir); i <= len; i++) {
        if (dir[i] != '/' && i < len)
            continue;
        path[i] = '\0';
        if (mkdir(path, 0777) != 0 && errno != EEXIST)
            return err_set(err, "cannot create '%s': %s", path, strerror(errno));
        path[i] = dir[i];
    }
    return 0;
}

int train_lock_out(const char *dir, Err *err)
{
    if (make_out(dir, err) != 0)
        return -1;
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_set(err, "cannot open '%s': %s", dir, strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    close(fd);
    return err_set(err, "'%s' is being written by another training", dir);
}
