/* Lines of text: any bytes, any length, LF alone ends one. */
#include "bench/util/lines.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/temp_dir.h"

TestSuite(lines, .init = temp_dir_make, .fini = temp_dir_remove);

static const char *path;

static void write_text(const char *text, size_t len)
{
    path = temp_write_bytes("lines", text, len);
}

static void expect_line(Lines *l, const char *text, size_t len)
{
    Err err = {""};
    cr_assert_eq(lines_next(l, &err), 1);
    cr_expect_eq(l->len, len);
    cr_expect_eq(memcmp(l->line, text, len), 0);
}

Test(lines, end_at_line_feeds_only)
{
    Lines l;
    Err err = {""};
    write_text("a\r\n\nb\0c\x0b\n last", 14);
    cr_assert_eq(lines_open(&l, path, &err), 0);
    expect_line(&l, "a\r", 2);
    expect_line(&l, "", 0);
    expect_line(&l, "b\0c\x0b", 4);
    expect_line(&l, " last", 5);
    cr_expect_eq(lines_next(&l, &err), 0);
    lines_close(&l);
}

Test(lines, an_empty_file_has_none)
{
    Lines l;
    Err err = {""};
    write_text("", 0);
    cr_assert_eq(lines_open(&l, path, &err), 0);
    cr_expect_eq(lines_next(&l, &err), 0);
    lines_close(&l);
}

Test(lines, files_that_cannot_be_read)
{
    Lines l;
    Err err = {""};
    cr_expect_eq(lines_open(&l, "/nonexistent/file", &err), -1);
    cr_expect_str_eq(err.msg, "cannot open '/nonexistent/file': No such file or directory");
    cr_assert_eq(lines_open(&l, "/tmp", &err), 0);
    cr_expect_eq(lines_next(&l, &err), -1);
    cr_expect_str_eq(err.msg, "cannot read '/tmp': Is a directory");
    lines_close(&l);
}
