/* table: rows of cells, printed as text to read, Markdown, CSV or JSON from one description.
 *
 * The one idea: a caller names columns and adds typed cells; the format alone decides how they are
 * spelled. Text and Markdown round numbers as asked and align them right; CSV and JSON have all
 * digits. A missing value is a dash in text and Markdown, an empty cell in CSV, null in JSON. Rows
 * are kept until the end, when the widths are known. It does not know what a table is about. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <inttypes.h>
#include <stdio.h>

typedef enum TableFormat { TABLE_TEXT, TABLE_MARKDOWN, TABLE_CSV, TABLE_JSON } TableFormat;

/* What options call the formats. */
#define TABLE_FORMATS "table|csv|json|md"
TableFormat table_format(const char *name); /* name: one of TABLE_FORMATS */

/* Whether text and Markdown show a column; CSV and JSON have all. */
typedef enum TableShow {
    TABLE_ALWAYS,
    TABLE_IF_KNOWN,  /* where a row has a value that is not "" */
    TABLE_IF_VARIED, /* where two rows differ */
    TABLE_NEVER
} TableShow;

/* Owns its cells. */
typedef struct Table {
    FILE *out;
    TableFormat format;
    char *heading;
    struct TableColumn *columns;
    struct TableCell *cells; /* [num_rows, num_columns], and behind them those of the next row */
    size_t num_columns, num_rows, next;
} Table;

/* `names` of the first columns, all shown, as in "row|batch|ratio[]"; "" for none. NAME[] holds
 * values with intervals: CSV and JSON have NAME, NAME_lo and NAME_hi in its place. `out` is
 * borrowed. */
Table table_new(FILE *out, TableFormat format, const char *names);
/* Adds columns to a table without rows. */
void table_columns(Table *t, const char *names, TableShow show);

/* Each adds a cell to the row. Text and Markdown show control characters and what is no UTF-8 as
 * \xNN, and Markdown a bar as \|. CSV has every byte; JSON escapes by itself, and shows what is no
 * UTF-8. */
void table_text(Table *t, const char *text); /* NULL is missing, "" is an empty text */
const char *told(const char *text);          /* NULL for "" */
void table_int(Table *t, int64_t value);     /* INT_MISSING is missing */
/* `format` takes a double; NaN is missing. */
void table_value(Table *t, const char *format, double value);
/* The same with an interval, as in "7.1 [6.9, 7.3]"; without it where an end is NaN. */
void table_interval(Table *t, const char *format, double value, double lo, double hi);
void table_bytes(Table *t, double bytes);      /* "1.86 GiB" */
void table_duration(Table *t, double seconds); /* "4.1 s" */

/* Cells from printf formats, as in "%s|%zu|%.4g ms|%.2f [%.2f, %.2f]". A cell of %s alone is a
 * text, one that begins with its only conversion a number; three conversions of doubles, in a
 * column NAME[], are an interval. Everything else is text. A value is missing as above. */
void table_cells(Table *t, const char *formats, ...) __attribute__((format(printf, 2, 3)));
#define table_row(t, ...) (table_cells(t, __VA_ARGS__), table_row_end(t))

/* Cells that were not added are missing. */
void table_row_end(Table *t);

/* A line of Markdown before the table, where it has rows. */
void table_heading(Table *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Prints the table and releases it. Without rows it prints nothing in text and Markdown. */
void table_end(Table *t);
/* The rows as an array of objects, for the caller to release; releases the table, prints
 * nothing. */
json_t *table_end_json(Table *t);
