/* ids: see ids.h. */
#include "bench/util/ids.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Ends the row that began at number `start`. */
static int end_row(IdTable *t, size_t start, size_t count, Err *err)
{
    size_t length = count - start;
    t->rows++;
    if (length == 0)
        return err_set(err, "%s: row %zu is empty", t->place, t->rows);
    if (t->rows > 1 && length != t->cols)
        return err_set(err, "%s: row %zu has %zu numbers, row 1 has %zu", t->place, t->rows, length,
                       t->cols);
    t->cols = length;
    return 0;
}

/* Of the word at c, cut to what a message can show. */
static int word_length(const char *c)
{
    size_t length = strcspn(c, " \t\r\n;");
    return length < 40 ? (int)length : 40;
}

static int parse_rows(IdTable *t, const char *text, Err *err)
{
    size_t count = 0, start = 0;
    for (const char *c = text;;) {
        while (isspace((unsigned char)*c))
            c++;
        if (*c == ';' || *c == '\0') {
            if (end_row(t, start, count, err) != 0)
                return -1;
            if (*c == '\0')
                return 0;
            start = count;
            c++;
            continue;
        }
        char *end;
        errno = 0;
        long value = strtol(c, &end, 10);
        if (end == c || !(isspace((unsigned char)*end) || *end == ';' || *end == '\0'))
            return err_set(err, "%s: row %zu, number %zu: '%.*s' is not an integer", t->place,
                           t->rows + 1, count - start + 1, word_length(c), c);
        if (errno || value < INT32_MIN || value > INT32_MAX)
            return err_set(err, "%s: row %zu, number %zu is beyond 32 bits", t->place, t->rows + 1,
                           count - start + 1);
        t->at = xgrow(t->at, count, sizeof *t->at);
        t->at[count++] = (int32_t)value;
        c = end;
    }
}

int ids_parse(IdTable *t, const char *option, const char *text, Err *err)
{
    enum { MAX_FILE = 1 << 30 };
    bool in_file = text[0] == '@';
    const char *path = text + 1;
    *t = (IdTable){.place = xasprintf("%s%s%s", option, in_file ? ": " : "", in_file ? path : "")};
    OWNED char *file = NULL;
    size_t length = 0;
    int status = 0;
    if (in_file && !(file = file_read(path, MAX_FILE, &length, err)))
        status = err_prefix(err, "%s", option);
    else if (file && strlen(file) != length)
        status = err_set(err, "%s: a NUL byte in it", t->place);
    else
        status = parse_rows(t, file ? file : text, err);
    if (status != 0)
        ids_release(t);
    return status;
}

void ids_release(IdTable *t)
{
    free(t->at);
    free(t->place);
    *t = (IdTable){0};
}

int ids_check(const IdTable *t, int32_t min, int32_t max, const char *what, Err *err)
{
    for (size_t i = 0; i < t->rows * t->cols; i++)
        if (t->at[i] < min || t->at[i] > max)
            return err_set(err, "%s: row %zu, number %zu: %d is not %s (%d to %d)", t->place,
                           i / t->cols + 1, i % t->cols + 1, t->at[i], what, min, max);
    return 0;
}
