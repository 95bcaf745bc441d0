/* Any bytes as a config of `tare compare`, with cells or of a sentiment classifier: read or refused
 * with its file, and what is read is possible. */
#include "bench/compare/config.h"
#include "bench/serving/config.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect_place(const Err *err)
{
    CHECK(strncmp(err->msg, "f:", 2) == 0, "an error without its place: '%s'", err->msg);
}

static void read_cells(const char *text, size_t size)
{
    CompareConfig c;
    Err err = {""};
    if (config_load_text(&compare_config_file, &c, text, size, "f", NULL, &err) != 0) {
        expect_place(&err);
        return;
    }
    for (size_t i = 0; i < c.num_cells; i++) {
        const CompareCell *cell = &c.cells[i];
        char name[COMPARE_CELL_NAME];
        compare_cell_name(&c, cell, name);
        CHECK(*name && cell->rounds > 0 && cell->model < c.num_models, "cell %zu", i);
        CHECK(!cell->batch_size == cell->component->whole_file, "a batch of %zu", cell->batch_size);
    }
    config_release(&compare_config_file, &c);
}

static void read_sentiment(const char *text, size_t size)
{
    ServingConfig c;
    Err err = {""};
    ConfigFile alone =
        serving_config_file; /* a file without task is then refused, not one of cells */
    alone.next = NULL;
    if (config_load_text(&alone, &c, text, size, "f", NULL, &err) != 0) {
        expect_place(&err);
        return;
    }
    CHECK(c.model && c.data[SET_BENCHMARK] && c.data[SET_VALIDATION], "a key is missing");
    CHECK(c.wanted[0] && c.rounds > 0 && c.max_wait > 0, "an impossible value");
    config_release(&alone, &c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = xmalloc(size + 1);
    memcpy(text, data, size);
    text[size] = '\0';
    read_cells(text, size);
    read_sentiment(text, size);
    free(text);
    return 0;
}
