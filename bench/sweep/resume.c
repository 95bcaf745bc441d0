/* resume: takes over what an earlier sweep left: the rows of NAME.csv and the processes of its
 * journal; see runner.h. */
#include <stdlib.h>
#include <string.h>

#include "autograd/kernels/kernels.h"
#include "bench/machine/machine.h"
#include "bench/result/fingerprint.h"
#include "bench/row/result.h"
#include "bench/row/stamp.h"
#include "bench/sweep/runner.h"
#include "bench/util/name_index.h"

int runner_rewrite_file(Runner *r, Err *err)
{
    const RowResult **rows = xcalloc(r->s->count, sizeof *rows);
    size_t count = 0;
    for (size_t i = 0; i < r->s->count; i++)
        if (r->s->items[i].in_file)
            rows[count++] = &r->s->items[i].result;
    int status = result_file_rewrite(&r->file, rows, count, err);
    free(rows);
    return status;
}

/* Says why the config lacks a row of the file: a setting of the row of that name has changed, or
 * the row is gone. A row of the config that is in the file itself is no candidate. */
static int refuse_unknown_row(const Runner *r, const NameIndex *stored, const RowConfig *c,
                              Err *err)
{
    const Sweep *s = r->s;
    const char *path = r->file.path;
    FieldTEXT name, here;
    row_name(c, name);
    for (size_t i = 0; i < s->count; i++) {
        const RowResult *now = &s->items[i].result;
        FieldTEXT before, after;
        row_name(&now->config, here);
        if (strcmp(here, name) != 0 || name_index_find(stored, now->row_id) != SIZE_MAX)
            continue;
        const Field *f = row_config_difference(c, &now->config);
        CHECK(f, "two rows of one config with two ids");
        field_cell(f, c, before);
        field_cell(f, now, after);
        return err_set(err,
                       "%s: row %.60s was run with %s %.60s, the config now has %.60s; "
                       "use --overwrite or another --out",
                       path, name, f->name, before, after);
    }
    return err_set(err,
                   "%s: row %.60s is not in the config any more; use --overwrite or another --out",
                   path, name);
}

/* Takes over what an earlier sweep left. */
typedef struct Taker {
    Runner *r;
    NameIndex stored, items; /* row_ids of the file, and of the config */
    RowResult here;          /* this machine and build */
    size_t foreign;          /* processes of another one */
} Taker;

static void stamp_here(RowResult *here)
{
    row_result_init(here);
    row_stamp(here);
    text_set(here->isa, kernels()->isa);
    text_set(here->blas, gemm_blas_description());
}

/* ---- rows ---- */

/* Warns if rows of the file come from another machine or build than this process. */
static void note_other_machine(const Taker *t)
{
    const Runner *r = t->r;
    FieldTEXT differences = "";
    for (size_t i = 0; i < r->s->count; i++)
        if (r->s->items[i].in_file)
            fingerprint_add(differences, FINGERPRINT_COLUMNS, &r->s->items[i].result, &t->here);
    if (*differences)
        print_clean(r->run->log, "warning: rows in %s are of another machine or build (%s)",
                    r->file.path, differences);
}

static int take_row(Taker *t, const RowResult *row, Err *err)
{
    Runner *r = t->r;
    size_t place = name_index_find(&t->items, row->row_id);
    if (row->run_order > r->last_order) /* INT_MISSING is not */
        r->last_order = row->run_order;
    if (place == SIZE_MAX)
        return refuse_unknown_row(r, &t->stored, &row->config, err);
    SweepItem *item = &r->s->items[place];
    if (item->selected && strcmp(row->status, STATUS_FAILED) == 0)
        return 0;
    item->result = *row;
    item->result.row_number = (int64_t)place + 1;
    item->in_file = true;
    return 0;
}

static int take_rows(Taker *t, const RowResult *rows, size_t count, Err *err)
{
    for (size_t i = 0; i < count; i++)
        if (take_row(t, &rows[i], err) != 0)
            return -1;
    note_other_machine(t);
    return runner_rewrite_file(t->r, err);
}

/* ---- processes ---- */

static int take_process(void *context, const RowResult *one, const Samples *samples, double seconds,
                        Err *err)
{
    Taker *t = context;
    FieldTEXT differences = "";
    size_t place = name_index_find(&t->items, one->row_id);
    if (place == SIZE_MAX)
        return refuse_unknown_row(t->r, &t->stored, &one->config, err);
    SweepItem *item = &t->r->s->items[place];
    fingerprint_add(differences, FINGERPRINT_COLUMNS, one, &t->here);
    t->foreign += differences[0] != '\0' && !item->in_file;
    if (item->in_file || differences[0] || item->processes == row_processes(&one->config) - 1)
        return 0;
    result_add_process(&item->result, &item->samples, one, samples, ++item->processes);
    item->result.row_number = (int64_t)place + 1;
    item->seconds += seconds;
    return 0;
}

static int take_processes(Taker *t, Err *err)
{
    Runner *r = t->r;
    if (journal_read(&r->journal, take_process, t, err) != 0)
        return -1;
    if (t->foreign)
        print_clean(r->run->log,
                    "warning: %zu processes in %s are of another machine or build and run again",
                    t->foreign, r->journal.path);
    return 0;
}

int runner_take_over(Runner *r, const RowResult *rows, size_t count, Err *err)
{
    OWNED Taker *t = xcalloc(1, sizeof *t);
    t->r = r;
    stamp_here(&t->here);
    for (size_t i = 0; rows && i < count; i++)
        name_index_add(&t->stored, rows[i].row_id);
    for (size_t i = 0; i < r->s->count; i++)
        name_index_add(&t->items, r->s->items[i].result.row_id);
    name_index_sort(&t->stored);
    name_index_sort(&t->items);
    int status = rows ? take_rows(t, rows, count, err) : 0;
    if (status == 0)
        status = take_processes(t, err);
    name_index_release(&t->stored);
    name_index_release(&t->items);
    return status;
}
