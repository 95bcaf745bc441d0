/* Expressions of --filter: what is taken, and what would end the C library. */
#include "bench/util/filter.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

static void expect_refused(const char *text, const char *sentence)
{
    NameFilter f;
    Err err;
    cr_expect(eq(int, name_filter_open(&f, text, &err), -1));
    cr_expect(strstr(err.msg, sentence) != NULL, "%s", err.msg);
}

Test(filter, refuses_what_is_no_expression)
{
    expect_refused("(", "--filter '(': ");
}

/* 30,000 parentheses overflow the stack of the C library. */
Test(filter, length_and_nesting_are_bounded)
{
    static char text[60001];
    NameFilter f;
    Err err;
    memset(text, '(', 30000);
    memset(text + 30000, ')', 30000);
    expect_refused(text, "--filter: an expression of 60000 bytes; at most 1000 are allowed");
    memset(text, '(', 51);
    memset(text + 51, ')', 51);
    text[102] = '\0';
    expect_refused(text, "--filter: more than 50 parentheses in each other");
    text[101] = '\0';
    cr_expect(eq(int, name_filter_open(&f, text + 1, &err), 0), "%s", err.msg);
    name_filter_keeps(&f, "x");
    name_filter_close(&f, "rows", &err);
}
