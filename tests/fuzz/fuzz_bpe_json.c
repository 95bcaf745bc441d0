/* Fuzzes a byte-level tokenizer.json: any bytes are refused with a sentence, or give a tokenizer
 * that encodes the file itself to ids that it has.
 *
 *   build/fuzz_bpe_json -max_total_time=600 NEW_INPUTS tests/fuzz/corpus_bpe_json */
#include "model/tokenizer/bpe_json.h"

#include <string.h>

#include "model/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ByteLevel b;
    Err err = {""};
    json_error_t where;
    json_t *root = json_parse((const char *)data, size, &where);
    if (!root || !json_object_get(root, "model") || bpe_json_load(&b, "dir", root, &err) != 0) {
        CHECK(!*err.msg || strstr(err.msg, "dir/tokenizer.json"), "without its file: %s", err.msg);
        json_decref(root);
        return 0;
    }
    IdBuffer ids = {0};
    ByteBuffer text = {0};
    byte_level_encode(&b, (WordText){(const char *)data, size}, false, 0, &ids);
    for (size_t i = 0; i < ids.count; i++)
        CHECK(byte_level_decode(&b, ids.ids[i], true, &text), "id %d", ids.ids[i]);
    id_buffer_release(&ids);
    bytes_release(&text);
    byte_level_release(&b);
    json_decref(root);
    return 0;
}
