/* grid_row: see grid_row.h. */
#include "bench/sweep/grid_row.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/commands.h"
#include "bench/machine/machine.h"
#include "bench/result/show.h"
#include "bench/row/config.h"
#include "bench/row/result.h"
#include "bench/row/stamp.h"
#include "bench/row/warning.h"
#include "bench/util/filter.h"
#include "bench/util/interrupt.h"
#include "bench/util/process.h"

/* ---- records ---- */

const Schema *grid_schema(const Schema *s, Field *fields)
{
    for (size_t i = 0; i < s->count; i++)
        if (!fields[i].doc)
            fields[i] = *row_field(fields[i].name);
    return s;
}

void grid_row_init(const Schema *s, void *record)
{
    RowResult *r = record;
    schema_init(s, record);
    row_result_init(r);
    row_config_init(&r->config);
    for (const Field *f = s->fields; f < s->fields + s->count; f++)
        if (f->group == FIELD_CONFIG && f->fallback)
            field_default(f, record);
}

void *grid_study_row(const GridStudy *s, size_t i)
{
    return (char *)s->rows + i * s->grid.schema->size;
}

/* ---- before anything runs ---- */

static int load(GridStudy *s, const char *path, const TextList *settings, Err *err)
{
    const GridVerb *v = s->verb;
    if (path && strcmp(path, "/dev/null") != 0)
        return config_load(v->file(), &s->grid, path, settings, err);
    const char *text = path ? "" : v->built_in; /* /dev/null is no file to read: all by --set */
    return config_load_text(v->file(), &s->grid, text, strlen(text),
                            path ? path : "the built-in grid", settings, err);
}

static void make_row(const GridStudy *s, const GridRows *p, size_t i)
{
    RowResult *r = grid_study_row(s, i);
    Err err;
    grid_row_init(s->grid.schema, r);
    for (size_t d = 0; d < p->depth; d++)
        CHECK(s->grid.parse(p->order[d], r, grid_value(p, i, d), &err) == 0, "%s", err.msg);
    s->verb->plan(r);
    grid_row_suffix(p, i, r->row_id);
}

static int expand(GridStudy *s, Err *err)
{
    GridRows p;
    int status = grid_rows_init(&p, &s->grid, s->verb->named, s->verb->num_named, err);
    s->count = status == 0 ? p.count : 0;
    s->rows = xcalloc(s->count + 1, s->grid.schema->size);
    for (size_t i = 0; i < s->count; i++)
        make_row(s, &p, i);
    grid_rows_release(&p);
    return status;
}

static int choose(GridStudy *s, const char *regex, Err *err)
{
    NameFilter filter;
    if (name_filter_open(&filter, regex, err) != 0)
        return -1;
    for (size_t i = 0; i < s->count; i++)
        s->selected[i] =
            name_filter_keeps(&filter, ((const RowResult *)grid_study_row(s, i))->row_id);
    return name_filter_close(&filter, "rows", err);
}

int grid_study_init(GridStudy *s, const GridVerb *v, const ConfigCommand *command, Err *err)
{
    *s = (GridStudy){.verb = v};
    if (load(s, command->path, &command->settings, err) != 0)
        return -1;
    int status = expand(s, err);
    s->selected = xcalloc(s->count + 1, sizeof *s->selected);
    s->in_file = xcalloc(s->count + 1, sizeof *s->in_file);
    if (status == 0)
        status = choose(s, command->filter, err);
    if (status != 0)
        grid_study_release(s);
    return status;
}

void grid_study_release(GridStudy *s)
{
    config_release(s->verb->file(), &s->grid);
    free(s->rows);
    free(s->selected);
    free(s->in_file);
    *s = (GridStudy){.verb = s->verb};
}

int64_t grid_study_memory(const GridStudy *s)
{
    return s->grid.max_memory ? s->grid.max_memory : memory_auto_limit();
}

/* ---- running ---- */

/* A study under way. */
typedef struct Runner {
    GridStudy *s;
    const GridRun *run;
    ResultFile file;
    Progress progress;
} Runner;

static TimeLeft time_left(const Runner *r, size_t next)
{
    return r->run->left ? r->run->left(r->run->ctx, next) : (TimeLeft){NAN, NAN, NAN};
}

/* Puts a row that has a status into the file. */
static int finish_row(Runner *r, size_t i, const Samples *samples, Err *err)
{
    RowResult *row = grid_study_row(r->s, i);
    FieldTEXT warning;
    row_stamp(row);
    if (result_file_add(&r->file, row, row->row_id, samples, err) != 0)
        return -1;
    r->s->in_file[i] = true;
    progress_row_ended(&r->progress, row->row_id, row, time_left(r, i + 1));
    if (r->s->verb->warns && row_warning(row, warning))
        progress_note(&r->progress, "    warning: %s", warning);
    return 0;
}

static int run_row(Runner *r, size_t i, Err *err)
{
    const RowResult *row = grid_study_row(r->s, i);
    Samples samples;
    samples_init(&samples);
    progress_row_begins(&r->progress, row->row_id, time_left(r, i));
    int status = r->run->row(r->run->ctx, i, &samples, err);
    if (status == 0 && row->status[0])
        status = finish_row(r, i, &samples, err);
    samples_release(&samples);
    return status;
}

int grid_study_run(GridStudy *s, const GridRun *run, const char *out, bool overwrite, FILE *log,
                   Err *err)
{
    Runner r = {.s = s, .run = run};
    size_t total = 0;
    int status = 0;
    if (result_file_create(&r.file, s->grid.schema, out, overwrite, err) != 0)
        return -1;
    for (size_t i = 0; i < s->count; i++)
        total += s->selected[i];
    progress_start(&r.progress, log, total);
    if (run->begin)
        run->begin(run->ctx, &r.progress);
    for (size_t i = 0; i < s->count && status == 0 && !interrupted(); i++)
        if (s->selected[i])
            status = run_row(&r, i, err);
    progress_end(&r.progress);
    result_file_close(&r.file);
    return status;
}

/* Prints the rows in the file. Returns how many failed or are implausible. */
static size_t show(const GridStudy *s, TableFormat format, FILE *out)
{
    OWNED const void **shown = xcalloc(s->count + 1, sizeof *shown);
    size_t n = 0, bad = 0;
    for (size_t i = 0; i < s->count; i++) {
        const RowResult *r = grid_study_row(s, i);
        if (!s->in_file[i])
            continue;
        shown[n++] = r;
        bad += status_is_bad(r->status);
    }
    if (!show_records(out, format, s->grid.schema, shown, n))
        s->verb->show(shown, n, format, out);
    return bad;
}

int grid_study_command(GridStudy *s, const char *out, bool overwrite, const char *format, Err *err)
{
    OWNED char *path = result_file_path(out, s->grid.name, err);
    if (!path)
        return -1;
    interrupt_install();
    if (s->verb->run(s, path, overwrite, stderr, err) != 0)
        return -1;
    size_t bad = show(s, table_format(format), stdout);
    return interrupted() ? EXIT_INTERRUPTED : bad ? EXIT_NOT_OK : EXIT_OK;
}

/* ---- the fresh process ---- */

char **grid_row_command(const GridStudy *s, const void *record, int fd)
{
    const Schema *schema = s->grid.schema;
    char **argv = NULL;
    argv_add(&argv, "tare");
    argv_add(&argv, "%s", s->verb->name);
    argv_add(&argv, "/dev/null");
    for (size_t i = 0; i < schema->count; i++) {
        const Field *f = &schema->fields[i];
        FieldTEXT cell;
        field_cell(f, record, cell);
        if (f->group != FIELD_CONFIG || !*cell)
            continue;
        argv_add(&argv, "--set");
        argv_add(&argv, "%s=%s", f->name, cell);
    }
    argv_add(&argv, "--result-fd");
    argv_add(&argv, "%d", fd);
    return argv;
}

int grid_row_answer(const GridStudy *s, const void *record, const Samples *samples, int fd,
                    Err *err)
{
    return answer_write(json_pack("{s:o, s:o}", "result", schema_to_json(s->grid.schema, record),
                                  "samples", samples_to_json(samples)),
                        fd, err);
}

static int take_answer(const Schema *s, void *record, Samples *samples, const Child *c, Err *err)
{
    json_error_t where;
    json_auto_t *answer = json_loadb(c->answer, c->answer_len, 0, &where);
    if (!answer)
        return err_set(err, "the row's answer is not JSON: %s", where.text);
    OWNED void *answered = xcalloc(1, s->size);
    if (schema_from_json(s, json_object_get(answer, "result"), answered, err) != 0 ||
        samples_from_json(json_object_get(answer, "samples"), samples, err) != 0)
        return -1;
    for (const Field *f = s->fields; f < s->fields + s->count; f++)
        if (f->group != FIELD_CONFIG && field_is_missing(f, record))
            field_copy(f, answered, record);
    return 0;
}

int grid_row_ask(const GridStudy *s, void *record, char **argv, Samples *samples, Err *err)
{
    RowResult *r = record;
    Child c;
    Err why;
    int status = child_run(&c, own_program(), argv, s->grid.max_row_time, err);
    argv_free(argv);
    if (status != 0)
        return -1;
    if (c.end == CHILD_EXITED && c.code == 0) {
        if (take_answer(s->grid.schema, record, samples, &c, &why) != 0) {
            text_set(r->status, STATUS_FAILED);
            text_set(r->status_reason, why.msg);
            samples->count = 0;
        }
    } else if (c.end != CHILD_INTERRUPTED) {
        text_set(r->status, STATUS_FAILED);
        child_reason(&c, r->status_reason, sizeof r->status_reason);
    }
    child_release(&c);
    return 0;
}
