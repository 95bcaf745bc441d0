/* Fuzzes the reader of results that diff, merge and --resume share: the bytes up to the first NUL
 * are NAME.csv, the rest is NAME.samples.csv. Both are refused with a sentence that names one of
 * them, or every row is found again and what ran has its trials.
 *
 *   build/fuzz_results -max_total_time=600 -max_len=16384 NEW_INPUTS tests/fuzz/corpus_results */
#include "bench/result/read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/folder.h"

static char *result;

static void forget_result(void)
{
    free(result);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    folder_make();
    result = xasprintf("%s/f.csv", folder);
    atexit(forget_result);
    return 0;
}

static void check_row(const StoredResult *s, const StoredRow *r)
{
    CHECK(stored_find(s, r->row.row_id) == r, "row '%s' is not found", r->row.row_id);
    CHECK(*r->row.row_id && r->line > 1 && *r->row.status, "a row without id, line or status");
    for (size_t i = 0; i < r->samples.count; i++)
        CHECK(r->samples.at[i].wall_ns > 0, "a time that is not positive");
}

static void check(StoredUse use)
{
    StoredResult s;
    Err err = {""};
    if (stored_read(&s, result, use, &err) != 0)
        CHECK(strstr(err.msg, folder), "an error without its file: '%s'", err.msg);
    else
        for (size_t i = 0; i < s.count; i++)
            check_row(&s, &s.rows[i]);
    stored_release(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size ? memchr(data, 0, size) : NULL;
    size_t rows = end ? (size_t)(end - data) : size, rest = end ? size - rows - 1 : 0;
    folder_write("f.csv", data, rows);
    folder_write("f.samples.csv", rest ? end + 1 : data, rest);
    check(STORED_JUDGE);
    check(STORED_CONTINUE);
    return 0;
}
