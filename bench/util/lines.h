/* lines: reads text a line at a time, of any length and any bytes. A line ends at LF only; the last
 * line needs none. */
#pragma once

#include <stdio.h>

#include "autograd/base.h"

typedef struct Lines {
    const char *name; /* for messages; borrowed */
    FILE *file;
    char *line; /* without its LF; valid until the next call */
    size_t len, room;
} Lines;

/* Opens a file, or standard input where path is NULL or "-". */
int lines_open(Lines *l, const char *path, Err *err);

/* 1: a line was read; 0: there is no more; -1: reading failed. */
int lines_next(Lines *l, Err *err);

void lines_close(Lines *l);
