/* csv: see csv.h. */
#include "bench/result/csv.h"

#include <csv.h>
#include <stdlib.h>
#include <string.h>

#include "bench/util/name_index.h"

static const Field line_fields[] = {
    FIELD(SampleLine, TEXT, "row_id", row_id),
#define SAMPLE(kind, name, doc_) FIELD(SampleLine, kind, #name, sample.name, .doc = (doc_)),
#include "bench/row/samples.def"
#undef SAMPLE
};
const Schema sample_line_schema = {"a sample", line_fields, COUNT_OF(line_fields),
                                   sizeof(SampleLine)};

static const Field token_line_fields[] = {FIELD(TokenLine, TEXT, "row_id", row_id),
                                          TOKEN_FIELDS(TokenLine, token.)};
const Schema token_line_schema = {"a token", token_line_fields, COUNT_OF(token_line_fields),
                                  sizeof(TokenLine)};

/* ---- reading ---- */

/* Some programs put a byte-order mark before UTF-8. */
#define BOM     "\xef\xbb\xbf"
#define BOM_LEN (sizeof BOM - 1)

/* libcsv hands over fields and record ends one by one; the table grows by each. */
typedef struct Reader {
    CsvTable *t;
    size_t count;        /* of t->cells */
    size_t used, size;   /* of t->text */
    size_t record_start; /* index of the record's first cell */
    int line, record_line;
    bool has_header;
    Err *err;
    int status;
} Reader;

static void on_field(void *text, size_t len, void *data)
{
    Reader *r = data;
    CsvTable *t = r->t;
    if (r->status != 0)
        return;
    if (r->count == r->record_start)
        r->record_line = r->line;
    if (memchr(text, '\0', len)) {
        r->status = err_set(r->err, "%s:%d: a NUL byte", t->path, r->line);
        return;
    }
    if (r->size - r->used <= len) {
        r->size = 2 * r->size + len + 1;
        t->text = xrealloc(t->text, r->size);
    }
    memcpy(t->text + r->used, text, len);
    t->text[r->used + len] = '\0';
    t->cells = xgrow(t->cells, r->count, sizeof *t->cells);
    t->cells[r->count++] = r->used;
    r->used += len + 1;
}

static int take_header(Reader *r)
{
    CsvTable *t = r->t;
    NameIndex names = {0};
    size_t first, again;
    r->has_header = true;
    t->columns = r->record_start = r->count;
    if (t->columns > CSV_MOST_COLUMNS)
        return err_set(r->err, "%s:%d: %zu columns; at most %d can be read", t->path,
                       r->record_line, t->columns, CSV_MOST_COLUMNS);
    const char *foreign = t->columns == 1 ? strpbrk(csv_name(t, 0), ";\t") : NULL;
    if (foreign)
        return err_set(r->err, "%s:%d: a %s between columns; save the file with commas", t->path,
                       r->record_line, *foreign == ';' ? "semicolon" : "tab");
    for (size_t i = 0; i < t->columns; i++)
        name_index_add(&names, csv_name(t, i));
    name_index_sort(&names);
    bool repeats = name_index_repeats(&names, &first, &again);
    name_index_release(&names);
    return repeats ? err_set(r->err, "%s:%d: column '%s' appears twice", t->path, r->record_line,
                             csv_name(t, again))
                   : 0;
}

static int take_record(Reader *r)
{
    CsvTable *t = r->t;
    size_t fields = r->count - r->record_start;
    if (fields != t->columns)
        return err_set(r->err, "%s:%d: %zu fields where the header has %zu columns", t->path,
                       r->record_line, fields, t->columns);
    t->lines = xgrow(t->lines, t->rows, sizeof *t->lines);
    t->lines[t->rows++] = r->record_line;
    r->record_start = r->count;
    return 0;
}

static void on_record(int terminator, void *data)
{
    Reader *r = data;
    (void)terminator;
    if (r->status == 0)
        r->status = r->has_header ? take_record(r) : take_header(r);
}

/* Feeds libcsv line by line, because it does not count lines. */
static int parse_lines(Reader *r, struct csv_parser *p, const char *text, size_t len)
{
    char line_end = memchr(text, '\n', len) ? '\n' : '\r';
    for (const char *end = text + len; text < end && r->status == 0; r->line++) {
        const char *newline = memchr(text, line_end, (size_t)(end - text));
        size_t n = newline ? (size_t)(newline - text) + 1 : (size_t)(end - text);
        if (csv_parse(p, text, n, on_field, on_record, r) != n)
            return err_set(r->err, "%s:%d: %s", r->t->path, r->line,
                           csv_error(p) == CSV_EPARSE ? "a quote inside a cell, or text behind one"
                                                      : csv_strerror(csv_error(p)));
        text += n;
    }
    if (r->status != 0)
        return -1;
    r->line -= r->line > 1;
    if (csv_fini(p, on_field, on_record, r) != 0)
        return err_set(r->err, "%s:%d: a quoted field without its closing quote", r->t->path,
                       r->line);
    return r->status;
}

int csv_load_text(CsvTable *t, const char *text, size_t len, const char *path, Err *err)
{
    *t = (CsvTable){.path = xstrdup(path)};
    Reader r = {.t = t, .line = 1, .err = err};
    struct csv_parser p;
    CHECK(csv_init(&p, CSV_STRICT | CSV_STRICT_FINI | CSV_APPEND_NULL) == 0, "libcsv");
    if (len >= BOM_LEN && memcmp(text, BOM, BOM_LEN) == 0) {
        text += BOM_LEN;
        len -= BOM_LEN;
    }
    int status = parse_lines(&r, &p, text, len);
    csv_free(&p);
    if (status == 0 && !r.has_header)
        status = err_set(err, "%s: the file is empty", path);
    if (status != 0)
        csv_release(t);
    return status;
}

void csv_release(CsvTable *t)
{
    free(t->text);
    free(t->cells);
    free(t->lines);
    free(t->path);
    *t = (CsvTable){0};
}

size_t csv_column(const CsvTable *t, const char *name)
{
    for (size_t i = 0; i < t->columns; i++)
        if (strcmp(csv_name(t, i), name) == 0)
            return i;
    return SIZE_MAX;
}

const char *csv_name(const CsvTable *t, size_t column)
{
    return t->text + t->cells[column];
}

const char *csv_cell(const CsvTable *t, size_t row, size_t column)
{
    CHECK(row < t->rows && column < t->columns, "cell %zu, %zu of %s", row, column, t->path);
    return t->text + t->cells[(1 + row) * t->columns + column];
}

int csv_read_record(const CsvTable *t, size_t row, const Schema *s, void *record, Err *err)
{
    schema_init(s, record);
    for (size_t c = 0; c < t->columns; c++) {
        const char *name = csv_name(t, c);
        bool expected = c < s->count && strcmp(s->fields[c].name, name) == 0;
        const Field *f = expected ? &s->fields[c] : schema_field(s, name);
        if (f && field_parse(f, record, csv_cell(t, row, c), err) != 0)
            return err_prefix(err, "%s:%d", t->path, t->lines[row]);
    }
    return 0;
}

char *path_beside(const char *path, const char *ending)
{
    size_t len = strlen(path), stem = len;
    if (len > 4 && strcmp(path + len - 4, ".csv") == 0)
        stem = len - 4;
    return xasprintf("%.*s.%s", (int)stem, path, ending);
}

char *samples_path(const char *path)
{
    return path_beside(path, "samples.csv");
}

char *tokens_path(const char *path)
{
    return path_beside(path, "tokens.csv");
}

void csv_write_samples(FILE *f, const char *id, const Samples *s)
{
    SampleLine line;
    text_set(line.row_id, id);
    for (size_t i = 0; i < s->count; i++) {
        line.sample = s->at[i];
        schema_write_record(&sample_line_schema, &line, f);
    }
}

void csv_write_tokens(FILE *f, const char *id, const Samples *s)
{
    TokenLine line;
    text_set(line.row_id, id);
    for (size_t i = 0; i < s->num_tokens; i++) {
        line.token = s->tokens[i];
        schema_write_record(&token_line_schema, &line, f);
    }
}
