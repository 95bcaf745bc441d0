/* test_base: the one sentence of an error. */
#include "autograd/base.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/support/temp_dir.h"

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

/* C1, the marks and overrides that turn the direction of text, and Unicode's line ends. */
Test(base, an_error_tells_a_terminal_nothing)
{
    expect_sentence("a\xc2\x9b"
                    "2J",
                    "a\\xc2\\x9b2J");
    expect_sentence("\xc2\xa0\xc2\x80", "\xc2\xa0\\xc2\\x80");
    expect_sentence("\xe2\x80\xae.\xe2\x80\xa8", "\\xe2\\x80\\xae.\\xe2\\x80\\xa8");
    expect_sentence("\xe2\x81\xa6\xe2\x81\xa9", "\\xe2\\x81\\xa6\\xe2\\x81\\xa9");
    expect_sentence("\xe2\x80\x8e\xd8\x9c", "\\xe2\\x80\\x8e\\xd8\\x9c");
    expect_sentence("\xe2\x80\x94\xe2\x81\xaa\xd8\x9b\xd7\x90",
                    "\xe2\x80\x94\xe2\x81\xaa\xd8\x9b\xd7\x90");
}

Test(base, only_regular_files_are_read, .init = temp_dir_make, .fini = temp_dir_remove,
     .timeout = 20)
{
    Err err;
    size_t len;
    const char *fifo = temp_path("fifo");
    cr_assert_eq(mkfifo(fifo, 0600), 0);
    const char *const refused[] = {fifo, "/dev/zero", "/dev/null"};
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        cr_expect_null(file_read(refused[i], 100, &len, &err));
        cr_expect(strstr(err.msg, "it is not a regular file") && strstr(err.msg, refused[i]), "%s",
                  err.msg);
    }
    cr_expect_null(file_read(temp_dir, 100, &len, &err));
    cr_expect(strstr(err.msg, "it is a directory") != NULL, "%s", err.msg);
    char *text = file_read("/proc/self/status", 1 << 16, &len, &err); /* regular, of size 0 */
    cr_assert(text != NULL, "%s", err.msg);
    cr_expect_gt(len, 100);
    free(text);
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

static int leaves_early(bool early)
{
    OWNED char *text = xmalloc(4096), *none = NULL;
    text[0] = '\0';
    if (early)
        return -1;
    return none ? 1 : text[0];
}

/* mallinfo2 counts the bytes that are in use. */
Test(base, owned_memory_is_freed_on_every_way_out)
{
    size_t before = mallinfo2().uordblks;
    for (int i = 0; i < 1000; i++)
        leaves_early(i % 2 == 0);
    size_t after = mallinfo2().uordblks;
    cr_expect(lt(sz, after, before + 4096), "%zu bytes, then %zu", before, after);
}

Test(base, a_growing_array_keeps_its_items)
{
    int *items = NULL;
    for (int i = 0; i < 1000; i++) {
        items = xgrow(items, (size_t)i, sizeof *items);
        items[i] = i;
        for (int k = 0; k <= i; k += 1 + i / 8)
            cr_assert(eq(int, items[k], k), "item %d of %d", k, i);
    }
    free(items);
}
