/* Any bytes as the config of `tare precision`: read or refused with its file, and what is read is
 * possible. */
#include "bench/precision/config.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_model(const StudyModel *m)
{
    CHECK(*m->source.name && !m->source.make != !m->source.dir, "a model without a source");
    CHECK(m->num_times == m->batch_size.count * m->seq_len.count, "%zu times", m->num_times);
    CHECK(m->num_times || m->test || m->text, "nothing is asked of '%s'", m->source.name);
    CHECK(m->rounds > 0 && m->held_out > 0 && m->held_out <= 1, "an impossible value");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    StudyConfig c;
    Err err = {""};
    char *text = xmalloc(size + 1);
    memcpy(text, data, size);
    text[size] = '\0';
    if (config_load_text(&study_config_file, &c, text, size, "f", NULL, &err) == 0) {
        CHECK(c.formats[0] == PRECISION_FP32 && c.num_models > 0, "%zu models", c.num_models);
        for (size_t i = 0; i < c.num_models; i++)
            check_model(&c.models[i]);
        if (study_config_filter(&c, "time", &err) == 0)
            CHECK(c.num_models > 0 && c.models[0].num_times > 0, "a filter that keeps nothing");
        config_release(&study_config_file, &c);
    } else {
        CHECK(strncmp(err.msg, "f:", 2) == 0, "an error without its place: '%s'", err.msg);
    }
    free(text);
    return 0;
}
