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

/* This machine and build. */
static void stamp_here(RowResult *here)
{
    row_result_init(here);
    row_stamp(here);
    text_set(here->isa, kernels()->isa);
    text_set(here->blas, gemm_blas_description());
}

/* Warns if rows of the file come from another machine or build than this process. */
static void note_other_machine(const Runner *r)
{
    RowResult here;
    FieldTEXT differences = "";
    stamp_here(&here);
    for (size_t i = 0; i < r->s->count; i++)
        if (r->s->items[i].in_file)
            fingerprint_add(differences, FINGERPRINT_COLUMNS, &r->s->items[i].result, &here);
    if (*differences)
        print_clean(r->run->log, "warning: rows in %s are of another machine or build (%s)",
                    r->file.path, differences);
}

static int take_rows(Runner *r, const RowResult *rows, size_t count, const NameIndex *stored,
                     const NameIndex *items, Err *err)
{
    for (size_t i = 0; i < count; i++) {
        size_t place = name_index_find(items, rows[i].row_id);
        if (rows[i].run_order > r->last_order) /* INT_MISSING is not */
            r->last_order = rows[i].run_order;
        if (place == SIZE_MAX)
            return refuse_unknown_row(r, stored, &rows[i].config, err);
        SweepItem *item = &r->s->items[place];
        if (item->selected && strcmp(rows[i].status, STATUS_FAILED) == 0)
            continue;
        item->result = rows[i];
        item->result.row_number = (int64_t)place + 1;
        item->in_file = true;
    }
    return 0;
}

int runner_take_over_rows(Runner *r, const RowResult *rows, size_t count, Err *err)
{
    NameIndex stored = {0}, items = {0};
    for (size_t i = 0; i < count; i++)
        name_index_add(&stored, rows[i].row_id);
    for (size_t i = 0; i < r->s->count; i++)
        name_index_add(&items, r->s->items[i].result.row_id);
    name_index_sort(&stored);
    name_index_sort(&items);
    int status = take_rows(r, rows, count, &stored, &items, err);
    name_index_release(&stored);
    name_index_release(&items);
    if (status != 0)
        return -1;
    note_other_machine(r);
    return runner_rewrite_file(r, err);
}

/* What takes the lines of the journal. */
typedef struct Taker {
    Runner *r;
    NameIndex items, none;
    RowResult here;
    size_t foreign; /* lines of another machine or build */
} Taker;

static int take_process(void *context, const RowResult *one, const Samples *samples, double seconds,
                        Err *err)
{
    Taker *t = context;
    FieldTEXT differences = "";
    size_t place = name_index_find(&t->items, one->row_id);
    if (place == SIZE_MAX)
        return refuse_unknown_row(t->r, &t->none, &one->config, err);
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

int runner_take_over_processes(Runner *r, Err *err)
{
    Taker *t = xcalloc(1, sizeof *t);
    t->r = r;
    stamp_here(&t->here);
    for (size_t i = 0; i < r->s->count; i++)
        name_index_add(&t->items, r->s->items[i].result.row_id);
    name_index_sort(&t->items);
    name_index_sort(&t->none);
    int status = journal_read(&r->journal, take_process, t, err);
    if (status == 0 && t->foreign)
        print_clean(r->run->log,
                    "warning: %zu processes in %s are of another machine or build and run again",
                    t->foreign, r->journal.path);
    name_index_release(&t->items);
    name_index_release(&t->none);
    free(t);
    return status;
}
