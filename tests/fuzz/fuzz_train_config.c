/* Any bytes as the config of `tare train`: read or refused with its file, and what is read is
 * possible. */
#include "bench/train/config.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    TrainConfig c;
    Err err = {""};
    char *text = xmalloc(size + 1);
    memcpy(text, data, size);
    text[size] = '\0';
    if (config_load_text(&train_config_file, &c, text, size, "f", NULL, &err) == 0) {
        CHECK(c.out && c.epochs > 0 && c.batch_size > 0 && c.learning_rate > 0, "a key is missing");
        CHECK(c.task == TASK_GPT ? c.text && c.context > 0 : c.train && c.labels.count >= 2,
              "data");
        char *identity = train_config_identity(&c);
        CHECK(strncmp(identity, "task=", 5) == 0, "%s", identity);
        free(identity);
        train_config_release(&c);
    } else {
        CHECK(strncmp(err.msg, "f:", 2) == 0, "an error without its place: '%s'", err.msg);
    }
    free(text);
    return 0;
}
