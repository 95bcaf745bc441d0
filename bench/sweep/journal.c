/* journal: see journal.h. */
#include "bench/sweep/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/files/paths.h"
#include "bench/result/csv.h"
#include "bench/result/file.h"
#include "bench/row/config.h"
#include "bench/sweep/spawn.h"

#define MAX_FILE_BYTES ((size_t)1 << 30)

void journal_init(Journal *j, const char *result_path)
{
    OWNED char *target = path_target(result_path);
    *j = (Journal){.fd = -1, .path = path_beside(target, "processes.jsonl")};
}

void journal_close(Journal *j)
{
    if (j->fd >= 0)
        close(j->fd);
    free(j->path);
    *j = (Journal){.fd = -1};
}

bool journal_exists(const Journal *j)
{
    struct stat st;
    return lstat(j->path, &st) == 0;
}

int journal_remove(Journal *j, Err *err)
{
    if (unlink(j->path) != 0 && errno != ENOENT)
        return err_set(err, "cannot remove '%s': %s", j->path, strerror(errno));
    return 0;
}

/* ---- reading ---- */

static int check_runs(const RowConfig *c, const Samples *s, Err *err)
{
    int64_t warmups = 0, trials = 0;
    for (size_t i = 0; i < s->count; i++) {
        *(s->at[i].is_warmup == 0 ? &trials : &warmups) += 1;
        if (s->at[i].wall_ns <= 0) /* INT_MISSING too */
            return err_set(err, "a run without a positive time");
    }
    return trials == c->num_trials && warmups == c->num_warmups
               ? 0
               : err_set(err, "not the warmups and trials of its row");
}

static int check_row(const RowResult *r, Err *err)
{
    char id[ROW_ID_SIZE];
    row_id(&r->config, id);
    if (strcmp(r->status, STATUS_OK) != 0)
        return err_set(err, "a process that is not ok");
    return strcmp(id, r->row_id) == 0
               ? 0
               : err_set(err, "row_id '%.60s' does not belong to the columns of its row",
                         r->row_id);
}

static int take_line(const char *line, size_t len, JournalTake *take, void *context, Err *err)
{
    json_error_t where;
    RowResult r;
    Samples samples;
    samples_init(&samples);
    json_t *document = json_loadb(line, len, 0, &where);
    const json_t *seconds = json_object_get(document, "seconds");
    int status = document
                     ? schema_from_json(&row_schema, json_object_get(document, "result"), &r, err)
                     : err_set(err, "no JSON: %s", where.text);
    if (status == 0)
        status = row_document_samples(document, &samples, err);
    if (status == 0 && !(json_number_value(seconds) >= 0))
        status = err_set(err, "seconds is not a time");
    if (status == 0)
        status = check_row(&r, err);
    if (status == 0)
        status = check_runs(&r.config, &samples, err);
    if (status == 0)
        status = take(context, &r, &samples, json_number_value(seconds), err);
    samples_release(&samples);
    json_decref(document);
    return status;
}

int journal_read(Journal *j, JournalTake *take, void *context, Err *err)
{
    size_t len;
    int line = 1, status = 0;
    if (!journal_exists(j))
        return 0;
    char *text = file_read(j->path, MAX_FILE_BYTES, &len, err);
    if (!text)
        return -1;
    const char *at = text, *newline;
    for (; status == 0 && (newline = memchr(at, '\n', len - (size_t)(at - text))); line++) {
        if (take_line(at, (size_t)(newline - at), take, context, err) != 0)
            status = err_prefix(err, "%s:%d", j->path, line);
        at = newline + 1;
    }
    off_t whole = (off_t)(at - text);
    if (status == 0 && (size_t)whole < len && truncate(j->path, whole) != 0)
        status = err_set(err, "cannot write '%s': %s", j->path, strerror(errno));
    free(text);
    return status;
}

/* ---- writing ---- */

int journal_add(Journal *j, const RowResult *r, const Samples *samples, double seconds, Err *err)
{
    if (j->fd < 0)
        j->fd = open(j->path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (j->fd < 0)
        return err_set(err, "cannot create '%s': %s", j->path, strerror(errno));
    json_t *document = row_document(r, samples, NULL);
    json_object_set_new(document, "seconds", json_real(seconds));
    OWNED char *line = json_dumps(document, JSON_COMPACT | JSON_REAL_PRECISION(17));
    json_decref(document);
    CHECK(line, "a process that is no JSON");
    size_t len = strlen(line);
    line[len] = '\n'; /* in the place of its NUL */
    /* Without fsync: what a power cut takes of it costs a process each, no more. */
    return file_append(j->fd, j->path, line, len + 1, false, err);
}
