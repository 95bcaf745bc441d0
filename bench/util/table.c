/* table: see table.h. */
#include "bench/util/table.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "autograd/base.h"
#include "bench/util/fields.h"
#include "bench/util/units.h"

struct TableColumn {
    char *name;
    TableShow show;
    bool interval; /* in text and Markdown */
};

struct TableCell {
    char *text;    /* all formats but JSON */
    json_t *value; /* null = missing */
};

TableFormat table_format(const char *name)
{
    static const char *const names[] = {"table", "md", "csv", "json"};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (strcmp(name, names[i]) == 0)
            return (TableFormat)i;
    CHECK(false, "no format '%s'", name);
}

static bool is_data(const Table *t)
{
    return t->format == TABLE_CSV || t->format == TABLE_JSON;
}

/* ---- columns ---- */

Table table_new(FILE *out, TableFormat format, const char *names)
{
    Table t = {.out = out, .format = format};
    table_columns(&t, names, TABLE_ALWAYS);
    return t;
}

static void add_column(Table *t, char *name, TableShow show, bool interval)
{
    t->columns = xrealloc(t->columns, (t->num_columns + 1) * sizeof *t->columns);
    t->columns[t->num_columns++] = (struct TableColumn){name, show, interval};
}

void table_columns(Table *t, const char *names, TableShow show)
{
    CHECK(t->num_rows == 0 && t->next == 0, "a column behind rows");
    for (int n; *names; names += n + (names[n] == '|')) {
        n = (int)strcspn(names, "|");
        bool interval = n > 2 && strncmp(names + n - 2, "[]", 2) == 0;
        add_column(t, xasprintf("%.*s", interval ? n - 2 : n, names), show, interval);
        if (interval && is_data(t)) {
            add_column(t, xasprintf("%.*s_lo", n - 2, names), show, false);
            add_column(t, xasprintf("%.*s_hi", n - 2, names), show, false);
        }
    }
}

/* ---- cells ---- */

/* The text as one line of UTF-8 that stays in its cell. The caller frees. */
static char *readable(const char *text, bool markdown)
{
    char *line = text_cleaned(text), *cell = xmalloc(2 * strlen(line) + 1), *end = cell;
    for (const char *p = line; *p; *end++ = *p++)
        if (markdown && *p == '|')
            *end++ = '\\';
    *end = '\0';
    free(line);
    return cell;
}

/* Takes over both. */
static void add_cell(Table *t, char *text, json_t *value)
{
    CHECK(t->next < t->num_columns, "a row has more than %zu cells", t->num_columns);
    size_t at = t->num_rows * t->num_columns + t->next++;
    t->cells = xrealloc(t->cells, (at + 1) * sizeof *t->cells);
    t->cells[at] = (struct TableCell){text, value};
}

void table_text(Table *t, const char *text)
{
    if (!text) {
        add_cell(t, xstrdup(is_data(t) ? "" : "-"), json_null());
        return;
    }
    OWNED char *line = readable(text, t->format == TABLE_MARKDOWN);
    json_t *exact = json_string(text); /* NULL for what is no UTF-8, which JSON cannot hold */
    add_cell(t, xstrdup(is_data(t) ? text : line), exact ? exact : json_string(line));
}

const char *told(const char *text)
{
    return *text ? text : NULL;
}

void table_int(Table *t, int64_t value)
{
    if (value == INT_MISSING)
        table_text(t, NULL);
    else
        add_cell(t, xasprintf("%" PRId64, value), json_integer(value));
}

/* `rounded` is taken over. */
static void add_number(Table *t, char *rounded, double value)
{
    if (isnan(value))
        table_text(t, NULL);
    else
        add_cell(t, is_data(t) ? xasprintf("%.17g", value) : xstrdup(rounded), number_json(value));
    free(rounded);
}

void table_value(Table *t, const char *format, double value)
{
    add_number(t, xasprintf(format, value), value);
}

void table_interval(Table *t, const char *format, double value, double lo, double hi)
{
    if (is_data(t)) {
        table_value(t, format, value);
        table_value(t, format, lo);
        table_value(t, format, hi);
        return;
    }
    CHECK(t->next < t->num_columns && t->columns[t->next].interval, "no column of intervals");
    if (isnan(lo) || isnan(hi)) {
        table_value(t, format, value);
        return;
    }
    OWNED char *all = xasprintf("%s [%s, %s]", format, format, format);
    add_number(t, xasprintf(all, value, lo, hi), value);
}

void table_bytes(Table *t, double bytes)
{
    char text[UNIT_TEXT_SIZE];
    format_bytes(text, bytes);
    add_number(t, xstrdup(text), bytes);
}

void table_duration(Table *t, double seconds)
{
    char text[UNIT_TEXT_SIZE];
    format_duration(text, seconds);
    add_number(t, xstrdup(text), seconds);
}

/* A conversion's argument: 's'tring, 'f'loating, 'w'ide or other 'i'nteger; of a cell at most
 * CELL_ARGUMENTS, "" behind the last. */
enum { CELL_ARGUMENTS = 8 };

static void read_kinds(const char *format, char kinds[CELL_ARGUMENTS + 1])
{
    size_t n = 0;
    for (const char *p = format; (p = strchr(p, '%')); p++) {
        p += 1 + strspn(p + 1, "0123456789.+-");
        bool wide = *p == 'z' || *p == 'l';
        p += strspn(p, "zl");
        CHECK(n < CELL_ARGUMENTS && *p && strchr("%sefgdiu", *p), "a cell '%s'", format);
        if (*p != '%')
            kinds[n++] = *p == 's' ? 's' : strchr("efg", *p) ? 'f' : wide ? 'w' : 'i';
    }
    kinds[n] = '\0';
}

/* Takes the arguments of this cell. */
static void add_formatted(Table *t, const char *format, va_list *ap)
{
    char kinds[CELL_ARGUMENTS + 1];
    const char *text = NULL;
    double reals[CELL_ARGUMENTS];
    int64_t whole = 0;
    va_list again;
    va_copy(again, *ap);
    OWNED char *printed = xvasprintf(format, again);
    va_end(again);
    read_kinds(format, kinds);
    for (size_t i = 0; kinds[i]; i++)
        if (kinds[i] == 's')
            text = va_arg(*ap, const char *);
        else if (kinds[i] == 'f')
            reals[i] = va_arg(*ap, double);
        else
            whole = kinds[i] == 'w' ? va_arg(*ap, int64_t) : va_arg(*ap, int);
    OWNED char *first = xasprintf("%.*s", (int)strcspn(format, " "), format);
    if (strcmp(format, "%s") == 0)
        table_text(t, text);
    else if (*format == '%' && strcmp(kinds, "f") == 0)
        add_number(t, xstrdup(printed), reals[0]);
    else if (*format == '%' && strcmp(kinds, "fff") == 0 && t->columns[t->next].interval)
        table_interval(t, first, reals[0], reals[1], reals[2]);
    else if (*format == '%' && (strcmp(kinds, "w") == 0 || strcmp(kinds, "i") == 0))
        table_int(t, whole);
    else
        table_text(t, printed);
}

void table_cells(Table *t, const char *formats, ...)
{
    va_list ap;
    va_start(ap, formats);
    for (int n; *formats; formats += n + (formats[n] == '|')) {
        n = (int)strcspn(formats, "|");
        OWNED char *format = xasprintf("%.*s", n, formats);
        add_formatted(t, format, &ap);
    }
    va_end(ap);
}

void table_heading(Table *t, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    t->heading = xvasprintf(format, ap);
    va_end(ap);
}

void table_row_end(Table *t)
{
    while (t->next < t->num_columns)
        table_text(t, NULL);
    t->num_rows++;
    t->next = 0;
}

static const struct TableCell *cell_at(const Table *t, size_t row, size_t column)
{
    return &t->cells[row * t->num_columns + column];
}

/* ---- text and Markdown ---- */

/* How a column is printed. */
typedef struct Layout {
    size_t width; /* on a terminal; 0 = not shown */
    bool right;
} Layout;

/* Of well-formed text: East Asian characters take two columns of a terminal, accents that stand
 * alone none. */
static size_t display_width(const char *text)
{
    size_t width = 0;
    const unsigned char *p = (const unsigned char *)text;
    for (utf8proc_int32_t c; *p;) {
        p += utf8proc_iterate(p, -1, &c);
        width += (size_t)utf8proc_charwidth(c);
    }
    return width;
}

/* Numbers and intervals, and so the other cells of their column, are aligned right. */
static Layout layout_of(const Table *t, size_t column)
{
    const struct TableColumn *c = &t->columns[column];
    bool known = false, varied = false;
    Layout layout = {.width = display_width(c->name), .right = c->interval};
    for (size_t i = 0; i < t->num_rows; i++) {
        const struct TableCell *cell = cell_at(t, i, column);
        size_t width = display_width(cell->text);
        layout.width = width > layout.width ? width : layout.width;
        layout.right |= json_is_number(cell->value);
        known |= !json_is_null(cell->value) && *cell->text;
        varied |= strcmp(cell->text, cell_at(t, 0, column)->text) != 0;
    }
    bool shown = c->show == TABLE_ALWAYS || (c->show == TABLE_IF_KNOWN && known) ||
                 (c->show == TABLE_IF_VARIED && varied);
    return shown ? layout : (Layout){0};
}

/* Text without blanks at the end. */
static void print_line(const Table *t, const char *const *texts, const Layout *layouts)
{
    bool markdown = t->format == TABLE_MARKDOWN;
    size_t due = 0; /* blanks before the next text */
    for (size_t i = 0; i < t->num_columns; i++) {
        if (!layouts[i].width)
            continue;
        size_t padding = layouts[i].width - display_width(texts[i]);
        size_t before = layouts[i].right ? padding : 0;
        if (markdown)
            fprintf(t->out, "| %s ", texts[i]);
        else if (*texts[i])
            fprintf(t->out, "%*s%s", (int)(due + before), "", texts[i]);
        due = (*texts[i] ? 0 : due + before) + padding - before + 2;
    }
    fputs(markdown ? "|\n" : "\n", t->out);
}

static void print_rule(const Table *t, const Layout *layouts)
{
    for (size_t i = 0; i < t->num_columns; i++)
        if (layouts[i].width)
            fputs(layouts[i].right ? "|--:" : "|:--", t->out);
    fputs("|\n", t->out);
}

/* ---- all formats ---- */

static void print_lines(const Table *t)
{
    if (t->heading && t->format == TABLE_MARKDOWN)
        fprintf(t->out, "%s\n", t->heading);
    Layout *layouts = xcalloc(t->num_columns, sizeof *layouts);
    const char **texts = xcalloc(t->num_columns, sizeof *texts);
    for (size_t i = 0; i <= t->num_rows; i++) { /* the names of the columns first */
        for (size_t c = 0; c < t->num_columns; c++) {
            texts[c] = i == 0 ? t->columns[c].name : cell_at(t, i - 1, c)->text;
            if (i == 0 && t->format != TABLE_CSV)
                layouts[c] = layout_of(t, c);
        }
        if (t->format == TABLE_CSV)
            csv_write_record(t->out, texts, t->num_columns);
        else
            print_line(t, texts, layouts);
        if (i == 0 && t->format == TABLE_MARKDOWN)
            print_rule(t, layouts);
    }
    free(texts);
    free(layouts);
}

static void release(Table *t)
{
    CHECK(t->next == 0, "a row without its end");
    for (size_t i = 0; i < t->num_rows * t->num_columns; i++) {
        free(t->cells[i].text);
        json_decref(t->cells[i].value);
    }
    for (size_t c = 0; c < t->num_columns; c++)
        free(t->columns[c].name);
    free(t->cells);
    free(t->columns);
    free(t->heading);
}

json_t *table_end_json(Table *t)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < t->num_rows; i++) {
        json_t *row = json_object();
        for (size_t c = 0; c < t->num_columns; c++)
            json_object_set(row, t->columns[c].name, cell_at(t, i, c)->value);
        json_array_append_new(rows, row);
    }
    release(t);
    return rows;
}

void table_end(Table *t)
{
    if (t->format == TABLE_JSON) {
        FILE *out = t->out;
        json_t *rows = table_end_json(t);
        json_dumpf(rows, out, JSON_INDENT(2));
        fputc('\n', out);
        json_decref(rows);
        return;
    }
    if (t->num_rows > 0 || t->format == TABLE_CSV)
        print_lines(t);
    release(t);
}
