/* config: see config.h. */
#include "bench/attention/config.h"

#include <stdlib.h>

static int set_axis(const ConfigAt *at, Err *err)
{
    return grid_set(at, attention_schema(), field_parse, err);
}

static int finish(void *out, Err *err)
{
    (void)err;
    grid_finish(out, attention_schema());
    return 0;
}

static void release(void *out)
{
    grid_release(out, attention_schema());
}

const ConfigFile *attention_config_file(void)
{
    static GridFile keys;
    static const ConfigFile file =
        CONFIG_FILE(keys.sections, AttentionConfig, .title = "`tare attention`", .check = finish,
                    .release = release);
    grid_file_fill(&keys, attention_schema(), FIELD_CONFIG, set_axis);
    return &file;
}

/* What the name of a row says of itself. */
static const char *const named_keys[] = {"impl",     "batch_size", "num_heads", "context_length",
                                         "head_dim", "causal",     "precision"};

static void make_row(AttentionRow *r, const GridRows *p, size_t i)
{
    Err err;
    attention_row_init(r);
    for (size_t d = 0; d < p->depth; d++)
        CHECK(field_parse(p->order[d], r, grid_value(p, i, d), &err) == 0, "%s", err.msg);
    attention_row_name(r);
    grid_row_suffix(p, i, r->base.row_id);
    attention_row_plan(r);
}

int attention_expand(const AttentionConfig *c, AttentionRow **rows, size_t *count, Err *err)
{
    GridRows p;
    int status =
        grid_rows_init(&p, &c->grid, attention_schema(), named_keys, COUNT_OF(named_keys), err);
    *count = status == 0 ? p.count : 0;
    *rows = xcalloc(*count + 1, sizeof **rows);
    for (size_t i = 0; i < *count; i++)
        make_row(&(*rows)[i], &p, i);
    grid_rows_release(&p);
    return status;
}
