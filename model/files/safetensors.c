/* safetensors: the dtypes and the reader; see safetensors.h. Every check on a file from outside is
 * here. The writer is in safetensors_write.c. */
#include "model/files/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "autograd/kernels/kernels.h"
#include "model/files/quant_blocks.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the file's numbers are little-endian");

enum {
    LENGTH_BYTES = 8,             /* the header's length, before the header */
    MAX_HEADER_BYTES = 100000000, /* the reference implementation's limit */
};

/* A name as long as the header would push everything else out of an Err. */
#define NAME "tensor '%.200s'"

/* ---- dtypes ---- */

static const struct {
    const char *name;
    size_t size;
} dtypes[] = {
    [ST_F64] = {"F64", 8},    [ST_F32] = {"F32", 4},    [ST_F16] = {"F16", 2},
    [ST_BF16] = {"BF16", 2},  [ST_I64] = {"I64", 8},    [ST_I32] = {"I32", 4},
    [ST_I8] = {"I8", 1},      [ST_U8] = {"U8", 1},      [ST_BOOL] = {"BOOL", 1},
    [ST_Q8_0] = {"Q8_0", 34}, [ST_Q4_0] = {"Q4_0", 18}, [ST_Q4_1] = {"Q4_1", 20},
};

/* Elements of which the size counts. */
static size_t block_of(StDtype dtype)
{
    return st_is_blocks(dtype) ? QUANT_BLOCK : 1;
}

const char *st_dtype_name(StDtype dtype)
{
    return dtypes[dtype].name;
}

size_t st_dtype_size(StDtype dtype)
{
    return dtypes[dtype].size;
}

size_t stensor_count(const STensor *t)
{
    return t->bytes / st_dtype_size(t->dtype) * block_of(t->dtype);
}

size_t st_bytes(StDtype dtype, size_t elements)
{
    CHECK(elements % block_of(dtype) == 0, "%zu elements of %s", elements, dtypes[dtype].name);
    return elements / block_of(dtype) * dtypes[dtype].size;
}

bool st_is_float(StDtype dtype)
{
    return dtype <= ST_BF16 || st_is_blocks(dtype);
}

/* Bytes of a tensor of this shape, or -1 when that does not fit into size_t. */
static int shape_bytes(StDtype dtype, size_t ndim, const size_t *shape, size_t *bytes)
{
    size_t product = st_dtype_size(dtype), block = block_of(dtype);
    bool overflow = false;
    for (size_t i = 0; i < ndim; i++) {
        if (shape[i] == 0) { /* empty, however large the other dimensions are */
            *bytes = 0;
            return 0;
        }
        size_t size = shape[i];
        if (block > 1 && i + 1 == ndim) {
            overflow |= size % block != 0;
            size /= block;
        }
        overflow |= __builtin_mul_overflow(product, size, &product);
    }
    *bytes = product;
    return overflow ? -1 : 0;
}

int stensor_measure(STensor *t)
{
    return shape_bytes(t->dtype, t->ndim, t->shape, &t->bytes);
}

STensor stensor_make(const char *name, StDtype dtype, size_t ndim, const size_t *shape,
                     const void *data)
{
    STensor t = {.name = name, .dtype = dtype, .ndim = ndim, .data = data};
    CHECK(ndim <= ST_MAX_DIMS, "tensor '%s' has %zu dimensions", name, ndim);
    for (size_t i = 0; i < ndim; i++)
        t.shape[i] = shape[i];
    CHECK(shape_bytes(dtype, ndim, shape, &t.bytes) == 0, "tensor '%s' is too large", name);
    return t;
}

/* By way of a buffer: a file may have its halves at odd addresses. */
static void widen(DType half, const char *src, size_t n, float *dst)
{
    uint16_t aligned[1024];
    for (size_t i = 0; i < n; i += COUNT_OF(aligned)) {
        size_t count = n - i < COUNT_OF(aligned) ? n - i : COUNT_OF(aligned);
        memcpy(aligned, src + i * sizeof *aligned, count * sizeof *aligned);
        kernels()->widen(half, aligned, dst + i, count);
    }
}

int safetensors_to_f32(const STensor *t, float *dst, Err *err)
{
    const char *src = t->data;
    size_t n = stensor_count(t);
    double wide;
    switch (t->dtype) {
    case ST_F32:
        if (n > 0)
            memcpy(dst, src, t->bytes);
        return 0;
    case ST_F16:
    case ST_BF16:
        widen(t->dtype == ST_F16 ? DT_F16 : DT_BF16, src, n, dst);
        return 0;
    case ST_F64:
        for (size_t i = 0; i < n; i++) {
            memcpy(&wide, src + i * sizeof wide, sizeof wide);
            dst[i] = (float)wide;
        }
        return 0;
    case ST_Q8_0:
    case ST_Q4_0:
    case ST_Q4_1:
        quant_blocks_to_f32(t->dtype, src, n, dst);
        return 0;
    default:
        return err_set(err, NAME " has dtype %s where a floating-point one is needed", t->name,
                       st_dtype_name(t->dtype));
    }
}

/* ---- reading ---- */

struct SafeTensors {
    const char *map; /* the whole file */
    size_t map_bytes;
    json_t *header; /* owns every name and the metadata */
    STensor *tensors;
    size_t count;
    const STensor **by_name;
    /* What it was made of and how that goes, where it has no map and no header. */
    void *owner;
    void (*release)(void *);
};

static int map_file(SafeTensors *s, const char *path, Err *err)
{
    /* O_NONBLOCK: a pipe that nobody writes to must not hang us here. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return err_set(err, "cannot open '%s': %s", path, strerror(errno));
    struct stat st;
    void *map = MAP_FAILED;
    if (fstat(fd, &st) != 0)
        err_set(err, "cannot read '%s': %s", path, strerror(errno));
    else if (!S_ISREG(st.st_mode))
        err_set(err, "cannot read '%s': it is %s", path,
                S_ISDIR(st.st_mode) ? "a directory" : "not a regular file");
    else if (st.st_size < LENGTH_BYTES)
        err_set(err, "'%s' is no safetensors file: it has only %lld bytes", path,
                (long long)st.st_size);
    else if ((map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0)) == MAP_FAILED)
        err_set(err, "cannot map '%s': %s", path, strerror(errno));
    close(fd);
    if (map == MAP_FAILED)
        return -1;
    s->map = map;
    s->map_bytes = (size_t)st.st_size;
    return 0;
}

/* Parses the header into s->header and says where the tensors' bytes begin. */
static int read_header(SafeTensors *s, size_t *data_begin, Err *err)
{
    uint64_t length;
    memcpy(&length, s->map, sizeof length);
    size_t left = s->map_bytes - LENGTH_BYTES;
    if (length > left)
        return err_set(err,
                       "a header of %llu bytes does not fit into the %zu bytes after its length: "
                       "the file is truncated or no safetensors file",
                       (unsigned long long)length, left);
    if (length > MAX_HEADER_BYTES)
        return err_set(err, "a header of %llu bytes is above the format's limit of %d",
                       (unsigned long long)length, MAX_HEADER_BYTES);
    json_error_t where;
    s->header = json_loadb(s->map + LENGTH_BYTES, length, JSON_REJECT_DUPLICATES, &where);
    if (!s->header)
        return err_set(err, "the header is not valid JSON at byte %d: %s", where.position,
                       where.text);
    if (!json_is_object(s->header))
        return err_set(err, "the header is not a JSON object");
    *data_begin = LENGTH_BYTES + length;
    return 0;
}

static int read_dtype(STensor *t, const json_t *entry, Err *err)
{
    const char *name = json_string_value(json_object_get(entry, "dtype"));
    if (!name)
        return err_set(err, NAME " has no dtype name", t->name);
    for (size_t i = 0; i <= ST_BOOL; i++)
        if (strcmp(name, dtypes[i].name) == 0) {
            t->dtype = (StDtype)i;
            return 0;
        }
    return err_set(err, NAME " has the unknown dtype '%.40s'", t->name, name);
}

/* Reads the list of at most max non-negative integers under `key`. */
static int read_sizes(const STensor *t, const json_t *entry, const char *key, size_t *sizes,
                      size_t max, size_t *count, Err *err)
{
    const json_t *list = json_object_get(entry, key);
    if (!json_is_array(list))
        return err_set(err, NAME " has no list '%s'", t->name, key);
    *count = json_array_size(list);
    if (*count > max)
        return err_set(err, NAME " has %zu numbers in %s where at most %zu are known", t->name,
                       *count, key, max);
    for (size_t i = 0; i < *count; i++) {
        const json_t *value = json_array_get(list, i);
        if (!json_is_integer(value) || json_integer_value(value) < 0)
            return err_set(err, NAME ": %s[%zu] is not a non-negative integer", t->name, key, i);
        sizes[i] = (size_t)json_integer_value(value);
    }
    return 0;
}

static int read_tensor(const SafeTensors *s, size_t data_begin, STensor *t, const json_t *entry,
                       Err *err)
{
    size_t offsets[2], count, data_bytes = s->map_bytes - data_begin, shape_needs;
    if (!json_is_object(entry))
        return err_set(err, NAME " is not described by a JSON object", t->name);
    if (read_dtype(t, entry, err) != 0 ||
        read_sizes(t, entry, "shape", t->shape, ST_MAX_DIMS, &t->ndim, err) != 0 ||
        read_sizes(t, entry, "data_offsets", offsets, 2, &count, err) != 0)
        return -1;
    if (count != 2)
        return err_set(err, NAME " needs two data_offsets", t->name);
    if (offsets[0] > offsets[1])
        return err_set(err, NAME " ends at %zu, before its beginning at %zu", t->name, offsets[1],
                       offsets[0]);
    if (offsets[1] > data_bytes)
        return err_set(err, NAME " ends at byte %zu of the data, which has only %zu", t->name,
                       offsets[1], data_bytes);
    t->data = s->map + data_begin + offsets[0];
    t->bytes = offsets[1] - offsets[0];
    if (shape_bytes(t->dtype, t->ndim, t->shape, &shape_needs) != 0)
        return err_set(err, NAME ": the product of its shape is too large", t->name);
    if (shape_needs != t->bytes)
        return err_set(err, NAME " occupies %zu bytes, but its shape and dtype %s need %zu",
                       t->name, t->bytes, st_dtype_name(t->dtype), shape_needs);
    return 0;
}

static int check_metadata(json_t *metadata, Err *err)
{
    if (json_is_null(metadata))
        return 0;
    if (!json_is_object(metadata))
        return err_set(err, "__metadata__ is not a JSON object");
    for (void *it = json_object_iter(metadata); it; it = json_object_iter_next(metadata, it))
        if (!json_is_string(json_object_iter_value(it)))
            return err_set(err, "__metadata__: '%.200s' is not a string", json_object_iter_key(it));
    return 0;
}

/* Empty tensors sort before the one that begins at the same byte. */
static int compare_places(const void *a, const void *b)
{
    const STensor *x = a, *y = b;
    if (x->data != y->data)
        return x->data < y->data ? -1 : 1;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? -1 : 1;
    return strcmp(x->name, y->name);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp((*(const STensor *const *)a)->name, (*(const STensor *const *)b)->name);
}

/* With the tensors sorted by place, each must begin where the one before ended. */
static int check_coverage(const SafeTensors *s, size_t data_begin, Err *err)
{
    const char *end = s->map + data_begin;
    for (size_t i = 0; i < s->count; i++) {
        const STensor *t = &s->tensors[i];
        if ((const char *)t->data < end)
            return err_set(err, NAME " overlaps " NAME, t->name, s->tensors[i - 1].name);
        if ((const char *)t->data > end)
            return err_set(err, "%zu unused bytes before " NAME,
                           (size_t)((const char *)t->data - end), t->name);
        end += t->bytes;
    }
    size_t rest = (size_t)(s->map + s->map_bytes - end);
    return rest ? err_set(err, "%zu unused bytes after the last tensor", rest) : 0;
}

/* Room for so many tensors. */
static void make_room(SafeTensors *s, size_t most)
{
    s->tensors = xcalloc(most + 1, sizeof *s->tensors);
    s->by_name = xcalloc(most + 1, sizeof *s->by_name);
}

static void sort_names(SafeTensors *s)
{
    for (size_t i = 0; i < s->count; i++)
        s->by_name[i] = &s->tensors[i];
    qsort(s->by_name, s->count, sizeof *s->by_name, compare_names);
}

static int read_tensors(SafeTensors *s, size_t data_begin, Err *err)
{
    make_room(s, json_object_size(s->header));
    for (void *it = json_object_iter(s->header); it; it = json_object_iter_next(s->header, it)) {
        const char *name = json_object_iter_key(it);
        json_t *entry = json_object_iter_value(it);
        if (strcmp(name, "__metadata__") == 0) {
            if (check_metadata(entry, err) != 0)
                return -1;
            continue;
        }
        STensor *t = &s->tensors[s->count++];
        t->name = name;
        if (read_tensor(s, data_begin, t, entry, err) != 0)
            return -1;
    }
    qsort(s->tensors, s->count, sizeof *s->tensors, compare_places);
    sort_names(s);
    return check_coverage(s, data_begin, err);
}

SafeTensors *safetensors_open(const char *path, Err *err)
{
    SafeTensors *s = xcalloc(1, sizeof *s);
    size_t data_begin;
    if (map_file(s, path, err) != 0)
        goto fail;
    if (read_header(s, &data_begin, err) != 0 || read_tensors(s, data_begin, err) != 0) {
        err_prefix(err, "'%s'", path);
        goto fail;
    }
    return s;
fail:
    safetensors_free(s);
    return NULL;
}

SafeTensors *safetensors_over(const STensor *tensors, size_t n, void *owner,
                              void (*release)(void *))
{
    SafeTensors *s = xcalloc(1, sizeof *s);
    s->owner = owner;
    s->release = release;
    make_room(s, n);
    for (; s->count < n; s->count++)
        s->tensors[s->count] = tensors[s->count];
    sort_names(s);
    for (size_t i = 1; i < n; i++)
        CHECK(compare_names(&s->by_name[i - 1], &s->by_name[i]) < 0, "two tensors '%s'",
              s->by_name[i]->name);
    return s;
}

/* `files` ends with NULL. */
static void free_files(void *files)
{
    for (SafeTensors **each = files; *each; each++)
        safetensors_free(*each);
    free(files);
}

SafeTensors *safetensors_join(SafeTensors **files, size_t n)
{
    SafeTensors **owned = xcalloc(n + 1, sizeof *owned);
    STensor *all = NULL;
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        owned[i] = files[i];
        all = xrealloc(all, (count + files[i]->count + 1) * sizeof *all);
        for (size_t k = 0; k < files[i]->count; k++)
            all[count++] = files[i]->tensors[k];
    }
    SafeTensors *s = safetensors_over(all, count, owned, free_files);
    free(all);
    return s;
}

void safetensors_free(SafeTensors *s)
{
    if (!s)
        return;
    if (s->release)
        s->release(s->owner);
    if (s->map)
        munmap((void *)s->map, s->map_bytes);
    json_decref(s->header);
    free(s->tensors);
    free(s->by_name);
    free(s);
}

size_t safetensors_count(const SafeTensors *s)
{
    return s->count;
}

const STensor *safetensors_at(const SafeTensors *s, size_t i)
{
    CHECK(i < s->count, "tensor %zu of %zu", i, s->count);
    return &s->tensors[i];
}

const STensor *safetensors_find(const SafeTensors *s, const char *name)
{
    STensor wanted = {.name = name};
    const STensor *key = &wanted, **found;
    found = bsearch(&key, s->by_name, s->count, sizeof *s->by_name, compare_names);
    return found ? *found : NULL;
}

const char *safetensors_metadata(const SafeTensors *s, const char *key)
{
    return json_string_value(json_object_get(json_object_get(s->header, "__metadata__"), key));
}
