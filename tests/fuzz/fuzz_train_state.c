/* Fuzzes train_state_load: any bytes as training.safetensors are refused with their file, or are
 * the state of this training, with progress that is a number.
 *
 *   build/fuzz_train_state -dict=tests/fuzz/safetensors.dict -max_total_time=600 \
 *       NEW_INPUTS tests/fuzz/corpus_train_state */
#include "bench/train/state.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/folder.h"
#include "tests/fuzz/safetensors_mutator.h"

enum { FLOATS = 4 };

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    folder_make();
    return 0;
}

static void fuzz_value(void)
{
    Err err = {""};
    char *value;
    if (train_state_value(folder, "epochs", &value, &err) != 0)
        CHECK(strstr(err.msg, folder), "an error without its file: '%s'", err.msg);
    CHECK(!value || !strchr(value, '\n'), "'%s' is no value", value);
    free(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    float blocks[3][FLOATS] = {{0}};
    Bucketed m = {.params = {.weights = blocks[0],
                             .moment1 = blocks[1],
                             .moment2 = blocks[2],
                             .block_floats = FLOATS}};
    TrainState s;
    Err err = {""};
    folder_write("training.safetensors", data, size);
    fuzz_value();
    if (train_state_load(folder, &m, &s, "task=gpt\nepochs=2\n", &err) == 0) {
        CHECK(isfinite(s.smoothed_loss) && m.params.step == s.updates, "progress");
        CHECK(memchr(s.arithmetic, '\0', sizeof s.arithmetic), "arithmetic without an end");
    } else {
        CHECK(strstr(err.msg, "training.safetensors"), "an error without its file: '%s'", err.msg);
    }
    return 0;
}
