/* folder: a folder in memory for the files of a fuzzer that reads a folder. It goes at the end with
 * all it holds. */
#pragma once

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

#include "autograd/base.h"

static char folder[] = "/dev/shm/tare-fuzz-XXXXXX";

static int folder_remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static void folder_remove(void)
{
    nftw(folder, folder_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void folder_make(void)
{
    CHECK(mkdtemp(folder), "no folder %s", folder);
    atexit(folder_remove);
}

/* Writes folder/name. */
static inline void folder_write(const char *name, const void *data, size_t size)
{
    char *path = xasprintf("%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    CHECK(f && (size == 0 || fwrite(data, 1, size, f) == size) && fclose(f) == 0, "no %s", path);
    free(path);
}
