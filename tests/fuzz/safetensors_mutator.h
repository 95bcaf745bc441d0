/* safetensors_mutator: how libFuzzer changes a safetensors file, for the fuzzers that include
 * it. */
#pragma once

#include <stdint.h>
#include <string.h>

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

/* Nearly every change of the header makes its length wrong, and a wrong length is refused at once:
 * three times out of four the length is put right again, to end at the last brace. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    size = LLVMFuzzerMutate(data, size, max_size);
    const uint8_t *brace = memrchr(data, '}', size);
    if (seed % 4 != 0 && brace && brace - data >= 8) {
        uint64_t length = (uint64_t)(brace + 1 - data) - 8;
        memcpy(data, &length, sizeof length);
    }
    return size;
}
