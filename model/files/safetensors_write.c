/* safetensors_write: the writer of safetensors.h. It trusts its caller about names and shapes, and
 * nothing about the disk. */
#include "model/files/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/files/paths.h"

static json_t *entry_of(const STensor *t, size_t begin)
{
    json_t *shape = json_array();
    for (size_t i = 0; i < t->ndim; i++)
        json_array_append_new(shape, json_integer((json_int_t)t->shape[i]));
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", st_dtype_name(t->dtype), "shape", shape,
                     "data_offsets", (json_int_t)begin, (json_int_t)(begin + t->bytes));
}

/* The header's text, padded with spaces so that the data begin at a multiple of 8. Caller frees. */
static char *header_text(const STensor *const *order, size_t n, const char *const *metadata,
                         size_t *length)
{
    json_t *header = json_object(), *strings = json_object();
    for (; metadata && metadata[0]; metadata += 2)
        CHECK(json_object_set_new(strings, metadata[0], json_string(metadata[1])) == 0,
              "metadata '%s' is not UTF-8", metadata[0]);
    if (json_object_size(strings) > 0)
        json_object_set(header, "__metadata__", strings);
    json_decref(strings);
    for (size_t i = 0, begin = 0; i < n; begin += order[i++]->bytes) {
        CHECK(!json_object_get(header, order[i]->name), "two tensors '%s'", order[i]->name);
        CHECK(json_object_set_new(header, order[i]->name, entry_of(order[i], begin)) == 0,
              "the name '%s' is not UTF-8", order[i]->name);
    }
    char *json = json_dumps(header, JSON_COMPACT);
    CHECK(json, "out of memory for a header of %zu tensors", n);
    json_decref(header);

    size_t bytes = strlen(json);
    *length = (bytes + 7) / 8 * 8;
    json = xrealloc(json, *length + 1);
    memset(json + bytes, ' ', *length - bytes);
    return json;
}

static int write_content(FILE *f, const STensor *const *order, size_t n,
                         const char *const *metadata)
{
    size_t length;
    char *header = header_text(order, n, metadata, &length);
    uint64_t length64 = length;
    bool ok = fwrite(&length64, sizeof length64, 1, f) == 1 && fwrite(header, length, 1, f) == 1;
    free(header);
    for (size_t i = 0; ok && i < n; i++)
        ok = order[i]->bytes == 0 || fwrite(order[i]->data, order[i]->bytes, 1, f) == 1;
    return ok && fflush(f) == 0 ? 0 : -1;
}

/* Wider dtypes first, otherwise as given. Caller frees. */
static const STensor **aligned_order(const STensor *tensors, size_t n)
{
    const STensor **order = xcalloc(n + 1, sizeof *order);
    size_t count = 0;
    for (size_t size = 8; size > 0; size /= 2)
        for (size_t i = 0; i < n; i++)
            if (st_dtype_size(tensors[i].dtype) == size)
                order[count++] = &tensors[i];
    CHECK(count == n, "a dtype's size is no power of two up to 8");
    return order;
}

int safetensors_write(const char *path, const STensor *tensors, size_t n,
                      const char *const *metadata, Err *err)
{
    char *target = path_target(path);       /* a link stays one */
    bool in_place = path_is_stream(target); /* rename would replace it */
    char *written = in_place ? xstrdup(target) : path_temporary(target, NULL);
    int status = 0;
    int fd = in_place ? path_open_stream(target)
                      : open(written, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "wb");
    if (!f) {
        status = path_refuse(path, err);
        goto done;
    }
    if (!in_place)
        temporary_lock(fileno(f));
    const STensor **order = aligned_order(tensors, n);
    if (write_content(f, order, n, metadata) != 0 || (!in_place && fsync(fileno(f)) != 0))
        status = err_set(err, "cannot write '%s': %s", path, strerror(errno));
    free(order);
    if (fclose(f) != 0 && status == 0)
        status = err_set(err, "cannot write '%s': %s", path, strerror(errno));
    if (status == 0 && !in_place && rename(written, target) != 0)
        status = err_set(err, "cannot rename '%s' to '%s': %s", written, path, strerror(errno));
    if (status != 0 && !in_place)
        unlink(written);
done:
    free(written);
    free(target);
    return status;
}
