/* new_file: see new_file.h. */
#include "bench/util/new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/files/paths.h"

static void forget(NewFile *f)
{
    free(f->target);
    free(f->temporary);
    *f = (NewFile){.path = f->path};
}

int new_file_open(NewFile *f, const char *path, bool overwrite, Err *err)
{
    *f = (NewFile){.path = path};
    if (!path)
        return 0;
    if (path_check_new(path, overwrite, err) != 0)
        return -1;
    if (!path_is_stream(path)) {
        f->target = path_target(path); /* a link stays one */
        f->temporary = path_temporary(f->target, NULL);
    }
    int fd = f->temporary ? open(f->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666)
                          : path_open_stream(path);
    f->stream = fd < 0 ? NULL : fdopen(fd, "w");
    if (f->stream && f->temporary)
        temporary_lock(fileno(f->stream));
    if (f->stream)
        return 0;
    path_refuse(path, err);
    forget(f);
    return -1;
}

int new_file_close(NewFile *f, bool keep, Err *err)
{
    if (!f->stream)
        return 0;
    bool written = fflush(f->stream) == 0 && !ferror(f->stream);
    int why = errno;
    written = fclose(f->stream) == 0 && written;
    if (written && keep && f->temporary && rename(f->temporary, f->target) != 0) {
        written = false;
        why = errno;
    }
    if (f->temporary && !(keep && written))
        unlink(f->temporary);
    forget(f);
    return written || !keep ? 0 : err_set(err, "cannot write '%s': %s", f->path, strerror(why));
}
