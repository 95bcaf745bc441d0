/* Fuzzes the reader of results that diff, merge and --resume share: the bytes up to the first NUL
 * are NAME.csv, the rest is NAME.samples.csv. Both are refused with a sentence that names one of
 * them, or every row is found again and what ran has its trials.
 *
 *   build/fuzz_results -max_total_time=600 -max_len=16384 NEW_INPUTS tests/fuzz/corpus_results */
#include "bench/result/read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[] = "/dev/shm/tare-fuzz-XXXXXX";
static char *paths[2]; /* the result's, the samples' */

static void remove_dir(void)
{
    for (size_t i = 0; i < 2; i++) {
        unlink(paths[i]);
        free(paths[i]);
    }
    rmdir(dir);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    CHECK(mkdtemp(dir), "no directory %s", dir);
    paths[0] = xasprintf("%s/f.csv", dir);
    paths[1] = xasprintf("%s/f.samples.csv", dir);
    atexit(remove_dir);
    return 0;
}

static void write_file(const char *path, const uint8_t *data, size_t size)
{
    FILE *f = fopen(path, "wb");
    CHECK(f && (size == 0 || fwrite(data, 1, size, f) == size) && fclose(f) == 0, "no %s", path);
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
    if (stored_read(&s, paths[0], use, &err) != 0)
        CHECK(strstr(err.msg, dir), "an error without its file: '%s'", err.msg);
    else
        for (size_t i = 0; i < s.count; i++)
            check_row(&s, &s.rows[i]);
    stored_release(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size ? memchr(data, 0, size) : NULL;
    size_t rows = end ? (size_t)(end - data) : size, rest = end ? size - rows - 1 : 0;
    write_file(paths[0], data, rows);
    write_file(paths[1], rest ? end + 1 : data, rest);
    check(STORED_JUDGE);
    check(STORED_CONTINUE);
    return 0;
}
