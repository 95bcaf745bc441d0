/* Fuzzes vocab.txt: any bytes are refused with a sentence, or give a tokenizer that has an id for
 * everything, the file's own text included. Apart from fuzz_wordpiece, since each load builds the tables
 * of all code points, which takes long under sanitizers.
 *
 *   build/fuzz_wordpiece_vocab -max_total_time=600 NEW_INPUTS tests/fuzz/corpus_wordpiece_vocab */
#include "../../model/wordpiece.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[] = "/dev/shm/tare-fuzz-XXXXXX";
static char path[sizeof dir + sizeof "/vocab.txt"];

static void remove_dir(void)
{
    unlink(path);
    rmdir(dir);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    CHECK(mkdtemp(dir), "no directory %s", dir);
    snprintf(path, sizeof path, "%s/vocab.txt", dir);
    atexit(remove_dir);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FILE *f = fopen(path, "wb");
    CHECK(f && fwrite(data, 1, size, f) == size && fclose(f) == 0, "cannot write %s", path);
    Err err = {""};
    WordPiece *w = wordpiece_load(dir, &err);
    if (!w) {
        CHECK(strstr(err.msg, path), "an error without its file: '%s'", err.msg);
        return 0;
    }
    IdBuffer ids = {0};
    size_t n = wordpiece_encode(w, (const char *)data, size, 0, &ids);
    CHECK(n == ids.count && n >= 2, "%zu ids", n);
    for (size_t i = 0; i < n; i++)
        CHECK(ids.ids[i] >= 0 && (size_t)ids.ids[i] < wordpiece_num_ids(w), "id %d", ids.ids[i]);
    id_buffer_release(&ids);
    wordpiece_free(w);
    return 0;
}
