/* checkpoint: see checkpoint.h. */
#include "model/files/checkpoint.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/families/family.h"
#include "model/files/checkpoint_names.h"
#include "model/files/checkpoint_rows.h"
#include "model/files/config_json.h"
#include "model/files/weights.h"

/* Rows of part `i`. */
static size_t part_rows(const ParamSpec *spec, size_t parts, size_t i)
{
    return spec->parts[0] ? spec->parts[i] : spec->rows / parts;
}

/* ---- opening ---- */

static bool any_starts_with(const SafeTensors *file, const char *start)
{
    for (size_t i = 0; i < safetensors_count(file); i++)
        if (starts_with(safetensors_at(file, i)->name, start))
            return true;
    return false;
}

/* Refuses a file with less than half of the weights: config.json is another model's and may claim
 * millions of layers. A single missing tensor is found when it is looked for. */
static int check_count(const Checkpoint *ck, Err *err)
{
    size_t found = 0, wanted = model_num_params(&ck->config);
    for (size_t i = 0; i < safetensors_count(ck->file); i++)
        found += stensor_count(safetensors_at(ck->file, i));
    return found >= wanted / 2 ? 0
                               : err_set(err, "'%s' has %zu weights, its config.json makes it %zu",
                                         ck->path, found, wanted);
}

/* A classifier in the file decides where the config names no architecture. */
static int settle_head(Checkpoint *ck, Err *err)
{
    ModelConfig *c = &ck->config;
    const STensor *labels = find_part(ck, "classifier.weight", 0);
    if (!c->head_open || !labels)
        return 0;
    c->head = HEAD_CLASSIFIER;
    c->num_labels = labels->ndim == 2 ? labels->shape[0] : 0;
    return model_config_check(c, err) == 0 ? 0 : err_prefix(err, "%s: classifier.weight", ck->path);
}

static bool same_tensor(const STensor *a, const STensor *b)
{
    return a == b || (a && b && a->dtype == b->dtype && a->bytes == b->bytes &&
                      (a->bytes == 0 || memcmp(a->data, b->data, a->bytes) == 0));
}

/* A head in the file that differs from the table is one of its own, whatever the config says. */
static void settle_tie(Checkpoint *ck)
{
    ModelConfig *c = &ck->config;
    if (c->head != HEAD_LM || !c->tied_head)
        return;
    const STensor *head = find_part(ck, c->family->lm_head, 0);
    const STensor *table = find_part(ck, c->family->table, 0);
    if (head && table)
        c->tied_head =
            same_tensor(head, table) && same_tensor(find_scale(ck, head), find_scale(ck, table));
}

static int open_weights(Checkpoint *ck, const char *model_dir, Err *err)
{
    ck->path = weights_find(model_dir);
    if (!ck->path)
        return weights_missing(model_dir, err);
    ck->file = weights_open(ck->path, err);
    return ck->file ? 0 : -1;
}

int checkpoint_open(Checkpoint *ck, const char *model_dir, Err *err)
{
    *ck = (Checkpoint){0};
    if (model_config_load(model_dir, &ck->config, err) != 0)
        return -1;
    if (open_weights(ck, model_dir, err) != 0) {
        checkpoint_release(ck);
        return -1;
    }
    ck->prefixed = any_starts_with(ck->file, ck->config.family->prefix);
    settle_tie(ck);
    if (settle_head(ck, err) != 0 || check_count(ck, err) != 0) {
        checkpoint_release(ck);
        return -1;
    }
    return 0;
}

void checkpoint_release(Checkpoint *ck)
{
    safetensors_free(ck->file);
    free(ck->path);
    free(ck->unused);
    *ck = (Checkpoint){0};
}

void unused_print(const char *unused)
{
    if (unused)
        print_clean(stderr, "tare: not used: %s", unused);
}

/* ---- loading ---- */

static int load_levels(Params *p, size_t k, const Source *sources, ParamRows r, Err *err)
{
    size_t n = r.to - r.from;
    int8_t *levels = xmalloc(n * p->list[k]->spec.cols);
    float *scale = xmalloc(n * sizeof *scale);
    int status = sources_read_levels(sources, r.from, r.to, levels, scale, err);
    r.levels = levels;
    r.scale = scale;
    if (status == 0)
        params_store(p, k, r, 1);
    free(levels);
    free(scale);
    return status;
}

static int load_groups(Params *p, size_t k, const Source *sources, ParamRows r)
{
    const Tensor *t = &p->list[k]->tensor;
    char *groups = xmalloc((r.to - r.from) * dtype_bytes(t->dtype, tensor_channels(t)));
    sources_read_blocks(sources, r.from, r.to, groups);
    r.groups = groups;
    params_store(p, k, r, 1);
    free(groups);
    return 0;
}

static int load_values(Params *p, size_t k, const Source *sources, ParamRows r, Err *err)
{
    size_t cols = p->list[k]->spec.cols;
    float *values = xmalloc((r.to - r.from) * (cols ? cols : 1) * sizeof *values);
    int status = sources_read_values(sources, r.from, r.to, values, err);
    r.values = values;
    if (status == 0)
        params_store(p, k, r, 1);
    free(values);
    return status;
}

/* What a matrix of the format is in a file that need not be converted; else ST_F32. */
static StDtype stored_as(DType format)
{
    return format == DT_I8     ? ST_I8
           : format == DT_Q8_0 ? ST_Q8_0
           : format == DT_Q4_0 ? ST_Q4_0
                               : ST_F32;
}

static int load_rows(Params *p, size_t k, const Source *sources, StDtype stored, ParamRows rows,
                     Err *err)
{
    return stored == ST_I8        ? load_levels(p, k, sources, rows, err)
           : st_is_blocks(stored) ? load_groups(p, k, sources, rows)
                                  : load_values(p, k, sources, rows, err);
}

/* Slice by slice, so that the file itself is the only other copy, and a slice stays in a core's
 * cache from the file to its place. */
static int load_param(Params *p, size_t k, const Source *sources, size_t parts, Err *err)
{
    const Param *q = p->list[k];
    StDtype own = stored_as(q->tensor.dtype);
    for (size_t i = 0; i < parts; i++)
        if (sources[i].weight.dtype != own)
            own = ST_F32;
    size_t slice = params_slice_rows(p, k), last = q->spec.rows;
    int status = 0;
#pragma omp parallel for schedule(static) if (slice < last)
    for (size_t from = 0; from < last; from += slice) {
        Err slice_err = {0};
        ParamRows rows = {.from = from, .to = from + slice < last ? from + slice : last};
        if (load_rows(p, k, sources, own, rows, &slice_err) != 0)
#pragma omp critical(load_param)
        {
            status = -1;
            *err = slice_err;
        }
    }
    return status;
}

static void mark_used(const Checkpoint *ck, const STensor *s, bool *used)
{
    if (s && used)
        used[s - safetensors_at(ck->file, 0)] = true;
}

/* Whether the file may lack the tensor: its layer is missing whole, of a head that is to be
 * trained. */
static bool may_be_fresh(const Checkpoint *ck, const char *name)
{
    char *layer = xasprintf("%.*s", (int)(strrchr(name, '.') + 1 - name), name);
    bool fresh = ck->fresh_head && name_belongs_to_head(ck->config.family, name) &&
                 !any_starts_with(ck->file, layer);
    free(layer);
    return fresh;
}

/* Finds part `i` of q; source->weight has no name where the file may lack it and does. A tied head
 * stands in for a table that the file lacks. */
static int find_source(const Checkpoint *ck, const Param *q, size_t i, size_t rows, Source *source,
                       bool *used, Err *err)
{
    const ModelConfig *c = &ck->config;
    const STensor *t = find_part(ck, q->name, i);
    if (!t && c->head == HEAD_LM && c->tied_head && strcmp(q->name, c->family->table) == 0)
        t = find_part(ck, c->family->lm_head, 0);
    *source = source_make(&q->spec, rows, t, find_scale(ck, t));
    mark_used(ck, t, used);
    mark_used(ck, source->scale, used);
    if (t)
        return source_check(source, err);
    char *name = name_of_part(c->family, ck->prefixed, q->name, i);
    int status = may_be_fresh(ck, name) ? 0 : err_set(err, "tensor '%s' is missing", name);
    free(name);
    return status;
}

/* Finds all parts of q; sources[0].weight has no name where the file may lack them and does. */
static int find_sources(const Checkpoint *ck, const Param *q, Source *sources, bool *used, Err *err)
{
    size_t parts = name_parts(q->name);
    CHECK(parts <= MAX_PARTS, "'%s' has %zu parts", q->name, parts);
    for (size_t i = 0; i < parts; i++)
        if (find_source(ck, q, i, part_rows(&q->spec, parts, i), &sources[i], used, err) != 0)
            return -1;
    return 0;
}

/* Whether the family knows the tensor as one that need not be read: a buffer, another head. */
static bool known_unused(const Family *f, const char *name)
{
    if (starts_with(name, f->prefix))
        name += strlen(f->prefix);
    for (const char *const *pattern = f->unused; *pattern; pattern++)
        if (fnmatch(*pattern, name, 0) == 0)
            return true;
    return false;
}

__attribute__((format(printf, 2, 3))) static void name_another(char **list, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *more = xvasprintf(fmt, ap), *longer = xasprintf("%s%s", *list ? *list : "", more);
    va_end(ap);
    free(more);
    free(*list);
    *list = longer;
}

static int account_for_rest(Checkpoint *ck, const bool *used, Err *err)
{
    free(ck->unused);
    ck->unused = NULL;
    const size_t most_named = 20;
    size_t count = 0;
    for (size_t i = 0; i < safetensors_count(ck->file); i++) {
        const char *name = safetensors_at(ck->file, i)->name;
        if (used[i])
            continue;
        if (!known_unused(ck->config.family, name))
            return err_set(err, "unknown tensor '%s'", name);
        if (count++ < most_named)
            name_another(&ck->unused, "%s%s", ck->unused ? ", " : "", name);
    }
    if (count > most_named)
        name_another(&ck->unused, " and %zu more", count - most_named);
    return 0;
}

/* Accounts for everything in the file. */
static int check_tensors(Checkpoint *ck, const Params *p, Err *err)
{
    bool *used = xcalloc(safetensors_count(ck->file) + 1, sizeof *used);
    Source ignored[MAX_PARTS];
    int status = 0;
    for (size_t i = 0; i < p->count && status == 0; i++)
        status = find_sources(ck, p->list[i], ignored, used, err);
    if (status == 0)
        status = account_for_rest(ck, used, err);
    free(used);
    return status;
}

int checkpoint_check(Checkpoint *ck, Err *err)
{
    Params p;
    model_declare(&p, &ck->config);
    int status = check_tensors(ck, &p, err);
    params_release(&p);
    return status == 0 ? 0 : err_prefix(err, "%s", ck->path);
}

int checkpoint_load(Checkpoint *ck, Params *p, Err *err)
{
    int status = check_tensors(ck, p, err);
    for (size_t i = 0; i < p->count && status == 0; i++) {
        Source sources[MAX_PARTS];
        status = find_sources(ck, p->list[i], sources, NULL, err);
        if (status == 0 && sources[0].weight.name)
            status = load_param(p, i, sources, name_parts(p->list[i]->name), err);
    }
    if (status != 0)
        return err_prefix(err, "%s", ck->path);
    params_touched(p);
    return 0;
}

/* ---- writing ---- */

void tensor_list_release(TensorList *l)
{
    for (size_t i = 0; i < l->count; i++) {
        free((char *)l->at[i].name);
        free(l->owned[i]);
    }
    free(l->at);
    free(l->owned);
    *l = (TensorList){0};
}

/* Takes over name and `owned`, which is freed with the list. */
static void append(TensorList *l, char *name, size_t ndim, const size_t *shape, const float *data,
                   void *owned)
{
    l->at = xgrow(l->at, l->count, sizeof *l->at);
    l->owned = xgrow(l->owned, l->count, sizeof *l->owned);
    l->at[l->count] = stensor_make(name, ST_F32, ndim, shape, data);
    l->owned[l->count++] = owned;
}

void tensor_list_add(TensorList *l, const char *name, size_t ndim, const size_t *shape,
                     const float *data)
{
    append(l, xstrdup(name), ndim, shape, data, NULL);
}

void tensor_list_take(TensorList *l, const char *name, size_t ndim, const size_t *shape,
                      float *data)
{
    append(l, xstrdup(name), ndim, shape, data, data);
}

static void transpose(const float *from, size_t rows, size_t cols, float *to)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < cols; j++)
            to[j * rows + i] = from[i * cols + j];
}

static void export_part(const Param *q, char *name, size_t rows, const float *data, TensorList *out)
{
    size_t cols = q->spec.cols;
    if (!q->spec.transposed) {
        append(out, name, cols ? 2 : 1, (size_t[]){rows, cols}, data, NULL);
        return;
    }
    float *stored = xmalloc(rows * cols * sizeof *stored);
    transpose(data, rows, cols, stored);
    append(out, name, 2, (size_t[]){cols, rows}, stored, stored);
}

void checkpoint_export(const ModelConfig *c, bool prefixed, const Params *p, const float *block,
                       const char *before, TensorList *out)
{
    for (size_t k = 0; k < p->count; k++) {
        const Param *q = p->list[k];
        const float *data = block + q->offset;
        size_t parts = name_parts(q->name), width = q->spec.cols ? q->spec.cols : 1;
        for (size_t i = 0; i < parts; i++) {
            size_t rows = part_rows(&q->spec, parts, i);
            char *base = name_of_part(c->family, prefixed, q->name, i);
            export_part(q, xasprintf("%s%s", before, base), rows, data, out);
            data += rows * width;
            free(base);
        }
    }
}
