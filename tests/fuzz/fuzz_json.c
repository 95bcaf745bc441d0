/* Fuzzes json_overwrite against itself and jansson: it keeps the length, leaves alone what jansson
 * reads, changes nothing a second time, and moves no error to another line.
 *
 *   build/fuzz_json -max_total_time=300 NEW_INPUTS tests/fuzz/corpus_json */
#include "model/json.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *once = xmalloc(size + 1), *twice = xmalloc(size + 1);
    memcpy(once, data, size);
    once[size] = '\0';
    json_overwrite(once, size);
    CHECK(once[size] == '\0', "a byte too far");
    memcpy(twice, once, size + 1);
    json_overwrite(twice, size);
    size_t same = 0;
    while (same < size && (uint8_t)once[same] == data[same])
        same++;
    json_error_t before, after;
    json_t *strict = json_loadb((const char *)data, size, 0, &before);
    json_t *value = json_parse((const char *)data, size, &after);
    if (strict)
        CHECK(same == size && json_equal(strict, value), "what jansson reads was changed");
    else if (!value && before.position < (int)same)
        CHECK(before.line == after.line, "an error moved to line %d", after.line);
    CHECK(!value || memcmp(once, twice, size) == 0, "a second time changes something");
    json_decref(strict);
    json_decref(value);
    free(once);
    free(twice);
    return 0;
}
