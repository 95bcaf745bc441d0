/* Fuzzes vocab.txt: any bytes are refused with file and line, or give a vocabulary in which every
 * stretch of the file is found by the trie and by the table of short words alike.
 *
 *   build/fuzz_wordpiece_vocab -max_total_time=600 NEW_INPUTS tests/fuzz/corpus_wordpiece_vocab */
#include "model/tokenizer/vocab.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The trie and the table of short words agree on every stretch of the file. */
static void check_stretch(const Vocab *v, const uint8_t *text, size_t len)
{
    int32_t id = -1;
    size_t n = vocab_longest(v, false, text, len, &id);
    CHECK(n <= len && (n == 0 || (id >= 0 && id < v->num_ids)), "%zu of %zu bytes, id %d", n, len,
          id);
    if (len <= WORD_TABLE_MAX_LEN)
        CHECK(vocab_word(v, text, len) == (n == len ? id : -1), "id %d", id);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Vocab v;
    Err err = {""};
    if (vocab_parse(&v, (const char *)data, size, "vocab.txt", &err) != 0) {
        CHECK(strncmp(err.msg, "vocab.txt:", 10) == 0, "no file and line: '%s'", err.msg);
        return 0;
    }
    CHECK((size_t)v.num_ids <= size, "%d lines", v.num_ids);
    for (size_t at = 0; at < size; at++)
        for (size_t len = 1; len <= 24 && at + len <= size; len++)
            check_stretch(&v, data + at, len);
    vocab_release(&v);
    return 0;
}
