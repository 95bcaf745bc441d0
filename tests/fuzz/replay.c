/* replay: every file of the folders named on the command line through a fuzzer's entry point, once
 * and in the order of their names, without libFuzzer. A fuzzer says what is wrong by aborting. */
#include "autograd/base.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
__attribute__((weak)) int LLVMFuzzerInitialize(int *argc, char ***argv);

/* A fuzzer may change inputs with it; a replay changes none. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size)
{
    CHECK(false, "a mutation of %p[%zu], at most %zu", (void *)data, size, max_size);
}

static int is_input(const struct dirent *d)
{
    return d->d_name[0] != '.';
}

/* Whether all of them could be read. */
static bool replay_folder(const char *folder)
{
    enum { MAX_FILE = 1 << 24 };
    struct dirent **names;
    int count = scandir(folder, &names, is_input, alphasort);
    bool complete = count > 0;
    for (int i = 0; i < count; i++) {
        Err err;
        size_t size;
        char *path = xasprintf("%s/%s", folder, names[i]->d_name);
        char *data = file_read(path, MAX_FILE, &size, &err);
        fprintf(stderr, "%s\n", data ? path : err.msg);
        if (data)
            LLVMFuzzerTestOneInput((const uint8_t *)data, size);
        complete = complete && data;
        free(data);
        free(path);
        free(names[i]);
    }
    if (count >= 0)
        free(names);
    if (count <= 0)
        fprintf(stderr, "no files in '%s'\n", folder);
    return complete;
}

int main(int argc, char **argv)
{
    bool complete = argc > 1;
    if (LLVMFuzzerInitialize)
        LLVMFuzzerInitialize(&argc, &argv);
    for (int i = 1; i < argc; i++)
        complete = replay_folder(argv[i]) && complete;
    return complete ? 0 : 1;
}
