/* test_base: the one sentence of an error. */
#include "autograd/base.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

static void expect_sentence(const char *said, const char *kept)
{
    Err err;
    cr_expect(eq(int, err_set(&err, "%s", said), -1));
    cr_expect(eq(str, err.msg, (char *)kept));
}

Test(base, an_error_is_one_line_of_utf8)
{
    expect_sentence("'gr\xc3\xbc\xc3\x9f'\t\n", "'gr\xc3\xbc\xc3\x9f'\\x09\\x0a");
    expect_sentence("'gr\xc3", "'gr\\xc3");
    expect_sentence("\xed\xa0\x80.\xf0\x9f\x98\x80", "\\xed\\xa0\\x80.\xf0\x9f\x98\x80");
}

Test(base, an_error_too_long_ends_between_two_characters)
{
    char said[3 * sizeof(Err)] = "";
    Err err;
    for (size_t i = 0; i < sizeof(Err); i++)
        strcat(said, "\xc3\xbc"); /* 2 bytes */
    for (int before = 1; before <= 2; before++) {
        err_set(&err, "%.*s%s", before, "!!", said);
        size_t n = strlen(err.msg);
        cr_expect(n > sizeof(Err) - 8 && (n - (size_t)before) % 2 == 0, "%zu bytes", n);
    }
}
