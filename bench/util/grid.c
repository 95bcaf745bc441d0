/* grid: see grid.h. */
#include "bench/util/grid.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/util/name_index.h"

/* ---- the file ---- */

/* The result file is called after it. */
static int check_name(const ConfigAt *at, Err *err)
{
    const char *allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    const char *name = at->value->text;
    size_t len = strlen(name);
    return len <= 100 && strspn(name, allowed) == len && name[0] != '.'
               ? 0
               : err_set(err, "name '%s' is no file name of letters, digits, '-', '_' and '.'",
                         name);
}

const ConfigKey grid_top_keys[1] = {
    CONFIG_KEY(TEXT, Grid, name, .check = check_name,
               .doc = "of the result file, results/NAME.csv; the config's own by default"),
};

const ConfigKey grid_limit_keys[2] = {
    CONFIG_KEY(BYTES, Grid, max_memory, .choices = "auto", .fallback = "auto",
               .doc = "rows that need more are skipped; auto: what is available less 512 MiB"),
    CONFIG_KEY(TIME, Grid, max_row_time,
               .doc =
                   "rows that take longer are stopped, and others not begun; no limit by default"),
};

static char *stem_of(const char *path)
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    const char *dot = strrchr(base, '.');
    size_t len = dot && dot != base ? (size_t)(dot - base) : strlen(base);
    return xasprintf("%.*s", (int)len, base);
}

int grid_finish(void *grid, Err *err)
{
    (void)err;
    Grid *g = grid;
    if (!g->axes)
        g->axes = xcalloc(g->schema->count, sizeof *g->axes);
    if (!g->name)
        g->name = stem_of(g->path);
    if (g->max_row_time == 0)
        g->max_row_time = INFINITY;
    return 0;
}

/* ---- the values of a field ---- */

static void axis_clear(Axis *a)
{
    for (size_t i = 0; i < a->count; i++)
        free(a->values[i]);
    free(a->values);
    free(a->place);
    *a = (Axis){0};
}

void grid_release(void *grid)
{
    Grid *g = grid;
    for (size_t i = 0; g->axes && i < g->schema->count; i++)
        axis_clear(&g->axes[i]);
    free(g->axes);
}

static int axis_add(Axis *a, const Field *f, void *scratch, GridParse *parse, const char *text,
                    Err *err)
{
    FieldTEXT number;
    if (parse(f, scratch, text, err) != 0)
        return -1;
    field_cell(f, scratch, number);
    if (f->kind == FIELD_REAL) /* TOML's has more digits than need be */
        text = number;
    a->values[a->count++] = xstrdup(text);
    return 0;
}

static int check_once(const Axis *a, const Field *f, Err *err)
{
    NameIndex values = {0};
    size_t first, again;
    for (size_t i = 0; i < a->count; i++)
        name_index_add(&values, a->values[i]);
    name_index_sort(&values);
    bool repeats = name_index_repeats(&values, &first, &again);
    name_index_release(&values);
    return repeats ? err_set(err, "%s lists '%s' twice", f->name, a->values[again]) : 0;
}

static char *place_of(const ConfigAt *at)
{
    int line = at->value->line;
    return line ? xasprintf("%s:%d", at->path, line) : xstrdup(at->path);
}

int grid_set(const ConfigAt *at, Err *err)
{
    Grid *g = at->out;
    const Field *f = schema_field(g->schema, at->key->name);
    bool list = at->value->kind == TOML_ARRAY,
         is_default = strcmp(at->section->name, "defaults") == 0;
    const TomlNode *items = list ? at->value->child : at->value;
    size_t count = list ? at->value->count : 1;
    if (list && is_default)
        return err_set(err, "%s is a list; lists belong in [sweep]", f->name);
    if (!g->axes)
        g->axes = xcalloc(g->schema->count, sizeof *g->axes);
    Axis *a = &g->axes[f - g->schema->fields];
    axis_clear(a);
    *a = (Axis){.values = xcalloc(count, sizeof *a->values),
                .place = place_of(at),
                .is_default = is_default};
    OWNED void *scratch = xcalloc(1, g->schema->size);
    int status = 0;
    for (size_t i = 0; i < count && status == 0; i++)
        status = axis_add(a, f, scratch, g->parse, items[i].text, err);
    return status == 0 ? check_once(a, f, err) : status;
}

ConfigKey grid_key(const Field *f, ConfigCall set)
{
    static const ConfigKind kinds[] = {[FIELD_TEXT] = CONFIG_TEXT,
                                       [FIELD_BOOL] = CONFIG_BOOL,
                                       [FIELD_FLAG] = CONFIG_BOOL,
                                       [FIELD_INT] = CONFIG_INT,
                                       [FIELD_REAL] = CONFIG_REAL};
    return (ConfigKey){.name = f->name,
                       .kind = f->choices ? CONFIG_CHOICE : kinds[f->kind],
                       .count = CONFIG_SOME,
                       .min = (double)f->min,
                       .max = (double)f->max,
                       .positive = f->positive,
                       .choices = f->choices,
                       .fallback = f->fallback && *f->fallback ? f->fallback : NULL,
                       .doc = f->doc,
                       .set = set};
}

const ConfigFile *grid_file(GridFile *f, const char *title, const Schema *schema, int group,
                            GridParse *parse)
{
    size_t count = 0;
    for (size_t i = 0; i < schema->count; i++) {
        CHECK(count < GRID_MOST_KEYS, "more than %d keys", GRID_MOST_KEYS);
        if (schema->fields[i].group == group)
            f->keys[count++] = grid_key(&schema->fields[i], grid_set);
    }
    f->sections[0] = (ConfigSection)CONFIG_SECTION(NULL, grid_top_keys);
    f->sections[1] = (ConfigSection){.name = "defaults", .keys = f->keys, .num_keys = count};
    f->sections[2] = (ConfigSection){.name = "sweep", .keys = f->keys, .num_keys = count};
    f->sections[3] = (ConfigSection)CONFIG_SECTION("limits", grid_limit_keys);
    f->initial = (Grid){.schema = schema, .parse = parse};
    f->file = (ConfigFile)CONFIG_FILE(f->sections, Grid, .title = title, .initial = &f->initial,
                                      .check = grid_finish, .release = grid_release);
    return &f->file;
}

/* ---- the product ---- */

static size_t num_values(const GridRows *p, const Field *f)
{
    return p->grid->axes[f - p->grid->schema->fields].count;
}

static bool is_ordered(const GridRows *p, const Field *f)
{
    for (size_t d = 0; d < p->outer; d++)
        if (p->order[d] == f)
            return true;
    return false;
}

int grid_rows_init(GridRows *p, const Grid *g, const char *const *outer, size_t num_outer, Err *err)
{
    const Schema *schema = g->schema;
    *p = (GridRows){.grid = g, .count = 1};
    p->order = xcalloc(schema->count, sizeof *p->order);
    for (size_t i = 0; i < num_outer; i++) {
        const Field *f = schema_field(schema, outer[i]);
        if (num_values(p, f))
            p->order[p->outer++] = f;
    }
    p->depth = p->outer;
    for (size_t i = 0; i < schema->count; i++)
        if (num_values(p, &schema->fields[i]) && !is_ordered(p, &schema->fields[i]))
            p->order[p->depth++] = &schema->fields[i];
    for (size_t d = 0; d < p->depth && p->count <= MAX_GRID_ROWS; d++)
        p->count *= num_values(p, p->order[d]);
    return p->count <= MAX_GRID_ROWS
               ? 0
               : err_set(err, "%s: more than %d rows; split the sweep", g->path, MAX_GRID_ROWS);
}

void grid_rows_release(GridRows *p)
{
    free(p->order);
}

const char *grid_value(const GridRows *p, size_t row, size_t d)
{
    const Axis *a = &p->grid->axes[p->order[d] - p->grid->schema->fields];
    for (size_t inner = p->depth; --inner > d;)
        row /= num_values(p, p->order[inner]);
    return a->values[row % a->count];
}

void grid_row_suffix(const GridRows *p, size_t row, FieldTEXT name)
{
    for (size_t d = p->outer; d < p->depth; d++)
        if (num_values(p, p->order[d]) > 1)
            text_extend(name, "/%s=%s", p->order[d]->name, grid_value(p, row, d));
}
