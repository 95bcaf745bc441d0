/* merge: `tare merge`: the result files of shards into one, samples included.
 *
 * The one idea: everything is read and checked before the new file is made. Rows stand in the order of
 * their config. Results of different machines or builds are refused unless forced: a table that mixes
 * them compares nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/commands.h"
#include "bench/result/csv.h"
#include "bench/result/fingerprint.h"
#include "bench/util/options.h"
#include "bench/result/file.h"

typedef struct MergeRow {
    RowResult result;
    Samples samples;
    const char *path; /* the file it came from */
} MergeRow;

typedef struct Merge {
    MergeRow *rows;
    size_t count;
} Merge;

static void merge_release(Merge *m)
{
    for (size_t i = 0; i < m->count; i++)
        samples_release(&m->rows[i].samples);
    free(m->rows);
}

static MergeRow *find_row(const Merge *m, const char *id)
{
    for (size_t i = 0; i < m->count; i++)
        if (strcmp(m->rows[i].result.row_id, id) == 0)
            return &m->rows[i];
    return NULL;
}

static int add_rows(Merge *m, const char *path, const CsvTable *t, Err *err)
{
    if (csv_column(t, "row_id") == SIZE_MAX || csv_column(t, "status") == SIZE_MAX)
        return err_set(err, "%s:1: there is no column row_id or status", path);
    m->rows = xrealloc(m->rows, (m->count + t->rows) * sizeof *m->rows);
    for (size_t i = 0; i < t->rows; i++) {
        MergeRow row = {.path = path};
        if (csv_read_row(t, i, &row.result, err) != 0)
            return -1;
        const MergeRow *same = find_row(m, row.result.row_id);
        if (same)
            return err_set(err, "%s:%d: row %s is in '%s' already", path, t->lines[i],
                           row.result.row_id, same->path);
        m->rows[m->count++] = row;
    }
    return 0;
}

static int add_samples(Merge *m, const char *path, const CsvTable *t, Err *err)
{
    MergeRow *row = NULL;
    for (size_t i = 0; i < t->rows; i++) {
        FieldTEXT id;
        Sample sample;
        if (csv_read_sample(t, i, id, &sample, err) != 0)
            return -1;
        if (!row || strcmp(row->result.row_id, id) != 0)
            row = find_row(m, id);
        if (!row || row->path != path)
            return err_set(err, "%s:%d: a sample of row %s, which '%s' does not have", t->path,
                           t->lines[i], id, path);
        samples_add(&row->samples, sample);
    }
    return 0;
}

static int read_file(Merge *m, const char *path, Err *err)
{
    CsvTable t;
    if (csv_load(&t, path, err) != 0)
        return -1;
    int status = add_rows(m, path, &t, err);
    csv_release(&t);
    if (status != 0)
        return -1;
    char *samples = samples_path(path);
    status = csv_load(&t, samples, err);
    free(samples);
    if (status != 0)
        return -1;
    status = add_samples(m, path, &t, err);
    csv_release(&t);
    return status;
}

/* Each row beside the first that knows the column. */
static int check_column(const Merge *m, const Field *f, Err *err)
{
    size_t first = 0;
    while (first < m->count && !fingerprint_knows(f, &m->rows[first].result))
        first++;
    for (size_t i = first + 1; i < m->count; i++) {
        const MergeRow *a = &m->rows[first], *b = &m->rows[i];
        FieldTEXT in_a, in_b;
        if (a->path == b->path || !fingerprint_differs(f, &a->result, &b->result))
            continue;
        field_cell(f, &a->result, in_a);
        field_cell(f, &b->result, in_b);
        return err_set(err, "%s is '%.100s' in '%s' and '%.100s' in '%s'; --force merges anyway",
                       f->name, in_a, a->path, in_b, b->path);
    }
    return 0;
}

static int check_one_machine(const Merge *m, Err *err)
{
    char *names = xstrdup(FINGERPRINT_COLUMNS), *rest = names;
    int status = 0;
    for (const char *name; status == 0 && (name = strsep(&rest, "|"));)
        status = check_column(m, row_field(name), err);
    free(names);
    return status;
}

/* Writing must not destroy what is read: neither file may be one of an input's. */
static int check_output(const char *input, const char *out, Err *err)
{
    char *const inputs[] = {xstrdup(input), samples_path(input)};
    char *const outputs[] = {xstrdup(out), samples_path(out)};
    int status = 0;
    for (size_t i = 0; i < 4 && status == 0; i++)
        if (file_is_same(inputs[i / 2], outputs[i % 2]))
            status = err_set(err, "--out '%s' would overwrite the input '%s'", out, inputs[i / 2]);
    for (size_t i = 0; i < 2; i++) {
        free(inputs[i]);
        free(outputs[i]);
    }
    return status;
}

static int compare_rows(const void *a, const void *b)
{
    const MergeRow *x = a, *y = b;
    if (x->result.row_number != y->result.row_number)
        return x->result.row_number < y->result.row_number ? -1 : 1;
    return strcmp(x->result.row_id, y->result.row_id);
}

static int write_file(const Merge *m, const char *path, bool overwrite, Err *err)
{
    ResultFile f;
    RowResult *none;
    size_t zero;
    if (result_file_open(&f, path, overwrite ? RESULT_OVERWRITE : RESULT_NEW, &none, &zero, err) !=
        0)
        return -1;
    int status = 0;
    for (size_t i = 0; i < m->count && status == 0; i++)
        status = result_file_append(&f, &m->rows[i].result, &m->rows[i].samples, err);
    if (status != 0) { /* half a merge looks like a whole one */
        unlink(f.path);
        unlink(f.samples_path);
    }
    result_file_close(&f);
    return status;
}

static int merge(const char *const *paths, size_t count, const char *out, bool force,
                 bool overwrite, Err *err)
{
    Merge m = {0};
    int status = 0;
    for (size_t i = 0; i < count && status == 0; i++)
        status = check_output(paths[i], out, err);
    for (size_t i = 0; i < count && status == 0; i++)
        status = read_file(&m, paths[i], err);
    if (status == 0 && !force)
        status = check_one_machine(&m, err);
    if (status == 0) {
        qsort(m.rows, m.count, sizeof *m.rows, compare_rows);
        status = write_file(&m, out, overwrite, err);
    }
    if (status == 0)
        fprintf(stderr, "%zu rows in %s\n", m.count, out);
    merge_release(&m);
    return status;
}

int cmd_merge(int argc, char **argv, Err *err)
{
    const char *out = NULL, **paths = xcalloc((size_t)argc + 1, sizeof *paths);
    bool force = false, overwrite = false;
    size_t count = 0;
    const Option options[] = {
        {.name = "--out",
         .kind = OPTION_TEXT,
         .value_name = "FILE.csv",
         .target = &out,
         .help = "the file to write; samples beside it"},
        {.name = "--force",
         .kind = OPTION_FLAG,
         .target = &force,
         .help = "also results of different machines or builds"},
        {.name = "--overwrite",
         .kind = OPTION_FLAG,
         .target = &overwrite,
         .help = "replace an existing file"},
    };
    const Command command = {.verb = "merge",
                             .arguments = "FILE.csv...",
                             .summary = "Join the result files of shards, samples included.",
                             .options = options,
                             .num_options = COUNT_OF(options),
                             .min_arguments = 1,
                             .max_arguments = (size_t)argc};
    OptionsOutcome outcome = options_parse(&command, argc, argv, paths, &count, err);
    int code = outcome == OPTIONS_HELP ? EXIT_OK : EXIT_BAD_INPUT;
    if (outcome == OPTIONS_RUN && !out)
        err_set(err, "merge: --out is missing; see tare merge --help");
    else if (outcome == OPTIONS_RUN)
        code = merge(paths, count, out, force, overwrite, err) == 0 ? EXIT_OK : EXIT_BAD_INPUT;
    free(paths);
    return code;
}
