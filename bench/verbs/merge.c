/* merge: `tare merge`: the result files of shards into one, samples included.
 *
 * The one idea: everything is read and checked before the new file is made. Rows stand in the order
 * of their config. Results of different machines or builds are refused unless forced: a table that
 * mixes them compares nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/files/paths.h"
#include "bench/commands.h"
#include "bench/result/csv.h"
#include "bench/result/file.h"
#include "bench/result/fingerprint.h"
#include "bench/result/read.h"
#include "bench/util/interrupt.h"
#include "bench/util/options.h"
#include "bench/util/owned.h"

typedef struct MergeRow {
    const StoredRow *stored;
    const char *path; /* the file it came from */
} MergeRow;

typedef struct Merge {
    StoredResult *files; /* [num_files] */
    size_t num_files;
    MergeRow *rows;
    size_t count;
} Merge;

static void merge_release(Merge *m)
{
    for (size_t i = 0; i < m->num_files; i++)
        stored_release(&m->files[i]);
    free(m->files);
    free(m->rows);
}

static int read_file(Merge *m, const char *path, Err *err)
{
    m->files = xrealloc(m->files, (m->num_files + 1) * sizeof *m->files);
    StoredResult *s = &m->files[m->num_files++];
    if (stored_read(s, path, STORED_JUDGE, err) != 0)
        return -1;
    if (s->stray_line)
        return err_set(err, "%s:%d: a sample of row %s, which '%s' does not have", s->samples_path,
                       s->stray_line, s->stray_row, path);
    m->rows = xrealloc(m->rows, (m->count + s->count + 1) * sizeof *m->rows);
    for (size_t i = 0; i < s->count; i++)
        m->rows[m->count++] = (MergeRow){&s->rows[i], s->path};
    return 0;
}

static int check_distinct(const Merge *m, Err *err)
{
    NameIndex ids = {0};
    size_t first, again;
    for (size_t i = 0; i < m->count; i++)
        name_index_add(&ids, m->rows[i].stored->row.row_id);
    name_index_sort(&ids);
    bool repeats = name_index_repeats(&ids, &first, &again);
    name_index_release(&ids);
    return repeats ? err_set(err, "%s:%d: row %s is in '%s' already", m->rows[again].path,
                             m->rows[again].stored->line, m->rows[again].stored->row.row_id,
                             m->rows[first].path)
                   : 0;
}

/* Each row beside the first that knows the column. */
static int check_column(const Merge *m, const Field *f, Err *err)
{
    size_t first = 0;
    while (first < m->count && !fingerprint_knows(f, &m->rows[first].stored->row))
        first++;
    for (size_t i = first + 1; i < m->count; i++) {
        const MergeRow *a = &m->rows[first], *b = &m->rows[i];
        FieldTEXT in_a, in_b;
        if (a->path == b->path || !fingerprint_differs(f, &a->stored->row, &b->stored->row))
            continue;
        field_cell(f, &a->stored->row, in_a);
        field_cell(f, &b->stored->row, in_b);
        return err_set(err, "%s is '%.100s' in '%s' and '%.100s' in '%s'; --force merges anyway",
                       f->name, in_a, a->path, in_b, b->path);
    }
    return 0;
}

static int check_one_machine(const Merge *m, Err *err)
{
    OWNED char *names = xstrdup(FINGERPRINT_COLUMNS);
    char *rest = names;
    for (const char *name; (name = strsep(&rest, "|"));)
        if (check_column(m, row_field(name), err) != 0)
            return -1;
    return 0;
}

/* Writing must not destroy what is read: neither file may be one of an input's. */
static int check_output(const char *input, const char *out, Err *err)
{
    OWNED char *in_samples = samples_path(input), *out_samples = samples_path(out);
    OWNED char *in_tokens = tokens_path(input), *out_tokens = tokens_path(out);
    const char *const inputs[] = {input, in_samples, in_tokens};
    const char *const outputs[] = {out, out_samples, out_tokens};
    for (size_t i = 0; i < 9; i++)
        if (file_is_same(inputs[i / 3], outputs[i % 3]))
            return err_set(err, "--out '%s' would overwrite the input '%s'", out, inputs[i / 3]);
    return 0;
}

static int compare_rows(const void *a, const void *b)
{
    const RowResult *x = &((const MergeRow *)a)->stored->row,
                    *y = &((const MergeRow *)b)->stored->row;
    if (x->row_number != y->row_number)
        return x->row_number < y->row_number ? -1 : 1;
    return strcmp(x->row_id, y->row_id);
}

static int write_file(const Merge *m, const char *path, bool overwrite, Err *err)
{
    ResultFile f;
    RowResult *none;
    size_t zero;
    if (path_check_new(path, overwrite, err) != 0 ||
        result_file_open(&f, path, overwrite ? RESULT_OVERWRITE : RESULT_NEW, &none, &zero, err) !=
            0)
        return -1;
    OWNED ResultLine *lines = xcalloc(m->count + 1, sizeof *lines);
    for (size_t i = 0; i < m->count; i++)
        lines[i] = (ResultLine){&m->rows[i].stored->row, &m->rows[i].stored->samples};
    int status = result_file_write(&f, lines, m->count, err);
    if (status != 0) { /* half a merge looks like a whole one */
        unlink(f.path);
        unlink(f.samples_path);
        unlink(f.tokens_path);
    }
    result_file_close(&f);
    return status;
}

/* `paths` ends with NULL. */
static int merge(const char *const *paths, const char *out, bool force, bool overwrite, Err *err)
{
    OWNED_BY(merge_release) Merge m = {0};
    for (size_t i = 0; paths[i]; i++)
        if (check_output(paths[i], out, err) != 0)
            return -1;
    for (size_t i = 0; paths[i]; i++)
        if (read_file(&m, paths[i], err) != 0)
            return -1;
    if (check_distinct(&m, err) != 0 || (!force && check_one_machine(&m, err) != 0))
        return -1;
    qsort(m.rows, m.count, sizeof *m.rows, compare_rows);
    if (write_file(&m, out, overwrite, err) != 0)
        return -1;
    fprintf(stderr, "%zu rows in %s\n", m.count, out);
    return 0;
}

int cmd_merge(int argc, char **argv, Err *err)
{
    OWNED const char **paths = xcalloc((size_t)argc + 1, sizeof *paths);
    const char *out = NULL;
    bool force = false, overwrite = false;
    const Option options[] = {
        option_text("--out", "FILE.csv", &out, NULL, "the file to write; samples beside it"),
        option_flag("--force", &force, "also results of different machines or builds"),
        option_flag("--overwrite", &overwrite, "replace an existing file"),
    };
    const Command command = {.verb = "merge",
                             .arguments = {"FILE.csv...", 1, (size_t)argc, paths},
                             .summary = "Join the result files of shards, samples included.",
                             OPTIONS(options)};
    int outcome = options_parse(&command, argc, argv, err);
    if (outcome != OPTIONS_RUN)
        return outcome;
    interrupt_quit(EXIT_INTERRUPTED);
    return out ? merge(paths, out, force, overwrite, err)
               : err_set(err, "merge: --out is missing; see tare merge --help");
}
