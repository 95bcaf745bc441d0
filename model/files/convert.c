/* convert: see convert.h. */
#include "model/files/convert.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/families/family.h"
#include "model/files/model_dir.h"
#include "model/files/paths.h"
#include "model/precision.h"

/* What a format is called in a safetensors file and in config.json, and its largest number. */
static const struct {
    StDtype stored;
    const char *name, *dtype;
    float largest;
} formats[] = {
    [DT_F32] = {ST_F32, "fp32", "float32", 0x1.fffffep127f},
    [DT_BF16] = {ST_BF16, "bf16", "bfloat16", 0x1.fep127f},
    [DT_F16] = {ST_F16, "fp16", "float16", 65504},
    [DT_I8] = {ST_I8, "int8", "int8", 0x1.fffffep127f},
    [DT_Q8_0] = {ST_U8, "q8_0", "q8_0", 65504.0f * 127},
    [DT_Q4_0] = {ST_U8, "q4_0", "q4_0", 65504.0f * 8},
};

/* Outputs and inputs of a matrix whose tensor has its outputs as columns where `transposed`, unless
 * it is of blocks. */
static void measure_matrix(const STensor *t, bool transposed, size_t *outputs, size_t *inputs)
{
    bool by_columns = transposed && !st_is_blocks(t->dtype);
    *outputs = t->shape[by_columns ? 1 : 0];
    *inputs = t->shape[by_columns ? 0 : 1];
}

static StDtype dtype_after(const STensor *t, bool transposed, DType format)
{
    size_t outputs, inputs = 0;
    if (!st_is_float(t->dtype))
        return t->dtype;
    if (t->ndim == 2)
        measure_matrix(t, transposed, &outputs, &inputs);
    bool grouped = dtype_is_grouped(format) && inputs % QUANT_GROUP != 0;
    return (format == DT_I8 || dtype_is_grouped(format)) && (t->ndim != 2 || grouped)
               ? ST_F32
               : formats[format].stored;
}

/* ---- tensors ---- */

/* The tensors of the new file; owns their data and the names it made. */
typedef struct Converted {
    STensor *at;
    void **owned;
    size_t count;
} Converted;

static void converted_release(Converted *c)
{
    for (size_t i = 0; i < c->count; i++)
        free(c->owned[i]);
    free(c->at);
    free(c->owned);
}

static void add(Converted *c, STensor t, void *owned)
{
    c->at[c->count] = t;
    c->owned[c->count++] = owned;
}

/* Whether checkpoints of this family keep the tensor as [in, out]. */
static bool is_transposed(const Params *p, const char *name)
{
    for (size_t k = 0; k < p->count; k++) {
        const Param *q = p->list[k];
        size_t n = strlen(name), m = strlen(q->name);
        if (q->spec.transposed && n >= m && strcmp(name + n - m, q->name) == 0 &&
            (n == m || name[n - m - 1] == '.'))
            return true;
    }
    return false;
}

size_t converted_bytes(const Checkpoint *ck, DType format)
{
    Params p;
    size_t bytes = 0;
    model_declare(&p, &ck->config);
    for (size_t i = 0; i < safetensors_count(ck->file); i++) {
        const STensor *t = safetensors_at(ck->file, i);
        bool transposed = is_transposed(&p, t->name), converted = st_is_float(t->dtype);
        StDtype after = dtype_after(t, transposed, format);
        size_t outputs = 0, inputs = 0;
        if (t->ndim == 2)
            measure_matrix(t, transposed, &outputs, &inputs);
        bytes += converted && after == ST_U8 ? outputs * dtype_bytes(format, inputs)
                                             : stensor_count(t) * st_dtype_size(after);
        if (after == ST_I8 && converted)
            bytes += outputs * sizeof(float);
    }
    params_release(&p);
    return bytes;
}

static int check_values(const STensor *t, const float *x, DType format, Err *err)
{
    for (size_t i = 0; i < stensor_count(t); i++) {
        if (!isfinite(x[i]))
            return err_set(err, "tensor '%.200s' has a weight that is not finite, element %zu",
                           t->name, i);
        if (fabsf(x[i]) > formats[format].largest)
            return err_set(
                err, "tensor '%.200s' has a weight of %.9g, element %zu; %s ends at %.9g", t->name,
                (double)x[i], i, formats[format].name, (double)formats[format].largest);
    }
    return 0;
}

static void narrow_tensor(Converted *c, const STensor *t, const float *x, DType format)
{
    uint16_t *small = xmalloc(stensor_count(t) * sizeof *small + 1);
    kernels()->narrow(format, x, small, stensor_count(t));
    add(c, stensor_make(t->name, formats[format].stored, t->ndim, t->shape, small), small);
}

/* Levels of one output; returns its scale. */
static float quantize(const float *x, int8_t *levels, size_t n)
{
    float scale = kernels()->quantize_scale(x, n);
    kernels()->quantize(x, scale, levels, n);
    return scale;
}

/* Levels and scales of a matrix whose outputs are its rows. */
static void quantize_rows(const float *x, size_t rows, size_t cols, int8_t *levels, float *scale)
{
    for (size_t i = 0; i < rows; i++)
        scale[i] = quantize(x + i * cols, levels + i * cols, cols);
}

/* Levels and scales of a matrix whose outputs are its columns. */
static void quantize_columns(const float *x, size_t rows, size_t cols, int8_t *levels, float *scale)
{
    float *column = xmalloc(rows * sizeof *column + 1);
    int8_t *level = xmalloc(rows + 1);
    for (size_t j = 0; j < cols; j++) {
        for (size_t i = 0; i < rows; i++)
            column[i] = x[i * cols + j];
        scale[j] = quantize(column, level, rows);
        for (size_t i = 0; i < rows; i++)
            levels[i * cols + j] = level[i];
    }
    free(column);
    free(level);
}

static void quantize_tensor(Converted *c, const STensor *t, const float *x, bool transposed)
{
    size_t rows = t->shape[0], cols = t->shape[1], outputs = transposed ? cols : rows;
    int8_t *levels = xmalloc(rows * cols + 1);
    char *name = xasprintf("%s%s", t->name, SCALE_SUFFIX);
    size_t name_bytes = strlen(name) + 1, scale_bytes = outputs * sizeof(float);
    char *scales = xmalloc(scale_bytes + name_bytes); /* and behind them their name */
    (transposed ? quantize_columns : quantize_rows)(x, rows, cols, levels, (float *)scales);
    add(c, stensor_make(t->name, ST_I8, 2, t->shape, levels), levels);
    add(c,
        stensor_make(memcpy(scales + scale_bytes, name, name_bytes), ST_F32, 1, &outputs, scales),
        scales);
    free(name);
}

/* The groups of a matrix; blocks of the format are taken as they are. */
static void group_tensor(Converted *c, const STensor *t, const float *x, bool transposed,
                         DType format)
{
    size_t outputs, inputs;
    measure_matrix(t, transposed, &outputs, &inputs);
    size_t bytes = dtype_bytes(format, inputs), shape[2] = {outputs, bytes};
    if (t->dtype == (format == DT_Q8_0 ? ST_Q8_0 : ST_Q4_0)) {
        add(c, stensor_make(t->name, ST_U8, 2, shape, t->data), NULL);
        return;
    }
    char *groups = xmalloc(outputs * bytes + 1);
    float *row = xmalloc(inputs * sizeof *row + 1);
    bool by_columns = transposed && !st_is_blocks(t->dtype);
    for (size_t i = 0; i < outputs; i++) {
        for (size_t j = 0; j < inputs && by_columns; j++)
            row[j] = x[j * outputs + i];
        kernels()->narrow(format, by_columns ? row : x + i * inputs, groups + i * bytes, inputs);
    }
    free(row);
    add(c, stensor_make(t->name, ST_U8, 2, shape, groups), groups);
}

/* Gives blocks of a matrix that fp32 has the other way, [outputs, inputs], the shape of fp32. */
static STensor as_stored(const STensor *t, float **x)
{
    size_t rows = t->shape[0], cols = t->shape[1];
    float *y = xmalloc(rows * cols * sizeof *y + 1);
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < cols; j++)
            y[j * rows + i] = (*x)[i * cols + j];
    free(*x);
    *x = y;
    return stensor_make(t->name, ST_F32, 2, (size_t[]){cols, rows}, y);
}

static int convert_tensor(Converted *c, const STensor *given, const Params *p, DType format,
                          Err *err)
{
    const STensor *t = given;
    if (!st_is_float(t->dtype)) {
        add(c, *t, NULL);
        return 0;
    }
    float *x = xmalloc(stensor_count(t) * sizeof *x + 1);
    if (safetensors_to_f32(t, x, err) != 0 || check_values(t, x, format, err) != 0) {
        free(x);
        return -1;
    }
    bool transposed = t->ndim == 2 && is_transposed(p, t->name);
    StDtype after = dtype_after(t, transposed, format);
    STensor turned;
    if (transposed && st_is_blocks(t->dtype) && after != ST_U8) {
        turned = as_stored(t, &x);
        t = &turned;
    }
    if (after == ST_F32) {
        add(c, stensor_make(t->name, ST_F32, t->ndim, t->shape, x), x);
        return 0;
    }
    if (after == ST_I8)
        quantize_tensor(c, t, x, transposed);
    else if (after == ST_U8)
        group_tensor(c, t, x, transposed, format);
    else
        narrow_tensor(c, t, x, format);
    free(x);
    return 0;
}

static int go_on(ConvertStop *stop, Err *err)
{
    return stop && stop() ? err_set(err, "the conversion was stopped") : 0;
}

static int convert_tensors(Converted *c, const Checkpoint *ck, DType format, ConvertStop *stop,
                           Err *err)
{
    Params p;
    size_t n = safetensors_count(ck->file);
    *c = (Converted){.at = xcalloc(2 * n + 1, sizeof *c->at),
                     .owned = xcalloc(2 * n + 1, sizeof *c->owned)};
    model_declare(&p, &ck->config);
    int status = 0;
    for (size_t i = 0; i < n && status == 0; i++) {
        status = go_on(stop, err);
        if (status == 0)
            status = convert_tensor(c, safetensors_at(ck->file, i), &p, format, err);
    }
    params_release(&p);
    return status == 0 ? 0 : err_prefix(err, "'%s'", ck->path);
}

/* ---- files ---- */

static int write_weights(const char *folder, const Converted *c, Err *err)
{
    static const char *const metadata[] = {"format", "pt", NULL};
    char *path = xasprintf("%s/model.safetensors", folder);
    int status = safetensors_write(path, c->at, c->count, metadata, err);
    free(path);
    return status;
}

/* Synchronises the folder, then gives it its name. */
static int publish(int fd, const char *folder, const char *out_dir, Err *err)
{
    return fd >= 0 && fsync(fd) == 0 && rename(folder, out_dir) == 0
               ? 0
               : err_set(err, "cannot write '%s': %s", out_dir, strerror(errno));
}

static int write_folder(const Converted *c, const char *model_dir, const char *out_dir,
                        DType format, ConvertStop *stop, Err *err)
{
    size_t length = strlen(out_dir);
    while (length > 1 && out_dir[length - 1] == '/')
        length--;
    char *bare = xasprintf("%.*s", (int)length, out_dir);
    char *folder = path_temporary(bare, model_dir_files);
    int status = mkdir(folder, 0777), fd = -1;
    if (status == 0)
        temporary_lock(fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (status != 0) {
        path_refuse(bare, err);
    } else if (write_weights(folder, c, err) != 0 ||
               config_write_dtype(model_dir, folder, formats[format].dtype, err) != 0 ||
               tokenizer_copy(model_dir, folder, err) != 0 || go_on(stop, err) != 0 ||
               publish(fd, folder, out_dir, err) != 0) {
        status = -1;
        folder_remove(folder);
    }
    if (fd >= 0)
        close(fd);
    free(bare);
    free(folder);
    return status;
}

/* Refuses scales without their int8 weights too: the conversion would need their names. */
static int refuse_quantised(const Checkpoint *ck, Err *err)
{
    for (size_t i = 0; i < safetensors_count(ck->file); i++) {
        const STensor *t = safetensors_at(ck->file, i);
        size_t n = strlen(t->name), m = strlen(SCALE_SUFFIX);
        if (t->dtype == ST_I8 || (n > m && strcmp(t->name + n - m, SCALE_SUFFIX) == 0))
            return err_set(err, "'%s' is int8 already; convert the model that it came from",
                           ck->path);
        if (t->dtype == ST_U8 && t->ndim == 2)
            return err_set(err, "'%s' is in groups already; convert the model that it came from",
                           ck->path);
    }
    return 0;
}

int model_convert(const char *model_dir, const char *out_dir, DType format, ConvertStop *stop,
                  Err *err)
{
    struct stat there;
    Checkpoint ck;
    if (lstat(out_dir, &there) == 0)
        return err_set(err, "'%s' exists; a conversion makes a new directory", out_dir);
    if (checkpoint_open(&ck, model_dir, err) != 0)
        return -1;
    Converted c = {0};
    int status = refuse_quantised(&ck, err);
    for (int p = 0; p < NUM_PRECISIONS && status == 0; p++)
        if (precision_weights((Precision)p) == format)
            status = precision_takes((Precision)p, &ck.config, err);
    if (status == 0)
        status = checkpoint_check(&ck, err);
    if (status == 0)
        status = convert_tensors(&c, &ck, format, stop, err);
    if (status == 0)
        status = write_folder(&c, model_dir, out_dir, format, stop, err);
    converted_release(&c);
    checkpoint_release(&ck);
    return status;
}
