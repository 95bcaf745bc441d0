/* Fuzzes model_config_load: any bytes in config.json are either refused with a sentence or give a
 * config that its own check accepts and whose closed forms are finite and positive.
 *
 *   build/fuzz_config_json -dict=tests/fuzz/config_json.dict -max_total_time=600 \
 *       NEW_INPUTS tests/fuzz/corpus_config_json */
#include "model/families/family.h"
#include "model/files/config_json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/folder.h"

static char path[sizeof folder + sizeof "/config.json"];

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    folder_make();
    snprintf(path, sizeof path, "%s/config.json", folder);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    folder_write("config.json", data, size);
    ModelConfig c;
    Err err = {""};
    if (model_config_load(folder, &c, &err) != 0) {
        CHECK(strstr(err.msg, path), "an error without its file: '%s'", err.msg);
        return 0;
    }
    CHECK(model_config_check(&c, &err) == 0, "%s", err.msg);
    CHECK(model_num_params(&c) > 0 && model_num_params(&c) <= (size_t)1 << 48, "parameters");
    double flops = model_flops(&c, MAX_DIMENSION, MAX_DIMENSION, true);
    CHECK(flops > 0 && isfinite(flops), "flops");
    return 0;
}
