/* Fuzzes the CSV reader: any bytes are either refused with a sentence that names the file, or give
 * a table that reads back the same after it was written; rows and samples in it likewise.
 *
 *   build/fuzz_csv -max_total_time=600 -max_len=4096 NEW_INPUTS tests/fuzz/corpus_csv */
#include "bench/result/csv.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void load_again(CsvTable *t, char *text, size_t len)
{
    Err err;
    CHECK(csv_load_text(t, text, len, "f.csv", &err) == 0, "%s in: %s", err.msg, text);
    free(text);
}

/* A record of one empty cell is a blank line, which readers skip. */
static bool has_blank_records(const CsvTable *t)
{
    return t->columns == 1;
}

static void check_table(const CsvTable *t)
{
    char *text;
    size_t len, count = (1 + t->rows) * t->columns;
    const char **cells = xcalloc(count + 1, sizeof *cells);
    for (size_t i = 0; i < count; i++)
        cells[i] = t->text + t->cells[i];
    FILE *f = open_memstream(&text, &len);
    for (size_t i = 0; i <= t->rows; i++)
        csv_write_record(f, &cells[i * t->columns], t->columns);
    fclose(f);
    CsvTable again;
    load_again(&again, text, len);
    CHECK(again.columns == t->columns && again.rows == t->rows, "another shape");
    for (size_t i = 0; i < count; i++)
        CHECK(strcmp(again.text + again.cells[i], cells[i]) == 0, "cell %zu", i);
    csv_release(&again);
    free(cells);
}

static void check_row(const CsvTable *t, size_t i)
{
    RowResult r, back;
    Err err;
    char *text;
    size_t len;
    if (csv_read_record(t, i, &row_schema, &r, &err) != 0)
        return;
    FILE *f = open_memstream(&text, &len);
    schema_write_header(&row_schema, f);
    schema_write_record(&row_schema, &r, f);
    fclose(f);
    CsvTable again;
    load_again(&again, text, len);
    CHECK(csv_read_record(&again, 0, &row_schema, &back, &err) == 0, "%s", err.msg);
    for (size_t k = 0; k < num_row_fields; k++) {
        FieldTEXT before, after;
        field_cell(&row_fields[k], &r, before);
        field_cell(&row_fields[k], &back, after);
        CHECK(strcmp(before, after) == 0, "%s", row_fields[k].name);
    }
    csv_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CsvTable t;
    Err err;
    if (csv_load_text(&t, (const char *)data, size, "f.csv", &err) != 0) {
        CHECK(strstr(err.msg, "f.csv"), "an error without its file: '%s'", err.msg);
        return 0;
    }
    if (!has_blank_records(&t))
        check_table(&t);
    for (size_t i = 0; i < t.rows; i++) {
        SampleLine line;
        check_row(&t, i);
        if (csv_read_record(&t, i, &sample_line_schema, &line, &err) != 0)
            CHECK(strstr(err.msg, "f.csv"), "an error without its file: '%s'", err.msg);
    }
    csv_release(&t);
    return 0;
}
