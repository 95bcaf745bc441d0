/* Fuzzes sweep configs and sweep_expand: any bytes are either refused with a sentence that names
 * the file or a setting, or give rows that pass their own check and differ from each other.
 *
 *   build/fuzz_sweep_config -max_total_time=600 -max_len=4096 NEW_INPUTS
 * tests/fuzz/corpus_sweep_config */
#include "bench/sweep/config.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first line that starts with "--set " becomes a setting; the rest is the file. */
static const char *setting_of(char *text)
{
    char *line = strstr(text, "#--set ");
    if (!line)
        return NULL;
    line[strcspn(line, "\n")] = '\0';
    return line + strlen("#--set ");
}

static void check_rows(const SweepRow *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        Err err;
        CHECK(row_config_check(&rows[i].config, &err) == 0, "%s", err.msg);
        CHECK(*rows[i].name, "a row without a name");
        if (i > 0)
            CHECK(row_config_difference(&rows[i].config, &rows[i - 1].config), "two equal rows");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = xmalloc(size + 1), *file = xmalloc(size + 1);
    memcpy(text, data, size);
    memcpy(file, data, size);
    text[size] = file[size] = '\0';
    const char *setting = setting_of(text);
    TextList settings = {&setting, setting ? 1 : 0};
    SweepConfig s;
    SweepRow *rows;
    size_t count;
    Err err = {""};
    if (config_load_text(sweep_config_file(), &s, file, size, "f.toml", &settings, &err) == 0) {
        if (sweep_expand(&s, &rows, &count, &err) == 0) {
            check_rows(rows, count);
            free(rows);
        }
        config_release(sweep_config_file(), &s);
    }
    CHECK(!*err.msg || strstr(err.msg, "f.toml") || strstr(err.msg, "--set"),
          "an error without its place: '%s'", err.msg);
    free(text);
    free(file);
    return 0;
}
