/* Reports of one second: each keeps its files, and its next version replaces its own alone. */
#include "bench/compare/output.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/temp_dir.h"

TestSuite(output, .init = temp_dir_make, .fini = temp_dir_remove);

typedef struct Row {
    FieldINT value;
} Row;

static const Field fields[] = {FIELD(Row, INT, "value", value)};
static const Schema schema = {"a row", fields, COUNT_OF(fields), sizeof(Row)};

static void fill(const void *of, size_t i, void *record)
{
    (void)i;
    ((Row *)record)->value = *(const int *)of;
}

static json_t *no_details(const void *of, size_t i)
{
    (void)of, (void)i;
    return json_object();
}

static json_t *records_alone(const void *of, time_t started, json_t *records)
{
    (void)of, (void)started;
    return json_pack("{s:o}", "records", records);
}

static void no_markdown(const void *of, time_t started, FILE *f)
{
    (void)of, (void)started, (void)f;
}

static int write_value(int value, ReportPlace *place, Err *err)
{
    const Report r = {&schema, fill, no_details, records_alone, no_markdown};
    return report_write(&r, &value, 1, place, err);
}

static void expect_value(const char *stamp, int value)
{
    Err err;
    size_t len;
    char name[64], want[64];
    snprintf(name, sizeof name, "benchmark_20261128_%s.csv", stamp);
    snprintf(want, sizeof want, "value\n%d\n", value);
    char *text = file_read(temp_path(name), 1 << 10, &len, &err);
    cr_assert(text, "%s", err.msg);
    cr_expect_str_eq(text, want);
    free(text);
}

Test(output, reports_of_one_second_keep_apart)
{
    Err err;
    const time_t second = 1795878300; /* 2026-11-28 15:05:00 UTC */
    ReportPlace first = {temp_dir, second, 0}, other = first, third = {temp_dir, second + 1, 0};
    cr_assert(write_value(1, &first, &err) == 0, "%s", err.msg);
    cr_assert(write_value(2, &other, &err) == 0, "%s", err.msg);
    cr_assert(write_value(3, &third, &err) == 0, "%s", err.msg);
    cr_assert(write_value(4, &first, &err) == 0, "%s", err.msg);
    expect_value("150500", 4);
    expect_value("150501", 2);
    expect_value("150502", 3);
    cr_expect(temp_dir_count() == 9);
}

Test(output, a_report_that_cannot_be_written_leaves_nothing)
{
    Err err;
    ReportPlace place = {temp_path("missing"), 1795878300, 0};
    cr_expect(write_value(1, &place, &err) == -1);
    cr_expect(strstr(err.msg, "cannot write"), "%s", err.msg);
    cr_expect(temp_dir_count() == 0);
}
