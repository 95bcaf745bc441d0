/* Fuzzes weights_open: any bytes in model.safetensors.index.json, beside a file a with tensor x and
 * a file b with tensor y, are either refused with a sentence or name exactly these.
 *
 *   build/fuzz_weights_index -max_total_time=600 NEW_INPUTS tests/fuzz/corpus_weights_index */
#include "model/files/weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/folder.h"

#define INDEX "model.safetensors.index.json"

static char *index_path;

static void forget_path(void)
{
    free(index_path);
}

static void write_shard(const char *name, const char *tensor)
{
    Err err;
    float value = 1;
    char *path = xasprintf("%s/%s", folder, name);
    STensor t = stensor_make(tensor, ST_F32, 0, NULL, &value);
    CHECK(safetensors_write(path, &t, 1, NULL, &err) == 0, "%s", err.msg);
    free(path);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    folder_make();
    index_path = xasprintf("%s/" INDEX, folder);
    atexit(forget_path);
    write_shard("a", "x");
    write_shard("b", "y");
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    folder_write(INDEX, data, size);
    Err err = {""};
    SafeTensors *all = weights_open(index_path, &err);
    if (!all) {
        CHECK(strstr(err.msg, folder), "an error without its folder: '%s'", err.msg);
        return 0;
    }
    CHECK(safetensors_count(all) <= 2 && safetensors_count(all) > 0, "it has other tensors");
    for (size_t i = 0; i < safetensors_count(all); i++) {
        const char *name = safetensors_at(all, i)->name;
        CHECK(strcmp(name, "x") == 0 || strcmp(name, "y") == 0, "it has '%s'", name);
    }
    safetensors_free(all);
    return 0;
}
