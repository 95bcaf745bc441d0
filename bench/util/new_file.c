/* new_file: see new_file.h. */
#include "bench/util/new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int new_file_open(NewFile *f, const char *path, Err *err)
{
    struct stat at;
    *f = (NewFile){.path = path};
    if (!path)
        return 0;
    bool exists = stat(path, &at) == 0;
    if (exists && S_ISREG(at.st_mode))
        return err_set(err, "'%s' exists; remove it or use another name", path);
    int fd = open(path, O_WRONLY | O_CLOEXEC | (exists ? 0 : O_CREAT | O_EXCL), 0666);
    if (fd < 0)
        return err_set(err, "cannot create '%s': %s", path, strerror(errno));
    f->made = !exists;
    f->stream = fdopen(fd, "w");
    CHECK(f->stream, "no memory for a stream");
    return 0;
}

int new_file_close(NewFile *f, bool keep, Err *err)
{
    if (!f->stream)
        return 0;
    bool written = fflush(f->stream) == 0 && !ferror(f->stream);
    int why = errno;
    written = fclose(f->stream) == 0 && written;
    if (f->made && !(keep && written))
        unlink(f->path);
    f->stream = NULL;
    return written || !keep ? 0 : err_set(err, "cannot write '%s': %s", f->path, strerror(why));
}
