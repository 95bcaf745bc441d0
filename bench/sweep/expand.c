/* expand: the product of a sweep's axes; see config.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/families/shapes.h"
#include "bench/sweep/config.h"

/* The keys that vary slowest, outermost first; the rest follow in the order of the columns. */
static const char *const outer_keys[] = {"model_size", "context_length", "num_warmups",
                                         "forward_only"};

static bool is_outer(const Field *f)
{
    for (size_t i = 0; i < COUNT_OF(outer_keys); i++)
        if (strcmp(f->name, outer_keys[i]) == 0)
            return true;
    return false;
}

/* Fields that have values, in the order of nesting; `order` has room for num_row_fields. */
static size_t nesting(const SweepConfig *s, const Field **order)
{
    size_t count = 0;
    for (size_t i = 0; i < COUNT_OF(outer_keys); i++) {
        const Field *f = row_field(outer_keys[i]);
        if (s->axes[f - row_fields].count)
            order[count++] = f;
    }
    for (size_t i = 0; i < num_row_fields; i++)
        if (s->axes[i].count && !is_outer(&row_fields[i]))
            order[count++] = &row_fields[i];
    return count;
}

static int unknown_size(const SweepConfig *s, const char *place, const char *size, Err *err)
{
    const char **known = xmalloc((s->num_models + num_model_shapes) * sizeof *known);
    size_t count = 0;
    for (size_t i = 0; i < s->num_models; i++)
        known[count++] = s->models[i].dimensions.model_size;
    for (size_t i = 0; i < num_model_shapes; i++)
        if (!model_shapes[i].arch)
            known[count++] = model_shapes[i].name;
    Hint hint;
    did_you_mean(hint, size, known, count);
    free(known);
    return err_set(err, "%s: model_size '%s' is neither built in nor a [[model]]%s", place, size,
                   hint);
}

/* Gives the row the dimensions of its size; a [[model]] goes before a built-in one. */
static int set_dimensions(const SweepConfig *s, RowConfig *c, Err *err)
{
    const char *place = s->axes[row_field("model_size") - row_fields].place;
    for (size_t i = 0; i < s->num_models; i++) {
        const RowConfig *m = &s->models[i].dimensions;
        if (strcmp(m->model_size, c->model_size) != 0)
            continue;
        place = s->models[i].place;
        c->d_model = m->d_model;
        c->num_layers = m->num_layers;
        c->num_heads = m->num_heads;
    }
    const NamedShape *shape = model_shape_find(c->model_size);
    if (c->d_model == 0 && (!shape || shape->arch))
        return unknown_size(s, place, c->model_size, err);
    if (row_config_complete(c, err) != 0 || row_config_check(c, err) != 0)
        return err_prefix(err, "%s", place);
    return 0;
}

static void name_row(SweepRow *row, const SweepConfig *s, const Field *const *order, size_t depth,
                     const size_t *index)
{
    row_name(&row->config, row->name);
    for (size_t d = 0; d < depth; d++) {
        const Axis *a = &s->axes[order[d] - row_fields];
        size_t len = strlen(row->name);
        if (a->count > 1 && !is_outer(order[d]))
            snprintf(row->name + len, TEXT_SIZE - len, "/%s=%s", order[d]->name,
                     a->values[index[d]]);
    }
}

static int make_row(SweepRow *row, const SweepConfig *s, const Field *const *order, size_t depth,
                    const size_t *index, Err *err)
{
    row_config_init(&row->config);
    for (size_t d = 0; d < depth; d++) {
        const char *value = s->axes[order[d] - row_fields].values[index[d]];
        CHECK(row_config_set(&row->config, order[d], value, err) == 0, "%s", err->msg);
    }
    if (set_dimensions(s, &row->config, err) != 0)
        return -1;
    name_row(row, s, order, depth, index);
    return 0;
}

int sweep_expand(const SweepConfig *s, SweepRow **rows, size_t *count, Err *err)
{
    const Field **order = xcalloc(num_row_fields, sizeof *order);
    size_t *index = xcalloc(num_row_fields, sizeof *index);
    size_t depth = nesting(s, order), total = 1;
    int status = 0;
    *rows = NULL;
    for (size_t d = 0; d < depth && total <= MAX_SWEEP_ROWS; d++)
        total *= s->axes[order[d] - row_fields].count;
    if (total > MAX_SWEEP_ROWS)
        status = err_set(err, "%s: more than %d rows; split the sweep", s->path, MAX_SWEEP_ROWS);
    else
        *rows = xcalloc(total, sizeof **rows);
    for (size_t i = 0; i < total && status == 0; i++) {
        size_t rest = i;
        for (size_t d = depth; d-- > 0;) {
            size_t values = s->axes[order[d] - row_fields].count;
            index[d] = rest % values;
            rest /= values;
        }
        status = make_row(&(*rows)[i], s, order, depth, index, err);
    }
    *count = total;
    free(order);
    free(index);
    if (status != 0) {
        free(*rows);
        *rows = NULL;
    }
    return status;
}
