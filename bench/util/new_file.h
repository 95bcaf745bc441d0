/* new_file: a file that a verb writes beside its result, by the rule of path_check_new. It is
 * written under a temporary name and appears whole; a device or a pipe, such as /dev/stdout, is
 * written to. */
#pragma once

#include <stdio.h>

#include "autograd/base.h"

typedef struct NewFile {
    const char *path; /* borrowed */
    FILE *stream;     /* NULL: none is open */
    /* Where it goes and its name until then, owned; NULL: a stream, written in place. */
    char *target, *temporary;
} NewFile;

/* Creates the file. With a NULL path it does nothing, and so does new_file_close. */
int new_file_open(NewFile *f, const char *path, bool overwrite, Err *err);

/* Writes out, closes and gives the file its name. -1: something could not be written. Then, and
 * where `keep` is false, what was at the path is as before. */
int new_file_close(NewFile *f, bool keep, Err *err);
