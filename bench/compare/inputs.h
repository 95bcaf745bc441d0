/* inputs: what all implementations of a cell are given: the same ids, or the same texts. */
#ifndef TARE_BENCH_COMPARE_INPUTS_H
#define TARE_BENCH_COMPARE_INPUTS_H

#include <jansson.h>

#include "bench/compare/config.h"

/* A load request without threads (see worker_job.h); ids go to the file `path`. Ids are uniform
 * over the vocabulary, nothing is masked; a text has about 90 bytes, or as many words as seq_len
 * asks for; or the texts are those of the cell's file. NULL when a file cannot be written or
 * read. */
json_t *compare_load_request(const CompareCell *cell, const char *model_dir, size_t vocab_size,
                             uint64_t seed, const char *path, Err *err);

#endif
