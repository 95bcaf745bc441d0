/* diff_load: two result files and their samples files become the joined rows of a Diff.
 *
 * The one idea: rows join that both files call `ok` under the same row_id, and only if both files
 * come from one machine and build. Nothing is judged here. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "bench/result/diff.h"
#include "bench/result/read.h"
#include "bench/row/config.h"
#include "bench/row/warning.h"
#include "bench/util/owned.h"

/* ---- joining ---- */

static bool is_compared(const RowResult *r)
{
    return strcmp(r->status, STATUS_OK) == 0 && row_all_threads_ran(r);
}

static void skip_row(Diff *d, const RowResult *r, const char *reason)
{
    FieldTEXT name;
    row_name(&r->config, name);
    diff_skip(d, name, reason);
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
        const RowResult *r = sides[i].row;
        if (r && is_compared(r))
            continue;
        bool is_ok = r && strcmp(r->status, STATUS_OK) == 0;
        text_extend(reason, "%s%.100s in the %s file", *reason ? ", " : "",
                    !r             ? "not"
                    : is_ok        ? "on fewer CPUs than threads"
                    : r->status[0] ? r->status
                                   : "without a status",
                    sides[i].file);
    }
    skip_row(d, old ? old : new, reason);
}

/* Sums cpu_wait over the threads, as if each had made the others wait. */
static double waited(const RowResult *r)
{
    return isnan(r->cpu_wait) ? 0 : r->cpu_wait * (double)r->config.threads;
}

/* What one process of a row took: its runs, and what starting one costs at least. */
static double seconds_of_process(const StoredRow *stored)
{
    const double start = 0.05;
    double ns = 0;
    for (size_t i = 0; i < stored->samples.count; i++)
        ns += (double)stored->samples.at[i].wall_ns;
    return start + ns / 1e9 / (double)samples_processes(&stored->samples);
}

static double shift_of(double old, double new)
{
    return old > 0 && new > 0 ? exp(fabs(log(new / old))) - 1 : 0;
}

/* Pools the noise floors of both sweeps. */
static void set_noise(DiffRow *row, const RowResult *old, const RowResult *new)
{
    const RowResult *const sides[] = {old, new};
    double squares = 0;
    for (size_t i = 0; i < COUNT_OF(sides); i++) {
        if (!(sides[i]->noise_cv >= 0) || sides[i]->noise_processes < 2)
            return;
        double freedom = (double)(sides[i]->noise_processes - 1);
        squares += freedom * sides[i]->noise_cv * sides[i]->noise_cv;
        row->noise_freedom += freedom;
    }
    row->noise = sqrt(squares / row->noise_freedom);
}

static void join_pair(Diff *d, const StoredRow *old, const StoredRow *new)
{
    DiffRow *row = &d->rows[d->count++];
    row_name(&old->row.config, row->name);
    text_set(row->row_id, old->row.row_id);
    row->wait = fmax(waited(&old->row), waited(&new->row));
    row->old_ms = samples_timed_ms(&old->samples, &row->old_count);
    row->new_ms = samples_timed_ms(&new->samples, &row->new_count);
    row->old_processes = samples_processes(&old->samples);
    row->new_processes = samples_processes(&new->samples);
    set_noise(row, &old->row, &new->row);
    row->shift = fmax(shift_of(old->row.probe_product_us, new->row.probe_product_us),
                      shift_of(old->row.probe_read_us, new->row.probe_read_us));
    d->process_seconds += (seconds_of_process(old) + seconds_of_process(new)) / 2;
}

/* Appends the row_id to names that several rows share. */
static void make_names_distinct(Diff *d)
{
    OWNED_BY(name_index_release) NameIndex names = {0};
    OWNED bool *shared = xcalloc(d->count + 1, sizeof *shared);
    for (size_t i = 0; i < d->count; i++)
        name_index_add(&names, d->rows[i].name);
    name_index_sort(&names);
    for (size_t i = 1; i < names.count; i++)
        if (strcmp(names.at[i - 1].name, names.at[i].name) == 0)
            shared[names.at[i - 1].place] = shared[names.at[i].place] = true;
    for (size_t i = 0; i < d->count; i++)
        if (shared[i])
            text_extend(d->rows[i].name, " %.32s", d->rows[i].row_id);
}

static void join(Diff *d, const StoredResult *old, const StoredResult *new)
{
    d->rows = xcalloc(old->count + 1, sizeof *d->rows);
    d->skipped = xcalloc(old->count + new->count + 1, sizeof *d->skipped);
    for (size_t i = 0; i < old->count; i++) {
        const StoredRow *a = &old->rows[i], *b = stored_find(new, a->row.row_id);
        if (b && is_compared(&a->row) && is_compared(&b->row))
            join_pair(d, a, b);
        else
            skip_pair(d, &a->row, b ? &b->row : NULL);
    }
    for (size_t i = 0; i < new->count; i++)
        if (!stored_find(old, new->rows[i].row.row_id))
            skip_pair(d, NULL, &new->rows[i].row);
    make_names_distinct(d);
    d->process_seconds /= (double)(d->count ? d->count : 1);
}

/* ---- the guard ---- */

static bool is_allowed(const DiffGuard *g, const char *column)
{
    for (size_t i = 0; i < g->num_allowed; i++)
        if (strcmp(g->allowed[i], column) == 0)
            return true;
    return false;
}

/* Lists the columns that the guard checks, "a|b|c". */
static void watched_columns(const DiffGuard *g, FieldTEXT columns)
{
    OWNED char *names = xstrdup(DIFF_CONTEXT_COLUMNS);
    char *rest = names;
    columns[0] = '\0';
    for (const char *name; (name = strsep(&rest, "|"));)
        if (!is_allowed(g, name))
            text_extend(columns, "%s%s", *columns ? "|" : "", name);
}

static int check_context(Diff *d, const StoredResult *old, const StoredResult *new,
                         const DiffGuard *g, Err *err)
{
    FieldTEXT columns;
    watched_columns(g, columns);
    for (size_t i = 0; i < d->count; i++) {
        const char *id = d->rows[i].row_id;
        fingerprint_add(d->differences, columns, &stored_find(old, id)->row,
                        &stored_find(new, id)->row);
    }
    if (d->differences[0] == '\0' || g->force)
        return 0;
    return err_set(err,
                   "the files are of different machines or builds (%s): --allow COLUMN lets one "
                   "difference pass, --force all",
                   d->differences);
}

static int check_any_row(const Diff *d, const StoredResult *old, const StoredResult *new, Err *err)
{
    FieldTEXT differences = "";
    if (d->count > 0)
        return 0;
    if (d->num_skipped < old->count + new->count)
        return err_set(err, "no row is ok in both '%s' and '%s'", old->path, new->path);
    if (old->count && new->count) {
        const RowResult *a = &old->rows[0].row, *b = &new->rows[0].row;
        bool older = a->schema < ROW_ID_SCHEMA || b->schema < ROW_ID_SCHEMA;
        if (older && fingerprint_differs(row_field("schema"), a, b))
            return err_set(err,
                           "'%s' has schema %" PRId64 " and '%s' schema %" PRId64
                           ": their row_ids do not match; run the sweep again with one version",
                           old->path, a->schema, new->path, b->schema);
        fingerprint_add(differences, DIFF_CONTEXT_COLUMNS, a, b);
    }
    return err_set(err, "no row is in both '%s' and '%s'%s%s%s", old->path, new->path,
                   differences[0] ? " (" : "", differences, differences[0] ? ")" : "");
}

int diff_load(Diff *d, const char *old_path, const char *new_path, const DiffGuard *guard, Err *err)
{
    *d = (Diff){0};
    OWNED_BY(stored_release) StoredResult old, new = {0};
    if (stored_read(&old, old_path, STORED_JUDGE, err) != 0 ||
        stored_read(&new, new_path, STORED_JUDGE, err) != 0)
        return -1;
    join(d, &old, &new);
    return check_any_row(d, &old, &new, err) == 0 ? check_context(d, &old, &new, guard, err) : -1;
}
