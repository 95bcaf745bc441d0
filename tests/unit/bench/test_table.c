/* The table printer: one description in every format, missing values, intervals, and texts that
 * could break out of their cell. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/util/fields.h"
#include "bench/util/table.h"

/* A table that is printed into memory. */
static struct {
    char *text;
    size_t len;
} printed;

static Table begin(TableFormat format, const char *names)
{
    return table_new(open_memstream(&printed.text, &printed.len), format, names);
}

static void expect_printed(Table *t, const char *expected)
{
    FILE *out = t->out;
    table_end(t);
    fclose(out);
    cr_expect_str_eq(printed.text, expected);
    free(printed.text);
}

static void expect_all_formats(void (*fill)(Table *t), const char *names, const char *text,
                               const char *markdown, const char *csv, const char *json)
{
    const char *const expected[] = {text, markdown, csv, json};
    for (TableFormat format = TABLE_TEXT; format <= TABLE_JSON; format++) {
        Table t = begin(format, names);
        fill(&t);
        expect_printed(&t, expected[format]);
    }
}

Test(table, formats_have_names)
{
    cr_expect_eq(table_format("table"), TABLE_TEXT);
    cr_expect_eq(table_format("md"), TABLE_MARKDOWN);
    cr_expect_eq(table_format("csv"), TABLE_CSV);
    cr_expect_eq(table_format("json"), TABLE_JSON);
}

/* ---- values ---- */

static void fill_values(Table *t)
{
    table_text(t, "a");
    table_int(t, -7);
    table_value(t, "%.2f", 100.0 / 3);
    table_row_end(t);
    table_row(t, "b%d|%zu|%.2f", 2, (size_t)12345, 2.0);
}

Test(table, one_description_in_every_format)
{
    expect_all_formats(fill_values, "name|count|ms",
                       "name  count     ms\n"
                       "a        -7  33.33\n"
                       "b2    12345   2.00\n",
                       "| name | count | ms |\n"
                       "|:--|--:|--:|\n"
                       "| a | -7 | 33.33 |\n"
                       "| b2 | 12345 | 2.00 |\n",
                       "name,count,ms\n"
                       "a,-7,33.333333333333336\n"
                       "b2,12345,2\n",
                       "[\n"
                       "  {\n"
                       "    \"name\": \"a\",\n"
                       "    \"count\": -7,\n"
                       "    \"ms\": 33.333333333333336\n"
                       "  },\n"
                       "  {\n"
                       "    \"name\": \"b2\",\n"
                       "    \"count\": 12345,\n"
                       "    \"ms\": 2.0\n"
                       "  }\n"
                       "]\n");
}

static void fill_missing(Table *t)
{
    table_text(t, NULL);
    table_int(t, INT_MISSING);
    table_value(t, "%.1f", NAN);
    table_interval(t, "%.1f", NAN, NAN, NAN);
    table_row_end(t);
    table_text(t, "");
    table_int(t, 0);
    table_row_end(t);
}

/* The second row has an empty text, which is not missing, and ends early. */
static void expect_missing(void (*fill)(Table *t))
{
    expect_all_formats(fill, "a|b|c|d[]",
                       "a  b  c  d\n"
                       "-  -  -  -\n"
                       "   0  -  -\n",
                       "| a | b | c | d |\n"
                       "|:--|--:|:--|--:|\n"
                       "| - | - | - | - |\n"
                       "|  | 0 | - | - |\n",
                       "a,b,c,d,d_lo,d_hi\n"
                       ",,,,,\n"
                       ",0,,,,\n",
                       "[\n"
                       "  {\n"
                       "    \"a\": null,\n"
                       "    \"b\": null,\n"
                       "    \"c\": null,\n"
                       "    \"d\": null,\n"
                       "    \"d_lo\": null,\n"
                       "    \"d_hi\": null\n"
                       "  },\n"
                       "  {\n"
                       "    \"a\": \"\",\n"
                       "    \"b\": 0,\n"
                       "    \"c\": null,\n"
                       "    \"d\": null,\n"
                       "    \"d_lo\": null,\n"
                       "    \"d_hi\": null\n"
                       "  }\n"
                       "]\n");
}

static void fill_missing_by_formats(Table *t)
{
    const char *volatile none = NULL; /* unknown to the compiler, which warns of a null %s */
    table_row(t, "%s|%" PRId64 "|%.1f|%.1f [%.1f, %.1f]", none, INT_MISSING, NAN, NAN, NAN, NAN);
    table_row(t, "%s|%d", "", 0);
}

Test(table, missing_values_of_formats_are_the_same)
{
    expect_missing(fill_missing_by_formats);
}

Test(table, missing_values_have_one_spelling_a_format)
{
    expect_missing(fill_missing);
}

static void fill_intervals(Table *t)
{
    table_interval(t, "%.2f", 7, 6.5, 7.25);
    table_row_end(t);
    table_interval(t, "%.2f", 10, NAN, NAN);
    table_row_end(t);
}

Test(table, intervals)
{
    expect_all_formats(fill_intervals, "ms[]",
                       "               ms\n"
                       "7.00 [6.50, 7.25]\n"
                       "            10.00\n",
                       "| ms |\n"
                       "|--:|\n"
                       "| 7.00 [6.50, 7.25] |\n"
                       "| 10.00 |\n",
                       "ms,ms_lo,ms_hi\n"
                       "7,6.5,7.25\n"
                       "10,,\n",
                       "[\n"
                       "  {\n"
                       "    \"ms\": 7.0,\n"
                       "    \"ms_lo\": 6.5,\n"
                       "    \"ms_hi\": 7.25\n"
                       "  },\n"
                       "  {\n"
                       "    \"ms\": 10.0,\n"
                       "    \"ms_lo\": null,\n"
                       "    \"ms_hi\": null\n"
                       "  }\n"
                       "]\n");
}

static void fill_units(Table *t)
{
    table_bytes(t, 1536);
    table_duration(t, 0.25);
    table_row_end(t);
    table_bytes(t, NAN);
    table_duration(t, NAN);
    table_row_end(t);
}

Test(table, units_are_for_people)
{
    Table t = begin(TABLE_TEXT, "memory|time");
    fill_units(&t);
    expect_printed(&t, " memory    time\n"
                       "1.5 KiB  250 ms\n"
                       "      -       -\n");
    t = begin(TABLE_CSV, "memory|time");
    fill_units(&t);
    expect_printed(&t, "memory,time\n1536,0.25\n,\n");
}

/* ---- texts ---- */

static void fill_texts(Table *t)
{
    table_text(t, "a|b, \"c\"");
    table_text(t, "x\n\x1b[31m\x7f\xc2\x9b\xff");
    table_row_end(t);
}

/* A new line, an escape sequence, DEL, the control character U+009B, and a byte that is no
 * UTF-8. */
Test(table, texts_stay_in_their_cells)
{
    expect_all_formats(fill_texts, "a|b",
                       "a         b\n"
                       "a|b, \"c\"  x\\x0a\\x1b[31m\\x7f\\xc2\\x9b\\xff\n",
                       "| a | b |\n"
                       "|:--|:--|\n"
                       "| a\\|b, \"c\" | x\\x0a\\x1b[31m\\x7f\\xc2\\x9b\\xff |\n",
                       "a,b\n"
                       "\"a|b, \"\"c\"\"\",\"x\n\x1b[31m\x7f\xc2\x9b\xff\"\n",
                       "[\n"
                       "  {\n"
                       "    \"a\": \"a|b, \\\"c\\\"\",\n"
                       "    \"b\": \"x\\\\x0a\\\\x1b[31m\\\\x7f\\\\xc2\\\\x9b\\\\xff\"\n"
                       "  }\n"
                       "]\n");
}

/* An accented letter takes one column of a terminal, also where its accent is a character of its
 * own; a Chinese character takes two. */
Test(table, wide_and_narrow_characters_line_up)
{
    Table t = begin(TABLE_TEXT, "name|n");
    const char *const names[] = {"caf\xc3\xa9", "cafe\xcc\x81", "\xe6\xa8\xa1\xe5\x9e\x8b", "abcd"};
    for (size_t i = 0; i < 4; i++) {
        table_text(&t, names[i]);
        table_int(&t, (int64_t)i);
        table_row_end(&t);
    }
    expect_printed(&t, "name  n\n"
                       "caf\xc3\xa9  0\n"
                       "cafe\xcc\x81  1\n"
                       "\xe6\xa8\xa1\xe5\x9e\x8b  2\n"
                       "abcd  3\n");
}

Test(table, lines_end_without_blanks)
{
    Table t = begin(TABLE_TEXT, "a|note");
    table_text(&t, "first");
    table_text(&t, "");
    table_row_end(&t);
    table_text(&t, "2nd");
    table_text(&t, "why");
    table_row_end(&t);
    expect_printed(&t, "a      note\n"
                       "first\n"
                       "2nd    why\n");
}

/* ---- columns ---- */

static void fill_columns(Table *t)
{
    table_columns(t, "same|other", TABLE_IF_VARIED);
    table_columns(t, "none|empty|some", TABLE_IF_KNOWN);
    table_columns(t, "hidden", TABLE_NEVER);
    for (int i = 0; i < 2; i++) {
        table_text(t, "r");
        table_int(t, 1);
        table_int(t, i);
        table_value(t, "%g", NAN);
        table_text(t, "");
        table_text(t, i ? "x" : NULL);
        table_text(t, "h");
        table_row_end(t);
    }
}

Test(table, columns_that_say_nothing_are_left_out_for_people)
{
    Table t = begin(TABLE_TEXT, "row");
    fill_columns(&t);
    expect_printed(&t, "row  other  some\n"
                       "r        0  -\n"
                       "r        1  x\n");
    t = begin(TABLE_MARKDOWN, "row");
    fill_columns(&t);
    expect_printed(&t, "| row | other | some |\n"
                       "|:--|--:|:--|\n"
                       "| r | 0 | - |\n"
                       "| r | 1 | x |\n");
    t = begin(TABLE_CSV, "row");
    fill_columns(&t);
    expect_printed(&t, "row,same,other,none,empty,some,hidden\n"
                       "r,1,0,,,,h\n"
                       "r,1,1,,,x,h\n");
}

static void fill_nothing(Table *t)
{
    (void)t;
}

Test(table, without_rows)
{
    expect_all_formats(fill_nothing, "a|b", "", "", "a,b\n", "[]\n");
}

Test(table, rows_as_json_for_a_document)
{
    Table t = table_new(NULL, TABLE_JSON, "a");
    table_int(&t, 5);
    table_row_end(&t);
    json_t *rows = table_end_json(&t);
    cr_expect_eq(json_array_size(rows), 1u);
    cr_expect_eq(json_integer_value(json_object_get(json_array_get(rows, 0), "a")), 5);
    json_decref(rows);
}

/* A cell is a number, an interval or a text by its conversions alone, whatever stands behind. */
static void fill_by_formats(Table *t)
{
    table_row(t, "%s|%.1f ms|%.0f%%|%.1f [%.1f, %.1f]|%zu of %d", "a", 1.25, 50.0, 2.0, 1.0, 3.0,
              (size_t)3, 4);
    table_cells(t, "**%.1f**|%.1f %s", 7.0, 8.0, "x");
    table_cells(t, "%d|%.1f [%.1f, %.1f]", 9, 2.0, NAN, 3.0);
    table_row_end(t);
}

Test(table, cells_by_formats)
{
    expect_all_formats(fill_by_formats, "a|b|c|d[]|e",
                       "a             b    c               d  e\n"
                       "a        1.2 ms  50%  2.0 [1.0, 3.0]  3 of 4\n"
                       "**7.0**   8.0 x    9             2.0  -\n",
                       "| a | b | c | d | e |\n"
                       "|:--|--:|--:|--:|:--|\n"
                       "| a | 1.2 ms | 50% | 2.0 [1.0, 3.0] | 3 of 4 |\n"
                       "| **7.0** | 8.0 x | 9 | 2.0 | - |\n",
                       "a,b,c,d,d_lo,d_hi,e\n"
                       "a,1.25,50,2,1,3,3 of 4\n"
                       "**7.0**,8.0 x,9,2,,3,\n",
                       "[\n"
                       "  {\n"
                       "    \"a\": \"a\",\n"
                       "    \"b\": 1.25,\n"
                       "    \"c\": 50.0,\n"
                       "    \"d\": 2.0,\n"
                       "    \"d_lo\": 1.0,\n"
                       "    \"d_hi\": 3.0,\n"
                       "    \"e\": \"3 of 4\"\n"
                       "  },\n"
                       "  {\n"
                       "    \"a\": \"**7.0**\",\n"
                       "    \"b\": \"8.0 x\",\n"
                       "    \"c\": 9,\n"
                       "    \"d\": 2.0,\n"
                       "    \"d_lo\": null,\n"
                       "    \"d_hi\": 3.0,\n"
                       "    \"e\": null\n"
                       "  }\n"
                       "]\n");
}

Test(table, a_heading_stands_before_rows_only)
{
    Table t = begin(TABLE_MARKDOWN, "a"), empty;
    table_heading(&t, "\n## %s\n", "A");
    table_row(&t, "%s", "x");
    expect_printed(&t, "\n## A\n\n| a |\n|:--|\n| x |\n");
    empty = begin(TABLE_MARKDOWN, "a");
    table_heading(&empty, "\n## %s\n", "A");
    expect_printed(&empty, "");
}
