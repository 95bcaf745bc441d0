/* lines: see lines.h. */
#include "bench/util/lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int lines_open(Lines *l, const char *path, Err *err)
{
    bool standard = !path || strcmp(path, "-") == 0;
    *l = (Lines){.name = standard ? "standard input" : path};
    l->file = standard ? stdin : fopen(path, "rb");
    if (!l->file)
        return err_set(err, "cannot open '%s': %s", path, strerror(errno));
    return 0;
}

int lines_next(Lines *l, Err *err)
{
    errno = 0;
    ssize_t n = getdelim(&l->line, &l->room, '\n', l->file);
    if (n < 0 && !feof(l->file))
        return err_set(err, "cannot read '%s': %s", l->name, strerror(errno));
    if (n < 0)
        return 0;
    l->len = (size_t)n;
    if (l->len > 0 && l->line[l->len - 1] == '\n')
        l->len--;
    return 1;
}

void lines_close(Lines *l)
{
    if (l->file && l->file != stdin)
        fclose(l->file);
    free(l->line);
    *l = (Lines){0};
}
