/* Conversions that are stopped: whenever that happens, nothing is left behind. What a conversion
 * writes is tests/cli/precision.sh's and tests/parity/convert_parity.py's business. */
#include "model/files/convert.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/families/family.h"
#include "model/files/checkpoint.h"
#include "model/files/config_json.h"

#include "tests/support/temp_dir.h"

static const char *weights_path, *out_path;

static void make_dir(void)
{
    temp_dir_make();
    weights_path = temp_path("model.safetensors");
    out_path = temp_path("out");
}

static void remove_dir(void)
{
    temp_dir_expect_only("config.json model.safetensors");
    temp_dir_remove();
}

TestSuite(convert, .init = make_dir, .fini = remove_dir);

/* A GPT-2 of random weights; returns how many tensors its file has. */
static size_t write_model(void)
{
    ModelConfig c;
    Params p;
    Graph g;
    Recording r;
    Err err;
    TensorList list = {0};
    temp_write("config.json",
               "{\"model_type\": \"gpt2\", \"n_embd\": 6, \"n_layer\": 1,"
               " \"n_head\": 3, \"vocab_size\": 11, \"n_positions\": 5, "
               "\"eos_token_id\": null, \"x\": [NaN, -Infinity, 1180591620717411303424]}");
    cr_assert(model_config_load(temp_dir, &c, &err) == 0, "%s", err.msg);
    params_init(&p);
    graph_init(&g);
    model_record(&g, &c, &p, &(RecordWants){.batch = 1, .context = 3}, &r);
    recording_release(&r);
    graph_release(&g);
    cr_assert(params_alloc(&p, (ParamsMemory){0}, &err) == 0, "%s", err.msg);
    params_randomize(&p, 3, 1);
    checkpoint_export(&c, false, &p, p.weights, "", &list);
    cr_assert(safetensors_write(weights_path, list.at, list.count, NULL, &err) == 0, "%s", err.msg);
    size_t count = list.count;
    tensor_list_release(&list);
    params_release(&p);
    return count;
}

static size_t asked, stop_at;

static bool stop(void)
{
    return asked++ == stop_at;
}

Test(convert, stopped_anywhere_nothing_is_left_behind)
{
    Err err;
    size_t tensors = write_model(), before = temp_dir_count();
    for (stop_at = 0; stop_at <= tensors; stop_at++) {
        asked = 0;
        cr_expect(model_convert(temp_dir, out_path, DT_I8, stop, &err) == -1, "stopped at %zu",
                  stop_at);
        cr_expect(asked == stop_at + 1, "%zu questions after being stopped at %zu", asked, stop_at);
        cr_expect(temp_dir_count() == before, "stopped at %zu, something is left", stop_at);
    }
    long dead = dead_process(); /* it was killed here before */
    char *left = xasprintf("out.tmp.%ld/model.safetensors.tmp.%ld", dead, dead);
    temp_write(left, "half of it");
    free(left);
    asked = 0;
    cr_assert(model_convert(temp_dir, out_path, DT_I8, stop, &err) == 0, "%s", err.msg);
    cr_expect(asked == tensors + 1, "once a tensor, and once before the directory gets its name");
    cr_expect(temp_dir_count() == before + 1);
    static const char *const names[] = {"/model.safetensors", "/config.json", ""};
    size_t len;
    char *config = file_read(temp_path("out/config.json"), 1 << 10, &len, &err);
    cr_assert(config, "%s", err.msg);
    cr_expect(strstr(config, "\"eos_token_id\": null,\n  \"x\": [NaN, -Infinity, "
                             "1180591620717411303424],\n  \"dtype\": \"int8\""),
              "%s", config);
    free(config);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char *path = xasprintf("%s%s", out_path, names[i]);
        cr_expect(remove(path) == 0, "no %s", path);
        free(path);
    }
}
