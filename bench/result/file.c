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

#include "bench/result/csv.h"
#include "bench/row/config.h"

#define MAX_FILE_BYTES ((size_t)1 << 30)

/* ---- bytes to disk ---- */

/* A stream into memory: what is written to disk goes there in one piece. */
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

static int write_all(int fd, const char *data, size_t len)
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
    return fsync(fd);
}

/* Closes the text and adds it to the end of the file; the file is as before where that fails. */
static int text_append(Text *t, int fd, const char *path, Err *err)
{
    fclose(t->stream);
    off_t end = lseek(fd, 0, SEEK_END);
    int status = end < 0 ? -1 : write_all(fd, t->data, t->len);
    if (status != 0) {
        err_set(err, "cannot write '%s': %s", path, strerror(errno));
        if (end >= 0 && ftruncate(fd, end) != 0)
            err_set(err, "cannot write '%s' nor take the torn line back: %s", path,
                    strerror(errno));
    }
    free(t->data);
    return status;
}

/* Puts the text in the place of the file at `path` and *fd; the new file is locked before it has the
 * name, so that nobody gets in between. */
static int text_replace(Text *t, int *fd, const char *path, Err *err)
{
    char *temporary = xasprintf("%s.tmp", path);
    fclose(t->stream);
    int new_fd = open(temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    int status = new_fd >= 0 && flock(new_fd, LOCK_EX | LOCK_NB) == 0 &&
                         write_all(new_fd, t->data, t->len) == 0 && rename(temporary, path) == 0
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
    free(temporary);
    free(t->data);
    return status;
}

/* ---- opening ---- */

static int refuse_path(const char *path, Err *err)
{
    char *parent = xstrdup(path), *slash = strrchr(parent, '/');
    struct stat st;
    int why = errno, status;
    if (slash)
        *slash = '\0';
    if (slash && slash != parent && stat(parent, &st) != 0 && errno == ENOENT)
        status = err_set(err, "cannot create '%s': there is no folder '%s'", path, parent);
    else
        status = err_set(err, "cannot create '%s': %s", path, strerror(why));
    free(parent);
    return status;
}

/* Opens and locks; *existed says whether there was a file before. The name may have passed to another
 * file between the two (text_replace of another sweep), hence the second look. */
static int open_locked(const char *path, bool *existed, Err *err)
{
    for (;;) {
        struct stat at_path, opened;
        *existed = stat(path, &at_path) == 0;
        if (*existed && !S_ISREG(at_path.st_mode))
            return err_set(err, "cannot keep results in '%s': it is not a regular file", path);
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (fd < 0)
            return refuse_path(path, err);
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

static int open_samples(const char *path, Err *err)
{
    struct stat st;
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return err_set(err, "cannot keep samples in '%s': it is not a regular file", path);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    return fd >= 0 ? fd : err_set(err, "cannot create '%s': %s", path, strerror(errno));
}

/* ---- reading an existing result ---- */

/* The file without a torn last line. *whole is false where not even the header is complete. */
static int load_whole_lines(CsvTable *t, const char *path, bool *whole, Err *err)
{
    size_t len;
    char *text = file_read(path, MAX_FILE_BYTES, &len, err);
    if (!text)
        return -1;
    const char *newline = memrchr(text, '\n', len);
    *whole = newline != NULL;
    int status = 0;
    if (*whole)
        status = csv_load_text(t, text, (size_t)(newline - text) + 1, path, err);
    free(text);
    return status;
}

static int check_header(const CsvTable *t, Err *err)
{
    bool same = t->columns == num_row_fields;
    for (size_t i = 0; same && i < num_row_fields; i++)
        same = strcmp(t->header[i], row_fields[i].name) == 0;
    return same ? 0
                : err_set(err, "%s:1: its columns are not those of this version; use another --out",
                          t->path);
}

static int check_samples_header(const CsvTable *t, Err *err)
{
    bool same = t->columns == num_sample_columns + 1 && strcmp(t->header[0], "row_id") == 0;
    for (size_t i = 0; same && i < num_sample_columns; i++)
        same = strcmp(t->header[i + 1], sample_columns[i].name) == 0;
    return same ? 0
                : err_set(err, "%s:1: its columns are not those of this version; use another --out",
                          t->path);
}

static int read_rows(const CsvTable *t, RowResult *rows, Err *err)
{
    for (size_t i = 0; i < t->rows; i++) {
        char id[ROW_ID_SIZE];
        if (csv_read_row(t, i, &rows[i], err) != 0)
            return -1;
        if (rows[i].schema != ROW_SCHEMA)
            return err_set(err,
                           "%s:%d: its schema is not %d, that of this version; use another --out",
                           t->path, t->lines[i], ROW_SCHEMA);
        row_id(&rows[i].config, id);
        if (strcmp(id, rows[i].row_id) != 0)
            return err_set(err, "%s:%d: row_id '%s' does not belong to the columns of its row",
                           t->path, t->lines[i], rows[i].row_id);
        for (size_t k = 0; k < i; k++)
            if (strcmp(rows[k].row_id, rows[i].row_id) == 0)
                return err_set(err, "%s:%d: the row of line %d once more", t->path, t->lines[i],
                               t->lines[k]);
    }
    return 0;
}

static int load_rows(ResultFile *f, RowResult **rows, size_t *count, Err *err)
{
    CsvTable t;
    bool whole;
    if (load_whole_lines(&t, f->path, &whole, err) != 0)
        return -1;
    if (!whole)
        return 0;
    int status = check_header(&t, err);
    if (status == 0) {
        *rows = xcalloc(t.rows + 1, sizeof **rows);
        *count = t.rows;
        status = read_rows(&t, *rows, err);
    }
    if (status != 0) {
        free(*rows);
        *rows = NULL;
    }
    csv_release(&t);
    return status;
}

static int write_headers(ResultFile *f, Err *err)
{
    Text text;
    if (ftruncate(f->samples_fd, 0) != 0 || ftruncate(f->fd, 0) != 0)
        return err_set(err, "cannot empty '%s': %s", f->path, strerror(errno));
    text_open(&text);
    csv_write_samples_header(text.stream);
    if (text_append(&text, f->samples_fd, f->samples_path, err) != 0)
        return -1;
    text_open(&text);
    csv_write_header(text.stream);
    return text_append(&text, f->fd, f->path, err);
}

int result_file_open(ResultFile *f, const char *path, ResultOpen how, RowResult **rows,
                     size_t *count, Err *err)
{
    bool existed;
    char *real = realpath(path, NULL); /* a link stays a link when the file is replaced */
    *rows = NULL;
    *count = 0;
    *f = (ResultFile){.path = xstrdup(real ? real : path), .fd = -1, .samples_fd = -1};
    free(real);
    f->samples_path = samples_path(f->path);
    f->fd = open_locked(f->path, &existed, err);
    int status = f->fd < 0 ? -1 : 0;
    if (status == 0 && existed && how == RESULT_NEW)
        status = err_set(err,
                         "'%s' exists; continue it with --resume or replace it with "
                         "--overwrite",
                         path);
    if (status == 0) {
        f->samples_fd = open_samples(f->samples_path, err);
        status = f->samples_fd < 0 ? -1 : 0;
    }
    if (status == 0 && existed && how == RESULT_RESUME)
        status = load_rows(f, rows, count, err);
    if (status == 0 && !*rows)
        status = write_headers(f, err);
    if (status != 0) {
        if (f->fd >= 0 && !existed) {
            unlink(f->path);
            if (f->samples_fd >= 0)
                unlink(f->samples_path);
        }
        result_file_close(f);
    }
    return status;
}

void result_file_close(ResultFile *f)
{
    if (f->fd >= 0)
        close(f->fd);
    if (f->samples_fd >= 0)
        close(f->samples_fd);
    free(f->path);
    free(f->samples_path);
    *f = (ResultFile){.fd = -1, .samples_fd = -1};
}

/* ---- adding and rewriting ---- */

int result_file_append(ResultFile *f, const RowResult *r, const Samples *samples, Err *err)
{
    Text text;
    text_open(&text);
    csv_write_samples(text.stream, r->row_id, samples);
    if (text_append(&text, f->samples_fd, f->samples_path, err) != 0)
        return -1;
    text_open(&text);
    csv_write_row(text.stream, r);
    return text_append(&text, f->fd, f->path, err);
}

/* One record of the samples file and the place of its row among those to be kept. */
typedef struct Owned {
    size_t row, record;
} Owned;

static int compare_owned(const void *a, const void *b)
{
    const Owned *x = a, *y = b;
    if (x->row != y->row)
        return x->row < y->row ? -1 : 1;
    return x->record < y->record ? -1 : x->record > y->record;
}

static size_t find_row(const RowResult *const *rows, size_t count, const char *id)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(rows[i]->row_id, id) == 0)
            return i;
    return SIZE_MAX;
}

/* Records of one row stand together, so the row found last is nearly always the next one's. */
static Owned *owned_records(const CsvTable *t, const RowResult *const *rows, size_t count,
                            size_t *num_owned)
{
    Owned *owned = xcalloc(t->rows + 1, sizeof *owned);
    size_t row = SIZE_MAX, n = 0;
    for (size_t i = 0; i < t->rows; i++) {
        const char *id = csv_cell(t, i, 0);
        if (row == SIZE_MAX || strcmp(rows[row]->row_id, id) != 0)
            row = find_row(rows, count, id);
        if (row != SIZE_MAX)
            owned[n++] = (Owned){row, i};
    }
    qsort(owned, n, sizeof *owned, compare_owned);
    *num_owned = n;
    return owned;
}

static int check_samples_present(const CsvTable *t, const RowResult *const *rows, size_t count,
                                 const Owned *owned, size_t num_owned, Err *err)
{
    for (size_t row = 0, i = 0; row < count; row++) {
        size_t first = i;
        while (i < num_owned && owned[i].row == row)
            i++;
        if (i == first && strcmp(rows[row]->status, STATUS_OK) == 0)
            return err_set(err, "'%s' has no samples of row %s, which is ok in the result", t->path,
                           rows[row]->row_id);
    }
    return 0;
}

static int kept_samples(ResultFile *f, const RowResult *const *rows, size_t count, FILE *out,
                        Err *err)
{
    CsvTable t = {0};
    bool whole;
    if (load_whole_lines(&t, f->samples_path, &whole, err) != 0)
        return -1;
    int status = whole ? check_samples_header(&t, err) : 0;
    if (!whole)
        t.path = xstrdup(f->samples_path);
    csv_write_samples_header(out);
    if (status == 0) {
        size_t num_owned;
        Owned *owned = owned_records(&t, rows, count, &num_owned);
        status = check_samples_present(&t, rows, count, owned, num_owned, err);
        for (size_t i = 0; i < num_owned && status == 0; i++)
            csv_write_record(out, (const char *const *)&t.cells[owned[i].record * t.columns],
                             t.columns);
        free(owned);
    }
    csv_release(&t);
    return status;
}

int result_file_rewrite(ResultFile *f, const RowResult *const *rows, size_t count, Err *err)
{
    Text samples, lines;
    text_open(&samples);
    if (kept_samples(f, rows, count, samples.stream, err) != 0) {
        fclose(samples.stream);
        free(samples.data);
        return -1;
    }
    text_open(&lines);
    csv_write_header(lines.stream);
    for (size_t i = 0; i < count; i++)
        csv_write_row(lines.stream, rows[i]);
    /* A row whose samples are gone would be worse than samples without their row. */
    if (text_replace(&lines, &f->fd, f->path, err) != 0) {
        fclose(samples.stream);
        free(samples.data);
        return -1;
    }
    return text_replace(&samples, &f->samples_fd, f->samples_path, err);
}
