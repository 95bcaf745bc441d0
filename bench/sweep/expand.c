/* expand: the product of a sweep's axes; see config.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/families/shapes.h"
#include "bench/row/ranked.h"
#include "bench/sweep/config.h"
#include "bench/util/name_index.h"

/* The keys that vary slowest, outermost first; the rest follow in the order of the columns. */
static const char *const outer_keys[] = {"model_size", "model_dir", "context_length", "num_warmups",
                                         "forward_only"};

/* ---- the model of a row ---- */

static int unknown_size(const SweepConfig *s, const char *place, const char *size, Err *err)
{
    const char **known = xmalloc((s->num_models + num_model_shapes) * sizeof *known);
    size_t count = 0;
    for (size_t i = 0; i < s->num_models; i++)
        known[count++] = s->models[i].size;
    for (size_t i = 0; i < num_model_shapes; i++)
        known[count++] = model_shapes[i].name;
    Hint hint;
    did_you_mean(hint, size, known, count);
    free(known);
    return err_set(err, "%s: model_size '%s' is neither built in nor a [[model]]%s", place, size,
                   hint);
}

static const SweepModel *find_model(const SweepConfig *s, const char *size)
{
    for (size_t i = 0; i < s->num_models; i++)
        if (strcmp(s->models[i].size, size) == 0)
            return &s->models[i];
    return NULL;
}

/* Whether the model itself may say what this axis says, which then does not count. */
static bool is_model_default(const Field *f, const Axis *a)
{
    return f->group == FIELD_SHAPE && a->is_default;
}

/* Of a row whose other fields are set. */
static int fill_model(const SweepConfig *s, RowConfig *c, const SweepModel *m, Err *err)
{
    if (m)
        row_config_fill(c, &m->config);
    if (row_config_take_shape(c, err) != 0)
        return -1;
    for (size_t i = 0; i < num_row_fields; i++) {
        const Axis *a = &s->grid.axes[i];
        const Field *f = &row_fields[i];
        if (a->count && is_model_default(f, a) && field_is_missing(f, c))
            CHECK(row_config_set(c, f, a->values[0], err) == 0, "%s", err->msg);
    }
    return 0;
}

static const Axis *axis_of(const SweepConfig *s, const char *name)
{
    return &s->grid.axes[row_field(name) - row_fields];
}

static int set_model(const SweepConfig *s, RowConfig *c, Err *err)
{
    const SweepModel *m = find_model(s, c->model_size);
    const char *says = c->model_dir[0] ? "model_dir" : "model_size";
    const char *place = m ? m->place : axis_of(s, says)->place;
    if (!m && !c->model_dir[0] && !model_shape_find(c->model_size))
        return unknown_size(s, place, c->model_size, err);
    if (fill_model(s, c, m, err) != 0 || row_config_complete(c, err) != 0 ||
        row_config_check(c, err) != 0)
        return err_prefix(err, "%s", place);
    return 0;
}

/* Models that no row has are checked too, with the first value of every list. */
static int check_models(const SweepConfig *s, Err *err)
{
    for (size_t m = 0; m < s->num_models; m++) {
        RowConfig c;
        row_config_init(&c);
        for (size_t i = 0; i < num_row_fields; i++)
            if (s->grid.axes[i].count && row_fields[i].group == FIELD_SHAPE &&
                !s->grid.axes[i].is_default)
                CHECK(row_config_set(&c, &row_fields[i], s->grid.axes[i].values[0], err) == 0, "%s",
                      err->msg);
        text_set(c.model_size, s->models[m].size);
        if (set_model(s, &c, err) != 0)
            return -1;
    }
    return 0;
}

/* ---- the product ---- */

/* Whether the name of the row says it, or the row has no such setting. */
static bool is_in_name(const Field *f, const RowConfig *c)
{
    static const char *const of_task[] = {"task", "n_gen", "depth", "batch_size"};
    bool loss = row_task(c) == TASK_LOSS, warmups = strcmp(f->name, "num_warmups") == 0;
    bool alone = row_ranks(c) == 1 && strcmp(f->name, "parallel") == 0;
    if (field_is_missing(f, c) || strcmp(f->name, "task") == 0 || alone)
        return true;
    for (size_t i = 0; i < COUNT_OF(of_task) && !loss; i++)
        if (strcmp(f->name, of_task[i]) == 0)
            return true;
    for (size_t i = 0; i < COUNT_OF(outer_keys); i++)
        if (strcmp(f->name, outer_keys[i]) == 0)
            return loss || !warmups;
    return false;
}

/* Adds what was swept and is not in the name. */
static void add_suffix(const SweepConfig *s, const GridRows *p, size_t i, SweepRow *row)
{
    for (size_t d = 0; d < p->depth; d++) {
        const Field *f = p->order[d];
        if (s->grid.axes[f - row_fields].count > 1 && !is_in_name(f, &row->config))
            text_extend(row->name, "/%s=%s", f->name, grid_value(p, i, d));
    }
}

/* Lists that a task does not have make the same row again: the first stays. */
static size_t drop_repeats(SweepRow *rows, size_t count)
{
    NameIndex seen = {0};
    size_t kept = 0;
    char(*ids)[ROW_ID_SIZE] = xcalloc(count + 1, sizeof *ids);
    for (size_t i = 0; i < count; i++) {
        row_id(&rows[i].config, ids[i]);
        name_index_add(&seen, ids[i]);
    }
    name_index_sort(&seen);
    for (size_t i = 0; i < count; i++)
        if (name_index_find(&seen, ids[i]) == i)
            rows[kept++] = rows[i];
    name_index_release(&seen);
    free(ids);
    return kept;
}

static int make_row(SweepRow *row, const SweepConfig *s, const GridRows *p, size_t i, Err *err)
{
    row_config_init(&row->config);
    for (size_t d = 0; d < p->depth; d++) {
        const Field *f = p->order[d];
        if (!is_model_default(f, &s->grid.axes[f - row_fields]))
            CHECK(row_config_set(&row->config, f, grid_value(p, i, d), err) == 0, "%s", err->msg);
    }
    if (set_model(s, &row->config, err) != 0)
        return -1;
    row_name(&row->config, row->name);
    add_suffix(s, p, i, row);
    return 0;
}

static int check_config(const SweepConfig *s, Err *err)
{
    if (check_models(s, err) != 0)
        return -1;
    if (axis_of(s, "model_size")->count == 0 && axis_of(s, "model_dir")->count == 0)
        return err_set(err, "%s: [sweep] has no model_size", s->grid.path);
    return 0;
}

int sweep_expand(const SweepConfig *s, SweepRow **rows, size_t *count, Err *err)
{
    *rows = NULL;
    *count = 0;
    if (check_config(s, err) != 0)
        return -1;
    GridRows p;
    int status = grid_rows_init(&p, &s->grid, outer_keys, COUNT_OF(outer_keys), err);
    *count = p.count;
    *rows = status == 0 ? xcalloc(p.count, sizeof **rows) : NULL;
    for (size_t i = 0; i < p.count && status == 0; i++)
        status = make_row(&(*rows)[i], s, &p, i, err);
    grid_rows_release(&p);
    if (status == 0)
        *count = drop_repeats(*rows, *count);
    if (status != 0) {
        free(*rows);
        *rows = NULL;
    }
    return status;
}
