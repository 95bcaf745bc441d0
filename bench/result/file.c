/* file: see file.h. */
#include "bench/result/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/files/paths.h"
#include "bench/result/csv.h"
#include "bench/result/read.h"
#include "bench/row/config.h"
#include "bench/util/owned.h"

/* ---- bytes to disk ---- */

/* Collects text in memory, to write it to disk in one piece. */
typedef struct Text {
    FILE *stream;
    char *data;
    size_t len;
} Text;

static void text_open(Text *t)
{
    *t = (Text){0};
    t->stream = open_memstream(&t->data, &t->len);
    CHECK(t->stream, "no memory for a stream");
}

static int write_all(int fd, const char *data, size_t len, bool synced)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        data += n;
        len -= (size_t)n;
    }
    return synced ? fsync(fd) : 0;
}

int file_append(int fd, const char *path, const char *text, size_t len, bool synced, Err *err)
{
    off_t end = lseek(fd, 0, SEEK_END);
    if (end >= 0 && write_all(fd, text, len, synced) == 0)
        return 0;
    err_set(err, "cannot write '%s': %s", path, strerror(errno));
    if (end >= 0 && ftruncate(fd, end) != 0)
        err_set(err, "cannot write '%s' nor take the torn line back: %s", path, strerror(errno));
    return -1;
}

/* Closes the text and appends it to the file. On failure the file is as before. */
static int text_append(Text *t, int fd, const char *path, Err *err)
{
    fclose(t->stream);
    int status = file_append(fd, path, t->data, t->len, true, err);
    free(t->data);
    return status;
}

/* Replaces the file at `path` and *fd by the text. Locks the new file before it gets the name, so
 * that no other program comes in between. */
static int text_replace(Text *t, int *fd, const char *path, Err *err)
{
    OWNED char *temporary = xasprintf("%s.tmp", path);
    fclose(t->stream);
    int new_fd = open(temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    int status = new_fd >= 0 && flock(new_fd, LOCK_EX | LOCK_NB) == 0 &&
                         write_all(new_fd, t->data, t->len, true) == 0 &&
                         rename(temporary, path) == 0
                     ? 0
                     : -1;
    if (status != 0) {
        err_set(err, "cannot write '%s': %s", temporary, strerror(errno));
        if (new_fd >= 0) {
            unlink(temporary);
            close(new_fd);
        }
    } else {
        close(*fd);
        *fd = new_fd;
    }
    free(t->data);
    return status;
}

/* ---- opening ---- */

char *result_file_path(const char *out, const char *name, Err *err)
{
    if (out)
        return xstrdup(out);
    if (mkdir("results", 0777) != 0 && errno != EEXIST) {
        err_set(err, "cannot create the folder 'results': %s", strerror(errno));
        return NULL;
    }
    return xasprintf("results/%s.csv", name);
}

/* Opens and locks; *existed: whether the file was there. Looks at the name again after locking,
 * since text_replace of another sweep may have given it to a new file meanwhile. */
static int open_locked(const char *path, bool *existed, Err *err)
{
    for (;;) {
        struct stat at_path, opened;
        *existed = stat(path, &at_path) == 0;
        if (*existed && path_is_stream(path))
            return err_set(err, "cannot keep results in '%s': it is %s", path,
                           S_ISREG(at_path.st_mode) ? "standard output" : "not a regular file");
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (fd < 0)
            return path_refuse(path, err);
        if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
            close(fd);
            return err_set(err, "'%s' is being written by another sweep", path);
        }
        if (stat(path, &at_path) == 0 && fstat(fd, &opened) == 0 &&
            at_path.st_ino == opened.st_ino && at_path.st_dev == opened.st_dev)
            return fd;
        close(fd);
    }
}

/* Whether a file begins as a result does. */
static bool is_result(const char *path)
{
    static const char start[] = "model_size,d_model,";
    char head[sizeof start] = "";
    FILE *f = fopen(path, "r");
    bool same =
        f && fread(head, 1, sizeof start - 1, f) == sizeof start - 1 && strcmp(head, start) == 0;
    if (f)
        fclose(f);
    return same;
}

/* NAME and NAME.csv would keep their samples in one file; the other of the two. Caller frees. */
static char *twin_path(const char *path)
{
    size_t len = strlen(path);
    bool named_csv = len > 4 && strcmp(path + len - 4, ".csv") == 0;
    return named_csv ? xasprintf("%.*s", (int)len - 4, path) : xasprintf("%s.csv", path);
}

int result_stray(const char *path, const char *what, Err *err)
{
    return err_set(err,
                   "'%s' exists, the %s of a result that is not there; replace it with --overwrite",
                   path, what);
}

/* As for samples; the file is made with the first tokens. */
static int check_tokens(const ResultFile *f, bool result_existed, ResultOpen how, Err *err)
{
    struct stat st;
    if (stat(f->tokens_path, &st) != 0)
        return 0;
    if (!S_ISREG(st.st_mode))
        return err_set(err, "cannot keep tokens in '%s': it is not a regular file", f->tokens_path);
    return result_existed || how == RESULT_OVERWRITE ? 0
                                                     : result_stray(f->tokens_path, "tokens", err);
}

/* The samples file may be there only as that of this result. */
static int open_samples(const ResultFile *f, bool result_existed, ResultOpen how, Err *err)
{
    struct stat st;
    const char *path = f->samples_path;
    OWNED char *twin = twin_path(f->path);
    bool exists = stat(path, &st) == 0, shared = exists && is_result(twin);
    if (exists && !S_ISREG(st.st_mode))
        return err_set(err, "cannot keep samples in '%s': it is not a regular file", path);
    if (shared && (!result_existed || how == RESULT_OVERWRITE))
        return err_set(err, "'%s' would take '%s', the samples file of '%s'; use another name",
                       f->path, path, twin);
    if (exists && !result_existed && how != RESULT_OVERWRITE)
        return result_stray(path, "samples", err);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    return fd < 0 ? err_set(err, "cannot create '%s': %s", path, strerror(errno)) : fd;
}

/* ---- an existing result ---- */

/* What may be continued: written by this version, every row_id that of its row's columns. */
static int check_ours(const StoredResult *s, Err *err)
{
    for (size_t i = 0; i < s->count; i++) {
        const RowResult *r = &s->rows[i].row;
        char id[ROW_ID_SIZE];
        if (r->schema != ROW_SCHEMA)
            return err_set(err,
                           "%s:%d: its schema is not %d, that of this version; use another --out",
                           s->path, s->rows[i].line, ROW_SCHEMA);
        row_id(&r->config, id);
        if (strcmp(id, r->row_id) != 0)
            return err_set(err, "%s:%d: row_id '%s' does not belong to the columns of its row",
                           s->path, s->rows[i].line, r->row_id);
    }
    return 0;
}

static int load_rows(const ResultFile *f, RowResult **rows, size_t *count, Err *err)
{
    OWNED_BY(stored_release) StoredResult s;
    if (stored_read(&s, f->path, STORED_CONTINUE, err) != 0 || check_ours(&s, err) != 0)
        return -1;
    *rows = s.count ? xcalloc(s.count, sizeof **rows) : NULL;
    *count = s.count;
    for (size_t i = 0; i < s.count; i++)
        (*rows)[i] = s.rows[i].row;
    return 0;
}

static int write_headers(ResultFile *f, Err *err)
{
    Text text;
    if (ftruncate(f->samples_fd, 0) != 0 || ftruncate(f->fd, 0) != 0)
        return err_set(err, "cannot empty '%s': %s", f->path, strerror(errno));
    text_open(&text);
    schema_write_header(&sample_line_schema, text.stream);
    if (text_append(&text, f->samples_fd, f->samples_path, err) != 0)
        return -1;
    if (unlink(f->tokens_path) != 0 && errno != ENOENT)
        return err_set(err, "cannot remove '%s': %s", f->tokens_path, strerror(errno));
    text_open(&text);
    schema_write_header(f->schema, text.stream);
    return text_append(&text, f->fd, f->path, err);
}

/* rows NULL: an existing result is never read. */
static int open_files(ResultFile *f, const Schema *schema, const char *path, ResultOpen how,
                      RowResult **rows, size_t *count, Err *err)
{
    bool existed, samples_existed;
    *f = (ResultFile){.fd = -1, .samples_fd = -1};
    if (strcmp(path, "-") == 0)
        return err_set(err,
                       "--out -: a result is two files, so it cannot go to standard output; use "
                       "--out FILE.csv, and --format csv for its columns on standard output");
    /* A link stays a link when the file is replaced. */
    *f = (ResultFile){.schema = schema, .path = path_target(path), .fd = -1, .samples_fd = -1};
    f->samples_path = samples_path(f->path);
    f->tokens_path = tokens_path(f->path);
    samples_existed = access(f->samples_path, F_OK) == 0;
    f->fd = open_locked(f->path, &existed, err);
    int status = f->fd < 0 ? -1 : 0;
    if (status == 0 && existed && how == RESULT_NEW)
        status = err_set(err, "'%s' exists; %sreplace it with --overwrite", path,
                         rows ? "continue it with --resume or " : "");
    if (status == 0)
        status = check_tokens(f, existed, how, err);
    if (status == 0) {
        f->samples_fd = open_samples(f, existed, how, err);
        status = f->samples_fd < 0 ? -1 : 0;
    }
    if (status == 0 && existed && how == RESULT_RESUME)
        status = load_rows(f, rows, count, err);
    if (status == 0 && !(rows && *rows))
        status = write_headers(f, err);
    if (status != 0) {
        if (f->fd >= 0 && !existed)
            unlink(f->path);
        if (f->samples_fd >= 0 && !samples_existed)
            unlink(f->samples_path);
        result_file_close(f);
    }
    return status;
}

int result_file_open(ResultFile *f, const char *path, ResultOpen how, RowResult **rows,
                     size_t *count, Err *err)
{
    *rows = NULL;
    *count = 0;
    return open_files(f, &row_schema, path, how, rows, count, err);
}

int result_file_create(ResultFile *f, const Schema *schema, const char *path, bool overwrite,
                       Err *err)
{
    return open_files(f, schema, path, overwrite ? RESULT_OVERWRITE : RESULT_NEW, NULL, NULL, err);
}

void result_file_close(ResultFile *f)
{
    if (f->fd >= 0)
        close(f->fd);
    if (f->samples_fd >= 0)
        close(f->samples_fd);
    free(f->path);
    free(f->samples_path);
    free(f->tokens_path);
    *f = (ResultFile){.fd = -1, .samples_fd = -1};
}

/* ---- adding and rewriting ---- */

/* Adds the tokens of a row to their file, which only rows that have some bring about. */
static int append_tokens(const ResultFile *f, const char *id, const Samples *samples, Err *err)
{
    Text text;
    if (samples->num_tokens == 0)
        return 0;
    int fd = open(f->tokens_path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0)
        return err_set(err, "cannot create '%s': %s", f->tokens_path, strerror(errno));
    text_open(&text);
    if (lseek(fd, 0, SEEK_END) == 0)
        schema_write_header(&token_line_schema, text.stream);
    csv_write_tokens(text.stream, id, samples);
    int status = text_append(&text, fd, f->tokens_path, err);
    close(fd);
    return status;
}

/* The file anew, from the first row on. */
static int rewrite_tokens(const ResultFile *f, const ResultLine *lines, size_t count, Err *err)
{
    int status = 0;
    if (unlink(f->tokens_path) != 0 && errno != ENOENT)
        return err_set(err, "cannot remove '%s': %s", f->tokens_path, strerror(errno));
    for (size_t i = 0; i < count && status == 0; i++)
        status = append_tokens(f, lines[i].row->row_id, lines[i].samples, err);
    return status;
}

int result_file_add(ResultFile *f, const void *record, const char *id, const Samples *samples,
                    Err *err)
{
    Text text;
    text_open(&text);
    csv_write_samples(text.stream, id, samples);
    if (text_append(&text, f->samples_fd, f->samples_path, err) != 0 ||
        append_tokens(f, id, samples, err) != 0)
        return -1;
    text_open(&text);
    schema_write_record(f->schema, record, text.stream);
    return text_append(&text, f->fd, f->path, err);
}

int result_file_write(ResultFile *f, const ResultLine *lines, size_t count, Err *err)
{
    Text samples, rows;
    text_open(&samples);
    text_open(&rows);
    schema_write_header(&sample_line_schema, samples.stream);
    schema_write_header(&row_schema, rows.stream);
    for (size_t i = 0; i < count; i++) {
        csv_write_samples(samples.stream, lines[i].row->row_id, lines[i].samples);
        schema_write_record(&row_schema, lines[i].row, rows.stream);
    }
    /* A row whose samples are gone would be worse than samples without their row. */
    if (text_replace(&rows, &f->fd, f->path, err) == 0)
        return text_replace(&samples, &f->samples_fd, f->samples_path, err) == 0
                   ? rewrite_tokens(f, lines, count, err)
                   : -1;
    fclose(samples.stream);
    free(samples.data);
    return -1;
}

int result_file_rewrite(ResultFile *f, const RowResult *const *rows, size_t count, Err *err)
{
    OWNED_BY(stored_release) StoredResult s;
    OWNED ResultLine *lines = xcalloc(count + 1, sizeof *lines);
    if (stored_read(&s, f->path, STORED_CONTINUE, err) != 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        const StoredRow *stored = stored_find(&s, rows[i]->row_id);
        CHECK(stored, "a row that was never added");
        lines[i] = (ResultLine){rows[i], &stored->samples};
    }
    return result_file_write(f, lines, count, err);
}
