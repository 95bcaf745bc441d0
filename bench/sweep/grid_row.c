/* grid_row: see grid_row.h. */
#include "bench/sweep/grid_row.h"

#include <stdlib.h>
#include <string.h>

#include "bench/machine/machine.h"
#include "bench/result/show.h"
#include "bench/row/result.h"
#include "bench/util/filter.h"
#include "bench/util/process.h"

static const RowResult *result_of(const GridVerb *v, const void *records, size_t i)
{
    return (const RowResult *)((const char *)records + i * v->schema()->size);
}

int grid_rows_select(const GridVerb *v, const void *records, size_t count, const char *regex,
                     bool *selected, Err *err)
{
    NameFilter filter;
    if (name_filter_open(&filter, regex, err) != 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        selected[i] = name_filter_keeps(&filter, result_of(v, records, i)->row_id);
    return name_filter_close(&filter, "rows", err);
}

/* ---- the fresh process ---- */

char **grid_row_command(const GridVerb *v, const void *record, int fd, const char *const *more)
{
    const Schema *s = v->schema();
    size_t n = 0, extra = 0;
    while (more && more[extra])
        extra++;
    char **argv = xcalloc(2 * s->count + extra + 6, sizeof *argv);
    argv[n++] = xstrdup("tare");
    argv[n++] = xstrdup(v->name);
    argv[n++] = xstrdup("/dev/null");
    for (size_t i = 0; i < s->count; i++) {
        FieldTEXT cell;
        field_cell(&s->fields[i], record, cell);
        if (s->fields[i].group != FIELD_CONFIG || !*cell)
            continue;
        argv[n++] = xstrdup("--set");
        argv[n++] = xasprintf("%s=%s", s->fields[i].name, cell);
    }
    argv[n++] = xstrdup("--result-fd");
    argv[n++] = xasprintf("%d", fd);
    for (size_t i = 0; i < extra; i++)
        argv[n++] = xstrdup(more[i]);
    return argv;
}

int grid_row_answer(const GridVerb *v, const void *record, const Samples *samples, int fd, Err *err)
{
    json_t *answer = json_pack("{s:o, s:o}", "result", schema_to_json(v->schema(), record),
                               "samples", samples_to_json(samples));
    int status = json_dumpfd(answer, fd, JSON_COMPACT | JSON_REAL_PRECISION(17));
    json_decref(answer);
    return status == 0 ? 0 : err_set(err, "cannot write the result to descriptor %d", fd);
}

static int take_answer(const GridVerb *v, void *record, Samples *samples, const Child *c, Err *err)
{
    const Schema *s = v->schema();
    json_error_t where;
    json_t *answer = json_loadb(c->answer, c->answer_len, 0, &where);
    if (!answer)
        return err_set(err, "the row's answer is not JSON: %s", where.text);
    OWNED void *answered = xcalloc(1, s->size);
    v->init(answered);
    int status = schema_from_json(s, json_object_get(answer, "result"), answered, err);
    if (status == 0)
        status = samples_from_json(json_object_get(answer, "samples"), samples, err);
    for (size_t i = 0; status == 0 && i < s->count; i++)
        if (s->fields[i].group != FIELD_CONFIG && field_is_missing(&s->fields[i], record))
            field_copy(&s->fields[i], answered, record);
    json_decref(answer);
    return status;
}

int grid_row_ask(const GridVerb *v, void *record, char **argv, double max_seconds, Samples *samples,
                 Err *err)
{
    RowResult *r = record;
    Child c;
    Err why;
    int status = child_run(&c, own_program(), argv, max_seconds, err);
    argv_free(argv);
    if (status != 0)
        return -1;
    if (c.end == CHILD_EXITED && c.code == 0) {
        if (take_answer(v, record, samples, &c, &why) != 0) {
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

/* ---- output ---- */

size_t grid_rows_show(const GridVerb *v, const void *records, size_t count, const bool *in_file,
                      const char *format, FILE *out)
{
    OWNED const void **shown = xcalloc(count + 1, sizeof *shown);
    size_t n = 0, bad = 0;
    for (size_t i = 0; i < count; i++) {
        const RowResult *r = result_of(v, records, i);
        if (!in_file[i])
            continue;
        shown[n++] = r;
        bad += strcmp(r->status, STATUS_FAILED) == 0 || strcmp(r->status, STATUS_IMPLAUSIBLE) == 0;
    }
    if (!show_records(out, table_format(format), v->schema(), shown, n))
        v->show(shown, n, table_format(format), out);
    return bad;
}
