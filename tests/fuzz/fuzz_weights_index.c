/* Fuzzes weights_open: any bytes in model.safetensors.index.json, beside a file a with tensor x and
 * a file b with tensor y, are either refused with a sentence or name exactly these.
 *
 *   build/fuzz_weights_index -max_total_time=600 NEW_INPUTS tests/fuzz/corpus_weights_index */
#include "model/files/weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[] = "/dev/shm/tare-fuzz-XXXXXX";
static char *shards[2], *index_path;

static void remove_dir(void)
{
    for (size_t i = 0; i < 2; i++) {
        unlink(shards[i]);
        free(shards[i]);
    }
    unlink(index_path);
    free(index_path);
    rmdir(dir);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    CHECK(mkdtemp(dir), "no directory %s", dir);
    index_path = xasprintf("%s/model.safetensors.index.json", dir);
    for (size_t i = 0; i < 2; i++) {
        Err err;
        float value = 1;
        shards[i] = xasprintf("%s/%s", dir, i ? "b" : "a");
        STensor t = stensor_make(i ? "y" : "x", ST_F32, 0, NULL, &value);
        CHECK(safetensors_write(shards[i], &t, 1, NULL, &err) == 0, "%s", err.msg);
    }
    atexit(remove_dir);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FILE *f = fopen(index_path, "wb");
    CHECK(f && fwrite(data, 1, size, f) == size && fclose(f) == 0, "cannot write %s", index_path);
    Err err = {""};
    SafeTensors *all = weights_open(index_path, &err);
    if (!all) {
        CHECK(strstr(err.msg, dir), "an error without its folder: '%s'", err.msg);
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
