/* state: see state.h. */
#include "bench/train/state.h"
#include "bench/util/owned.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "autograd/kernels/kernels.h"
#include "model/files/checkpoint.h"
#include "model/files/model_dir.h"

static const char state_name[] = "training.safetensors", curve_name[] = "loss.csv";

static char *path_in(const char *dir, const char *name)
{
    return xasprintf("%s/%s", dir, name);
}

/* ---- saving ---- */

void train_arithmetic(char text[ARITHMETIC_SIZE])
{
    snprintf(text, ARITHMETIC_SIZE, "%s, gemm %s", kernels()->isa, gemm_backend());
}

/* The flat blocks under their names; `blocks` has room for three. */
static void list_blocks(const Params *p, STensor blocks[3])
{
    const char *const names[] = {"weights", "moment1", "moment2"};
    const float *const data[] = {p->weights, p->moment1, p->moment2};
    for (int i = 0; i < 3; i++)
        blocks[i] = stensor_make(names[i], ST_F32, 1, &p->block_floats, data[i]);
}

int train_state_save(const char *dir, const Bucketed *m, const TrainState *s, const char *identity,
                     Err *err)
{
    STensor blocks[3];
    list_blocks(&m->params, blocks);
    char updates[32], smoothed[48], arithmetic[ARITHMETIC_SIZE];
    snprintf(updates, sizeof updates, "%" PRIu64, s->updates);
    snprintf(smoothed, sizeof smoothed, "%a", s->smoothed_loss);
    train_arithmetic(arithmetic);
    const char *const metadata[] = {"updates", updates,      "smoothed_loss", smoothed, "config",
                                    identity,  "arithmetic", arithmetic,      NULL};
    OWNED char *path = path_in(dir, state_name);
    return safetensors_write(path, blocks, COUNT_OF(blocks), metadata, err);
}

int train_model_save(const char *dir, const Bucketed *m, Err *err)
{
    static const char *const metadata[] = {"format", "pt", NULL};
    OWNED_BY(tensor_list_release) TensorList tensors = {0};
    checkpoint_export(&m->config, true, &m->params, m->params.weights, "", &tensors);
    OWNED char *path = path_in(dir, "model.safetensors");
    return safetensors_write(path, tensors.at, tensors.count, metadata, err);
}

/* ---- loading ---- */

bool train_state_exists(const char *dir)
{
    OWNED char *path = path_in(dir, state_name);
    return access(path, F_OK) == 0;
}

int train_state_remove(const char *dir, Err *err)
{
    OWNED char *path = path_in(dir, state_name);
    if (unlink(path) != 0 && errno != ENOENT)
        return err_set(err, "cannot remove '%s': %s", path, strerror(errno));
    return 0;
}

/* Of lines of key=value; NULL = none has this key. */
static char *value_of(const char *lines, const char *key)
{
    size_t len = strlen(key);
    for (; *lines; lines += strcspn(lines, "\n"), lines += *lines == '\n')
        if (strncmp(lines, key, len) == 0 && lines[len] == '=') {
            const char *value = lines + len + 1;
            return xasprintf("%.*s", (int)strcspn(value, "\n"), value);
        }
    return NULL;
}

int train_state_value(const char *dir, const char *key, char **value, Err *err)
{
    *value = NULL;
    if (!train_state_exists(dir))
        return 0;
    OWNED char *path = path_in(dir, state_name);
    SafeTensors *file = safetensors_open(path, err);
    int status = file ? 0 : -1;
    const char *identity = file ? safetensors_metadata(file, "config") : NULL;
    if (identity)
        *value = value_of(identity, key);
    safetensors_free(file);
    return status;
}

/* Both are lines of key=value. */
static int same_identity(const char *saved, const char *now, Err *err)
{
    while (*saved && *now) {
        size_t n = strcspn(saved, "\n"), m = strcspn(now, "\n");
        if (n != m || strncmp(saved, now, n) != 0)
            return err_set(err, "this training began with %.*s, and the config now says %.*s",
                           (int)n, saved, (int)m, now);
        saved += n + (saved[n] == '\n');
        now += m + (now[m] == '\n');
    }
    return strcmp(saved, now) == 0 ? 0 : err_set(err, "this training began with another config");
}

static int read_metadata(const SafeTensors *file, TrainState *s, const char *identity, Err *err)
{
    const char *updates = safetensors_metadata(file, "updates");
    const char *smoothed = safetensors_metadata(file, "smoothed_loss");
    const char *saved = safetensors_metadata(file, "config");
    const char *arithmetic = safetensors_metadata(file, "arithmetic");
    char *end_of_updates, *end_of_loss;
    if (!updates || !smoothed || !saved)
        return err_set(err, "this is not the state of a training");
    errno = 0;
    *s = (TrainState){.updates = strtoull(updates, &end_of_updates, 10),
                      .smoothed_loss = strtod(smoothed, &end_of_loss)};
    if (arithmetic)
        snprintf(s->arithmetic, sizeof s->arithmetic, "%s", arithmetic);
    bool counted = isdigit((unsigned char)*updates) && !*end_of_updates && errno == 0;
    if (!counted || !*smoothed || *end_of_loss || !isfinite(s->smoothed_loss))
        return err_set(err, "its progress cannot be read");
    return same_identity(saved, identity, err);
}

static int read_blocks(const SafeTensors *file, const Params *p, Err *err)
{
    STensor blocks[3];
    list_blocks(p, blocks);
    for (size_t i = 0; i < COUNT_OF(blocks); i++) {
        const STensor *t = safetensors_find(file, blocks[i].name);
        if (!t || t->dtype != ST_F32 || stensor_count(t) != p->block_floats)
            return err_set(err, "'%s' is missing or of another model", blocks[i].name);
        memcpy((void *)blocks[i].data, t->data, t->bytes);
    }
    return 0;
}

int train_state_load(const char *dir, Bucketed *m, TrainState *s, const char *identity, Err *err)
{
    OWNED char *path = path_in(dir, state_name);
    SafeTensors *file = safetensors_open(path, err);
    int status = -1;
    if (file) {
        status = read_metadata(file, s, identity, err);
        if (status == 0)
            status = read_blocks(file, &m->params, err);
        if (status != 0)
            err_prefix(err, "cannot resume from '%s'", path);
    }
    safetensors_free(file);
    if (status != 0)
        return -1;
    m->params.step = s->updates;
    params_touched(&m->params);
    return 0;
}

/* ---- the loss curve ---- */

#define REAL_COLUMN(name) FIELD(LossRow, REAL, #name, name, .digits = 9)
static const Field columns[] = {
    FIELD(LossRow, INT, "step", step),
    REAL_COLUMN(epoch),
    REAL_COLUMN(loss),
    REAL_COLUMN(grad_norm),
    REAL_COLUMN(learning_rate),
    REAL_COLUMN(development_loss),
    REAL_COLUMN(development_accuracy),
};
static const Schema loss_schema = {"a line of the loss curve", columns, COUNT_OF(columns),
                                   sizeof(LossRow)};

/* The length of the first `lines` lines of text. */
static size_t first_lines(const char *text, size_t len, uint64_t lines)
{
    size_t at = 0;
    for (; lines > 0 && at < len; lines--) {
        const char *newline = memchr(text + at, '\n', len - at);
        if (!newline)
            break;
        at = (size_t)(newline - text) + 1;
    }
    return at;
}

/* Cuts the file to its header and first `updates` rows; without any, nothing remains. */
static int cut_curve(const char *path, uint64_t updates, Err *err)
{
    size_t len = 0;
    if (updates == 0 || access(path, F_OK) != 0)
        return file_write(path, "", 0, err);
    OWNED char *text = file_read(path, (size_t)1 << 30, &len, err);
    return text ? file_write(path, text, first_lines(text, len, updates + 1), err) : -1;
}

int loss_curve_open(LossCurve *c, const char *dir, uint64_t updates, Err *err)
{
    *c = (LossCurve){.path = path_in(dir, curve_name)};
    if (cut_curve(c->path, updates, err) != 0)
        return -1;
    c->file = fopen(c->path, "ab");
    if (!c->file)
        return err_set(err, "cannot open '%s': %s", c->path, strerror(errno));
    if (fseek(c->file, 0, SEEK_END) == 0 && ftell(c->file) == 0)
        schema_write_header(&loss_schema, c->file);
    return 0;
}

int loss_curve_add(LossCurve *c, const LossRow *row, Err *err)
{
    schema_write_record(&loss_schema, row, c->file);
    if (fflush(c->file) != 0 || ferror(c->file))
        return err_set(err, "cannot write '%s': %s", c->path, strerror(errno));
    return 0;
}

void loss_curve_close(LossCurve *c)
{
    if (c->file)
        fclose(c->file);
    free(c->path);
    *c = (LossCurve){0};
}
