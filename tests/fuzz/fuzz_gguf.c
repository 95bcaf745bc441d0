/* Fuzzes a GGUF file: any bytes are refused with a sentence, by the container or by what reads it
 * as a model, or every tensor can be converted and every text encoded.
 *
 *   build/fuzz_gguf -max_total_time=600 NEW_INPUTS tests/fuzz/corpus_gguf */
#include "model/files/gguf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/files/checkpoint.h"
#include "model/files/gguf_model.h"
#include "model/files/model_tokenizer.h"

static char path[] = "/dev/shm/tare-fuzz-XXXXXX";

static void remove_file(void)
{
    unlink(path);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    int fd = mkstemp(path);
    CHECK(fd >= 0 && close(fd) == 0, "no file %s", path);
    atexit(remove_file);
    return 0;
}

static void expect_sentence(const Err *err)
{
    CHECK(strstr(err->msg, path), "an error without its file: '%s'", err->msg);
}

static void read_weights(void)
{
    Err err = {""};
    SafeTensors *all = gguf_weights(path, &err);
    if (!all) {
        expect_sentence(&err);
        return;
    }
    for (size_t i = 0; i < safetensors_count(all); i++) {
        const STensor *t = safetensors_at(all, i);
        float *x = xmalloc(stensor_count(t) * sizeof *x + 1);
        CHECK(safetensors_find(all, t->name) == t, "'%s' is not found", t->name);
        CHECK(safetensors_to_f32(t, x, &err) == 0, "%s", err.msg);
        free(x);
    }
    safetensors_free(all);
}

static void read_tokenizer(const uint8_t *data, size_t size)
{
    Err err = {""};
    Tokenizer *t = model_tokenizer_load(path, &err);
    json_decref(gguf_tokenizer_config(path, &(Err){""}));
    if (!t) {
        expect_sentence(&err);
        return;
    }
    IdBuffer ids = {0};
    ByteBuffer text = {0};
    tokenizer_encode_bare(t, (const char *)data, size, &ids);
    for (size_t i = 0; i < ids.count; i++)
        CHECK(tokenizer_decode(t, ids.ids[i], true, &text), "id %d", ids.ids[i]);
    id_buffer_release(&ids);
    bytes_release(&text);
    tokenizer_free(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FILE *f = fopen(path, "wb");
    CHECK(f && fwrite(data, 1, size, f) == size && fclose(f) == 0, "cannot write %s", path);
    if (!path_is_gguf(path))
        return 0;
    Checkpoint ck;
    Err err = {""};
    if (checkpoint_open(&ck, path, &err) == 0) {
        if (checkpoint_check(&ck, &err) != 0)
            expect_sentence(&err);
        checkpoint_release(&ck);
    } else {
        expect_sentence(&err);
    }
    read_weights();
    read_tokenizer(data, size);
    return 0;
}
