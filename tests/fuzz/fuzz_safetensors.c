/* Fuzzes safetensors_open: any bytes are either refused or a file whose every tensor can be found,
 * read and converted, and that survives being written and read again.
 *
 *   build/fuzz_safetensors -dict=tests/fuzz/safetensors.dict -max_total_time=600 \
 *       NEW_INPUTS tests/fuzz/corpus_safetensors */
#include "model/files/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/fuzz/safetensors_mutator.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A file in memory that has a path. */
static int memory_file(char path[64])
{
    int fd = memfd_create("fuzz", 0);
    CHECK(fd >= 0, "no file in memory");
    snprintf(path, 64, "/proc/self/fd/%d", fd);
    return fd;
}

static void read_all(const SafeTensors *s)
{
    Err err;
    for (size_t i = 0; i < safetensors_count(s); i++) {
        const STensor *t = safetensors_at(s, i);
        CHECK(safetensors_find(s, t->name) == t, "'%s' is not found", t->name);
        CHECK(stensor_count(t) * st_dtype_size(t->dtype) == t->bytes, "size of '%s'", t->name);
        float *values = xmalloc(stensor_count(t) * sizeof *values + 1);
        bool floats = safetensors_to_f32(t, values, &err) == 0;
        CHECK(floats == (t->dtype <= ST_BF16), "conversion of '%s'", t->name);
        free(values);
    }
}

static void write_and_read_again(const SafeTensors *s)
{
    char path[64];
    int fd = memory_file(path);
    Err err;
    size_t n = safetensors_count(s);
    STensor *copies = xcalloc(n + 1, sizeof *copies);
    for (size_t i = 0; i < n; i++) {
        const STensor *t = safetensors_at(s, i);
        copies[i] = stensor_make(t->name, t->dtype, t->ndim, t->shape, t->data);
    }
    CHECK(safetensors_write(path, copies, n, NULL, &err) == 0, "%s", err.msg);
    SafeTensors *again = safetensors_open(path, &err);
    CHECK(again, "%s", err.msg);
    for (size_t i = 0; i < n; i++) {
        const STensor *t = safetensors_at(s, i), *u = safetensors_find(again, t->name);
        CHECK(u && u->dtype == t->dtype && u->ndim == t->ndim, "'%s' changed", t->name);
        CHECK(memcmp(u->shape, t->shape, sizeof u->shape) == 0, "'%s' changed", t->name);
        CHECK(memcmp(u->data, t->data, t->bytes) == 0, "'%s' changed", t->name);
    }
    safetensors_free(again);
    free(copies);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    int fd = memory_file(path);
    CHECK(write(fd, data, size) == (ssize_t)size, "short write");
    Err err;
    SafeTensors *s = safetensors_open(path, &err);
    if (s) {
        read_all(s);
        write_and_read_again(s);
    }
    safetensors_free(s);
    close(fd);
    return 0;
}
