/* read: see read.h. */
#include "bench/result/read.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/result/csv.h"
#include "bench/row/config.h"
#include "bench/util/owned.h"

#define MAX_FILE_BYTES ((size_t)1 << 30)

static const char *const statuses[] = {
    STATUS_OK,          STATUS_PLANNED, STATUS_SKIPPED_MEMORY, STATUS_SKIPPED_TIME,
    STATUS_UNSUPPORTED, STATUS_FAILED,  STATUS_IMPLAUSIBLE};

static bool is_status(const char *text)
{
    for (size_t i = 0; i < COUNT_OF(statuses); i++)
        if (strcmp(text, statuses[i]) == 0)
            return true;
    return false;
}

/* Whether it has a time and so the trials behind it. */
static bool ran(const RowResult *r)
{
    return strcmp(r->status, STATUS_OK) == 0 || strcmp(r->status, STATUS_IMPLAUSIBLE) == 0;
}

/* ---- files ---- */

/* Whether a killed sweep may have left this and no more: not even the whole header. */
static bool is_torn_header(const char *text, size_t len, const Schema *s)
{
    OWNED char *header = NULL;
    size_t size;
    FILE *f = open_memstream(&header, &size);
    CHECK(f, "no memory for a stream");
    schema_write_header(s, f);
    fclose(f);
    return len < size && memcmp(text, header, len) == 0;
}

/* The columns of this version. */
static int require_all_columns(const CsvTable *t, const Schema *s, Err *err)
{
    bool same = t->columns == s->count;
    for (size_t i = 0; same && i < s->count; i++)
        same = strcmp(csv_name(t, i), s->fields[i].name) == 0;
    return same ? 0
                : err_set(err, "%s:1: its columns are not those of this version; use another --out",
                          t->path);
}

/* An empty table, t->columns = 0, where there is no more than a torn header. `needed`: what a file
 * of any version has; ends with NULL. */
static int load_table(CsvTable *t, const char *path, StoredUse use, const Schema *s,
                      const char *const *needed, Err *err)
{
    size_t len;
    OWNED char *text = file_read(path, MAX_FILE_BYTES, &len, err);
    if (!text)
        return -1;
    const char *newline = memrchr(text, '\n', len);
    if (use == STORED_CONTINUE && newline)
        len = (size_t)(newline - text) + 1;
    if (use == STORED_CONTINUE && is_torn_header(text, len, s))
        return 0;
    if (csv_load_text(t, text, len, path, err) != 0)
        return -1;
    if (use == STORED_CONTINUE)
        return require_all_columns(t, s, err);
    for (; *needed; needed++)
        if (csv_column(t, *needed) == SIZE_MAX)
            return err_set(err, "%s:1: there is no column %s", t->path, *needed);
    return 0;
}

/* ---- rows ---- */

static int check_row(const StoredResult *s, const StoredRow *stored, Err *err)
{
    const RowResult *r = &stored->row;
    if (r->row_id[0] == '\0')
        return err_set(err, "%s:%d: row_id is empty", s->path, stored->line);
    if (!is_status(r->status))
        return err_set(err, "%s:%d: status '%.60s' is none that tare writes", s->path, stored->line,
                       r->status);
    if (ran(r) && r->mean_time_ms <= 0)
        return err_set(err, "%s:%d: mean_time_ms is %g, not a positive time", s->path, stored->line,
                       r->mean_time_ms);
    return 0;
}

static int read_rows(StoredResult *s, const CsvTable *t, Err *err)
{
    s->rows = xcalloc(t->rows + 1, sizeof *s->rows);
    for (size_t i = 0; i < t->rows; i++, s->count++) {
        StoredRow *stored = &s->rows[i];
        stored->line = t->lines[i];
        if (csv_read_record(t, i, &row_schema, &stored->row, err) != 0 ||
            check_row(s, stored, err) != 0)
            return -1;
        name_index_add(&s->by_id, stored->row.row_id);
    }
    name_index_sort(&s->by_id);
    size_t first, again;
    if (name_index_repeats(&s->by_id, &first, &again))
        return err_set(err, "%s:%d: row_id '%s' appears twice: the row of line %d once more",
                       s->path, s->rows[again].line, s->rows[again].row.row_id,
                       s->rows[first].line);
    return 0;
}

/* ---- samples ---- */

/* Trials are numbered from 1 in the order in which they ran, by others than us in each process
 * anew; an older file may lack the numbers. */
static int check_sample(const CsvTable *t, size_t record, const StoredRow *owner, const Sample *s,
                        Err *err)
{
    const Samples *runs = &owner->samples;
    const Sample *last = runs->count ? &runs->at[runs->count - 1] : NULL;
    bool begins = last && last->process != s->process;
    int64_t expected =
        last && last->trial != INT_MISSING ? last->trial + 1 : (int64_t)runs->count + 1;
    if (last && s->process < last->process)
        return err_set(err, "%s:%d: process %" PRId64 " of row %s after process %" PRId64, t->path,
                       t->lines[record], s->process, owner->row.row_id, last->process);
    if (s->trial != INT_MISSING && s->trial != expected && !(begins && s->trial == 1))
        return err_set(err, "%s:%d: trial %" PRId64 " of row %s where trial %" PRId64 " is due",
                       t->path, t->lines[record], s->trial, owner->row.row_id, expected);
    if (s->wall_ns <= 0) /* INT_MISSING too */
        return err_set(err, "%s:%d: wall_ns is '%s', not a positive time", t->path,
                       t->lines[record], csv_cell(t, record, csv_column(t, "wall_ns")));
    return 0;
}

/* Records of one row stand together, so the owner of the last one is nearly always the next
 * one's. */
static int read_samples(StoredResult *s, const CsvTable *t, Err *err)
{
    StoredRow *owner = NULL;
    for (size_t i = 0; i < t->rows; i++) {
        SampleLine line;
        if (csv_read_record(t, i, &sample_line_schema, &line, err) != 0)
            return -1;
        if (!owner || strcmp(owner->row.row_id, line.row_id) != 0) {
            size_t place = name_index_find(&s->by_id, line.row_id);
            owner = place == SIZE_MAX ? NULL : &s->rows[place];
        }
        if (!owner && s->stray_line == 0) {
            s->stray_line = t->lines[i];
            text_set(s->stray_row, line.row_id);
        }
        if (owner && check_sample(t, i, owner, &line.sample, err) != 0)
            return -1;
        if (owner)
            samples_add(&owner->samples, line.sample);
    }
    return 0;
}

/* Of rows without a line in the result, which a killed sweep leaves, nothing is kept. */
static int read_tokens(StoredResult *s, StoredUse use, Err *err)
{
    static const char *const needed[] = {"row_id", "trial", "token", "ns", NULL};
    OWNED_BY(csv_release) CsvTable t = {0};
    if (access(s->tokens_path, F_OK) != 0)
        return 0;
    if (load_table(&t, s->tokens_path, use, &token_line_schema, needed, err) != 0)
        return -1;
    for (size_t i = 0; i < t.rows; i++) {
        TokenLine line;
        if (csv_read_record(&t, i, &token_line_schema, &line, err) != 0)
            return -1;
        size_t place = name_index_find(&s->by_id, line.row_id);
        if (place != SIZE_MAX)
            samples_add_token(&s->rows[place].samples, line.token);
    }
    return 0;
}

/* A column that the file lacks says nothing. */
static bool differs(int64_t counted, int64_t claimed)
{
    return claimed != INT_MISSING && counted != claimed;
}

/* Runs of all processes where each has so many. */
static int64_t expected(const RowResult *r, int64_t runs)
{
    return runs == INT_MISSING ? INT_MISSING : runs * row_processes(&r->config);
}

/* Several processes that count their warmups themselves may differ. */
static bool warmups_are_told(const RowResult *r)
{
    return row_processes(&r->config) == 1 || !row_config_finds_warmups(&r->config);
}

/* As many processes as it claims, each with equally many trials. An older file tells of none. */
static int check_processes(const StoredResult *s, const StoredRow *stored, Err *err)
{
    const RowResult *r = &stored->row;
    const Samples *all = &stored->samples;
    int64_t processes = 0, trials = 0;
    Samples one;
    for (size_t at = 0; at < all->count; at += one.count, processes++) {
        int64_t timed = 0;
        one = samples_of_process(all, at);
        for (size_t i = 0; i < one.count; i++)
            timed += one.at[i].is_warmup == 0;
        if (processes > 0 && timed != trials)
            return err_set(err,
                           "'%s' has %" PRId64 " trials of process %" PRId64
                           " of row %s, and %" PRId64 " of another",
                           s->samples_path, timed, one.at[0].process, r->row_id, trials);
        trials = timed;
    }
    if (differs(processes, r->config.num_processes))
        return err_set(err, "'%s' has %" PRId64 " processes of row %s, but %s:%d claims %" PRId64,
                       s->samples_path, processes, r->row_id, s->path, stored->line,
                       r->config.num_processes);
    return 0;
}

static int check_trials(const StoredResult *s, const StoredRow *stored, Err *err)
{
    const RowResult *r = &stored->row;
    int64_t warmups = 0, trials = 0;
    for (size_t i = 0; i < stored->samples.count; i++)
        *(stored->samples.at[i].is_warmup == 0 ? &trials : &warmups) += 1;
    if (!ran(r))
        return 0;
    if (stored->samples.count == 0)
        return err_set(err, "'%s' has no samples of row %s, which is %s in %s:%d", s->samples_path,
                       r->row_id, r->status, s->path, stored->line);
    if (trials == 0)
        return err_set(err, "'%s' has no timed trial of row_id '%s', which is %s in %s:%d",
                       s->samples_path, r->row_id, r->status, s->path, stored->line);
    if (differs(trials, expected(r, r->config.num_trials)) ||
        (warmups_are_told(r) && differs(warmups, expected(r, r->config.num_warmups))))
        return err_set(err,
                       "'%s' has %" PRId64 " warmups and %" PRId64
                       " trials of row %s, but %s:%d claims %" PRId64 " and %" PRId64,
                       s->samples_path, warmups, trials, r->row_id, s->path, stored->line,
                       expected(r, r->config.num_warmups), expected(r, r->config.num_trials));
    return check_processes(s, stored, err);
}

/* ---- both ---- */

int stored_read(StoredResult *s, const char *path, StoredUse use, Err *err)
{
    static const char *const of_rows[] = {"row_id", "status", NULL};
    static const char *const of_samples[] = {"row_id", "is_warmup", "wall_ns", NULL};
    OWNED_BY(csv_release) CsvTable table = {0}, samples = {0};
    *s = (StoredResult){.path = xstrdup(path),
                        .samples_path = samples_path(path),
                        .tokens_path = tokens_path(path)};
    if (load_table(&table, s->path, use, &row_schema, of_rows, err) != 0 ||
        read_rows(s, &table, err) != 0 ||
        load_table(&samples, s->samples_path, use, &sample_line_schema, of_samples, err) != 0 ||
        read_samples(s, &samples, err) != 0 || read_tokens(s, use, err) != 0)
        return -1;
    for (size_t i = 0; i < s->count; i++)
        if (check_trials(s, &s->rows[i], err) != 0)
            return -1;
    return 0;
}

void stored_release(StoredResult *s)
{
    for (size_t i = 0; i < s->count; i++)
        samples_release(&s->rows[i].samples);
    free(s->rows);
    name_index_release(&s->by_id);
    free(s->path);
    free(s->samples_path);
    free(s->tokens_path);
    *s = (StoredResult){0};
}

const StoredRow *stored_find(const StoredResult *s, const char *row_id)
{
    size_t place = name_index_find(&s->by_id, row_id);
    return place == SIZE_MAX ? NULL : &s->rows[place];
}
