/* test_ids: tables of ids as the command line writes them. */
#include "bench/util/ids.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/temp_dir.h"

TestSuite(ids, .init = temp_dir_make, .fini = temp_dir_remove);

static void expect_table(const char *text, size_t rows, size_t cols, const int32_t *at)
{
    Err err;
    IdTable t;
    cr_assert(ids_parse(&t, "--ids", text, &err) == 0, "'%s': %s", text, err.msg);
    cr_expect(t.rows == rows && t.cols == cols, "'%s' is %zu x %zu", text, t.rows, t.cols);
    cr_expect(memcmp(t.at, at, rows * cols * sizeof *at) == 0, "'%s': other numbers", text);
    ids_release(&t);
    cr_expect(t.at == NULL && t.rows == 0);
}

static void expect_refused(const char *text, const char *why)
{
    Err err = {""};
    IdTable t;
    cr_expect(ids_parse(&t, "--ids", text, &err) == -1, "'%s' was accepted", text);
    cr_expect(strstr(err.msg, "--ids") == err.msg, "'%s' does not begin with the option", err.msg);
    cr_expect(strstr(err.msg, why), "no '%s' in '%s'", why, err.msg);
    cr_expect(t.at == NULL, "a refused table is left behind");
}

Test(ids, good_tables)
{
    expect_table("7", 1, 1, (int32_t[]){7});
    expect_table("1 2 3;4 5 6", 2, 3, (int32_t[]){1, 2, 3, 4, 5, 6});
    expect_table("  1\t2\n; 3  -1 \n", 2, 2, (int32_t[]){1, 2, 3, -1});
    expect_table("2147483647 -2147483648", 1, 2, (int32_t[]){INT32_MAX, INT32_MIN});
    expect_table("+1 007", 1, 2, (int32_t[]){1, 7});
}

Test(ids, many_numbers)
{
    enum { N = 1000 };
    char text[N * 5 + 1];
    int32_t want[N];
    size_t at = 0;
    for (int i = 0; i < N; i++) {
        want[i] = i;
        at += (size_t)sprintf(text + at, i == N / 2 ? ";%d" : " %d", i);
    }
    expect_table(text, 2, N / 2, want);
}

Test(ids, bad_tables)
{
    expect_refused("", "row 1 is empty");
    expect_refused(";", "row 1 is empty");
    expect_refused("1 2;", "row 2 is empty");
    expect_refused("1 2;;3 4", "row 2 is empty");
    expect_refused("1 2 3;4 5", "row 2 has 2 numbers, row 1 has 3");
    expect_refused("1 2;3 4 5", "row 2 has 3 numbers, row 1 has 2");
    expect_refused("1 x", "row 1, number 2: 'x' is not an integer");
    expect_refused("1 2;3 4.5", "row 2, number 2: '4.5' is not an integer");
    expect_refused("1,2", "'1,2' is not an integer");
    expect_refused("1 - 2", "'-' is not an integer");
    expect_refused("0x10", "'0x10' is not an integer");
    expect_refused("2147483648", "beyond 32 bits");
    expect_refused("1;-2147483649", "row 2, number 1 is beyond 32 bits");
    expect_refused("99999999999999999999999", "beyond 32 bits");
}

Test(ids, a_long_word_is_cut_in_the_message)
{
    char text[3000];
    memset(text, 'z', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    expect_refused(text, "zzzz' is not an integer");
}

Test(ids, files)
{
    char argument[100];
    const char *path = temp_write("ids", "1 2;\n3 4\n");
    snprintf(argument, sizeof argument, "@%s", path);
    expect_table(argument, 2, 2, (int32_t[]){1, 2, 3, 4});
    temp_write_bytes("ids", "1 2;\n3 4\n\0 5", 12);
    expect_refused(argument, "NUL");
    unlink(path);
    expect_refused(argument, "No such file");
    expect_refused("@/tmp", "directory");
    expect_refused("@", "cannot open");
}

/* A row or a number is of a file, so the sentence names it. */
Test(ids, errors_name_the_file)
{
    Err err = {""};
    IdTable t;
    char argument[100], want[200];
    const char *path = temp_write("ids", "1 2;3 x");
    snprintf(argument, sizeof argument, "@%s", path);
    snprintf(want, sizeof want, "--ids: %s: row 2, number 2: 'x' is not an integer", path);
    expect_refused(argument, want);
    temp_write("ids", "1 2;3 9");
    cr_assert(ids_parse(&t, "--ids", argument, &err) == 0, "%s", err.msg);
    cr_expect(ids_check(&t, 0, 8, "a token id", &err) == -1);
    snprintf(want, sizeof want, "--ids: %s: row 2, number 2: 9 is not a token id (0 to 8)", path);
    cr_expect_str_eq(err.msg, want);
    ids_release(&t);
}

Test(ids, range)
{
    Err err = {""};
    IdTable t;
    cr_assert(ids_parse(&t, "--ids", "0 1 2;3 4 101", &err) == 0);
    cr_expect(ids_check(&t, 0, 101, "a token id", &err) == 0);
    cr_expect(ids_check(&t, 0, 100, "a token id", &err) == -1);
    cr_expect_str_eq(err.msg, "--ids: row 2, number 3: 101 is not a token id (0 to 100)");
    cr_expect(ids_check(&t, 1, 101, "a token id", &err) == -1);
    cr_expect_str_eq(err.msg, "--ids: row 1, number 1: 0 is not a token id (1 to 101)");
    ids_release(&t);
}
