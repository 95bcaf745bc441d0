/* diff_load: two result files and their samples files become the joined rows of a Diff.
 *
 * The one idea: only what both files call `ok` under the same row_id is joined, and only if both came
 * from the same machine and build. Nothing is judged here. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/result/csv.h"
#include "bench/result/diff.h"
#include "bench/row/config.h"

/* One of the two files, rows and trials. */
typedef struct Side {
    CsvTable table;
    RowResult *rows; /* [count] */
    size_t count;
    CsvTable samples_table;
    Sample *samples; /* [num_samples] */
    size_t num_samples;
} Side;

static void side_release(Side *s)
{
    csv_release(&s->table);
    csv_release(&s->samples_table);
    free(s->rows);
    free(s->samples);
}

static int require_column(const CsvTable *t, const char *name, Err *err)
{
    if (csv_column(t, name) == SIZE_MAX)
        return err_set(err, "%s:1: there is no column %s", t->path, name);
    return 0;
}

static const RowResult *side_find(const Side *s, const char *row_id)
{
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->rows[i].row_id, row_id) == 0)
            return &s->rows[i];
    return NULL;
}

static int load_rows(Side *s, const char *path, Err *err)
{
    if (csv_load(&s->table, path, err) != 0 || require_column(&s->table, "row_id", err) != 0 ||
        require_column(&s->table, "status", err) != 0)
        return -1;
    s->rows = xcalloc(s->table.rows + 1, sizeof *s->rows);
    for (size_t i = 0; i < s->table.rows; i++, s->count++) {
        RowResult *r = &s->rows[i];
        if (csv_read_row(&s->table, i, r, err) != 0)
            return -1;
        if (r->row_id[0] == '\0')
            return err_set(err, "%s:%d: row_id is empty", path, s->table.lines[i]);
        if (side_find(s, r->row_id)) /* among the rows before this one */
            return err_set(err, "%s:%d: row_id '%s' appears twice", path, s->table.lines[i],
                           r->row_id);
    }
    return 0;
}

static int load_samples(Side *s, const char *path, Err *err)
{
    CsvTable *t = &s->samples_table;
    if (csv_load(t, path, err) != 0 || require_column(t, "row_id", err) != 0 ||
        require_column(t, "is_warmup", err) != 0 || require_column(t, "wall_ns", err) != 0)
        return -1;
    s->num_samples = t->rows;
    s->samples = xcalloc(t->rows + 1, sizeof *s->samples);
    for (size_t i = 0; i < t->rows; i++) {
        FieldTEXT owner;
        if (csv_read_sample(t, i, owner, &s->samples[i], err) != 0)
            return -1;
        if (s->samples[i].is_warmup == 0 && s->samples[i].wall_ns <= 0)
            return err_set(err, "%s:%d: wall_ns is '%s', not a positive time", path, t->lines[i],
                           csv_cell(t, i, csv_column(t, "wall_ns")));
    }
    return 0;
}

static int side_load(Side *s, const char *path, Err *err)
{
    char *beside = samples_path(path);
    int status = load_rows(s, path, err);
    if (status == 0)
        status = load_samples(s, beside, err);
    free(beside);
    return status;
}

/* Fresh times in ms of a row's timed trials, in run order. NULL: there is none. */
static double *timed_trials(const Side *s, const char *row_id, size_t *count, Err *err)
{
    double *ms = xmalloc((s->num_samples + 1) * sizeof *ms);
    size_t id_column = csv_column(&s->samples_table, "row_id");
    *count = 0;
    for (size_t i = 0; i < s->num_samples; i++)
        if (s->samples[i].is_warmup == 0 &&
            strcmp(csv_cell(&s->samples_table, i, id_column), row_id) == 0)
            ms[(*count)++] = (double)s->samples[i].wall_ns * 1e-6;
    if (*count > 0)
        return ms;
    free(ms);
    err_set(err, "%s: no timed trial of row_id '%s', which is ok in %s", s->samples_table.path,
            row_id, s->table.path);
    return NULL;
}

/* ---- joining ---- */

static bool is_ok(const RowResult *r)
{
    return strcmp(r->status, STATUS_OK) == 0;
}

static void skip_row(Diff *d, const RowResult *r, const char *reason)
{
    DiffSkipped *s = &d->skipped[d->num_skipped++];
    row_name(&r->config, s->name);
    text_set(s->reason, reason);
}

/* Why a row of one side, or of both, is not compared: "failed in the new file". */
static void skip_pair(Diff *d, const RowResult *old, const RowResult *new)
{
    FieldTEXT reason = "";
    const struct {
        const RowResult *row;
        const char *file;
    } sides[] = {{old, "old"}, {new, "new"}};
    for (size_t i = 0; i < COUNT_OF(sides); i++) {
        size_t used = strlen(reason);
        const RowResult *r = sides[i].row;
        if (r && is_ok(r))
            continue;
        snprintf(reason + used, sizeof reason - used, "%s%.100s in the %s file", used ? ", " : "",
                 !r             ? "not"
                 : r->status[0] ? r->status
                                : "without a status",
                 sides[i].file);
    }
    skip_row(d, old ? old : new, reason);
}

/* cpu_wait of each thread, as if the others had waited for it. */
static double waited(const RowResult *r)
{
    return isnan(r->cpu_wait) ? 0 : r->cpu_wait * (double)r->config.threads;
}

static int join_pair(Diff *d, const Side *old, const Side *new, const RowResult *r, Err *err)
{
    DiffRow *row = &d->rows[d->count];
    *row = (DiffRow){0};
    row_name(&r->config, row->name);
    text_set(row->row_id, r->row_id);
    row->wait = fmax(waited(r), waited(side_find(new, r->row_id)));
    d->count++; /* from here on diff_release frees it */
    row->old_ms = timed_trials(old, r->row_id, &row->old_count, err);
    if (row->old_ms)
        row->new_ms = timed_trials(new, r->row_id, &row->new_count, err);
    return row->new_ms ? 0 : -1;
}

/* Rows that differ in more than their name shows get their row_id behind it. */
static void make_names_distinct(Diff *d)
{
    bool *shared = xcalloc(d->count + 1, sizeof *shared);
    for (size_t i = 0; i < d->count; i++)
        for (size_t j = 0; j < d->count; j++)
            shared[i] = shared[i] || (i != j && strcmp(d->rows[i].name, d->rows[j].name) == 0);
    for (size_t i = 0; i < d->count; i++) {
        DiffRow *r = &d->rows[i];
        size_t used = strlen(r->name);
        if (shared[i])
            snprintf(r->name + used, sizeof r->name - used, " %.32s", r->row_id);
    }
    free(shared);
}

static int join(Diff *d, const Side *old, const Side *new, Err *err)
{
    d->rows = xcalloc(old->count + 1, sizeof *d->rows);
    d->skipped = xcalloc(old->count + new->count + 1, sizeof *d->skipped);
    for (size_t i = 0; i < old->count; i++) {
        const RowResult *r = &old->rows[i], *other = side_find(new, r->row_id);
        if (!other || !is_ok(r) || !is_ok(other))
            skip_pair(d, r, other);
        else if (join_pair(d, old, new, r, err) != 0)
            return -1;
    }
    for (size_t i = 0; i < new->count; i++)
        if (!side_find(old, new->rows[i].row_id))
            skip_pair(d, NULL, &new->rows[i]);
    make_names_distinct(d);
    return 0;
}

/* ---- the guard ---- */

static bool is_allowed(const DiffGuard *g, const char *column)
{
    for (size_t i = 0; i < g->num_allowed; i++)
        if (strcmp(g->allowed[i], column) == 0)
            return true;
    return false;
}

/* The columns that the guard does not let pass unseen, "a|b|c". */
static void watched_columns(const DiffGuard *g, FieldTEXT columns)
{
    char *names = xstrdup(DIFF_CONTEXT_COLUMNS), *rest = names;
    columns[0] = '\0';
    for (const char *name; (name = strsep(&rest, "|"));) {
        size_t used = strlen(columns);
        if (!is_allowed(g, name))
            snprintf(columns + used, TEXT_SIZE - used, "%s%s", used ? "|" : "", name);
    }
    free(names);
}

static int check_context(Diff *d, const Side *old, const Side *new, const DiffGuard *g, Err *err)
{
    FieldTEXT columns;
    watched_columns(g, columns);
    for (size_t i = 0; i < d->count; i++) {
        const char *id = d->rows[i].row_id;
        fingerprint_add(d->differences, columns, side_find(old, id), side_find(new, id));
    }
    if (d->differences[0] == '\0' || g->force)
        return 0;
    return err_set(err,
                   "the files are of different machines or builds (%s): --allow COLUMN lets one "
                   "difference pass, --force all",
                   d->differences);
}

static int check_any_row(const Diff *d, const Side *old, const Side *new, Err *err)
{
    FieldTEXT differences = "";
    if (d->count > 0)
        return 0;
    if (d->num_skipped < old->count + new->count)
        return err_set(err, "no row is ok in both '%s' and '%s'", old->table.path, new->table.path);
    if (old->count && new->count) {
        const RowResult *a = &old->rows[0], *b = &new->rows[0];
        if (fingerprint_differs(row_field("schema"), a, b))
            return err_set(err,
                           "'%s' has schema %" PRId64 " and '%s' schema %" PRId64
                           ": their row_ids do not match; run the sweep again with one version",
                           old->table.path, a->schema, new->table.path, b->schema);
        fingerprint_add(differences, DIFF_CONTEXT_COLUMNS, a, b);
    }
    return err_set(err, "no row is in both '%s' and '%s'%s%s%s", old->table.path, new->table.path,
                   differences[0] ? " (" : "", differences, differences[0] ? ")" : "");
}

int diff_load(Diff *d, const char *old_path, const char *new_path, const DiffGuard *guard, Err *err)
{
    *d = (Diff){0};
    Side old = {0}, new = {0};
    int status = side_load(&old, old_path, err);
    if (status == 0)
        status = side_load(&new, new_path, err);
    if (status == 0)
        status = join(d, &old, &new, err);
    if (status == 0)
        status = check_any_row(d, &old, &new, err);
    if (status == 0)
        status = check_context(d, &old, &new, guard, err);
    side_release(&old);
    side_release(&new);
    return status;
}
