/* new_file: a file that a verb writes beside its result. One that exists already is refused; a
 * device or a pipe, such as /dev/stdout, is written to. */
#pragma once

#include <stdio.h>

#include "autograd/base.h"

typedef struct NewFile {
    const char *path; /* borrowed; NULL: no file is wanted */
    FILE *stream;     /* NULL: none is open */
    bool made;
} NewFile;

/* Creates the file. With a NULL path it does nothing, and so does new_file_close. */
int new_file_open(NewFile *f, const char *path, Err *err);

/* Writes out and closes. -1: something could not be written. What was made is removed then, and
 * where `keep` is false. */
int new_file_close(NewFile *f, bool keep, Err *err);
