/* config: the TOML file of `tare precision` as models and what is asked of each.
 *
 *   name = "precision"
 *   formats = ["fp32", "fp16", "bf16", "mixed", "int8"]  # all by default; fp32 is what others are
 *                                                        # compared with, so it is always there, first
 *   rounds = 20                      # of turns; every format has one in each
 *   threads = 2                      # OMP_NUM_THREADS or all CPUs by default
 *   seed = 1                         # of token ids and of the order of turns
 *   [[model]]
 *   name = "sentiment"               # in results
 *   dir = "results/sentiment"        # or make = a name of bench/peers/make_models.py
 *   made_by = "tare train ..."       # what to say where the directory is missing
 *   batch_size = [1, 8]              # times: every batch_size with every seq_len
 *   seq_len = [32, 128]
 *   rounds = 10                      # instead of the one above
 *   test = "test.jsonl"              # of a classifier: accuracy on these texts
 *   max_length = 128                 # tokens of a text
 *   text = "README.md"               # of a GPT of bytes: perplexity of its last part ...
 *   held_out = 0.1                   # ... which is this share
 *
 * Nothing here looks at a model. */
#ifndef TARE_BENCH_PRECISION_CONFIG_H
#define TARE_BENCH_PRECISION_CONFIG_H

#include "model/precision.h"
#include "bench/compare/config.h"
#include "bench/util/config_values.h"

/* Lists of sizes; without any there are no times. */
typedef struct StudyModel {
    CompareModel source;
    char *made_by;
    size_t batch_sizes[CONFIG_MAX_LIST], seq_lens[CONFIG_MAX_LIST];
    size_t num_batch_sizes, num_seq_lens;
    int64_t rounds, max_length;
    char *test, *text; /* NULL where nothing is asked */
    double held_out;
} StudyModel;

typedef struct StudyConfig {
    char *path, *name;
    int64_t rounds, threads, seed; /* threads 0 = not given */
    Precision formats[NUM_PRECISIONS];
    size_t num_formats;
    StudyModel *models;
    size_t num_models;
} StudyConfig;

/* -1 with file and line: exit 2. */
int study_config_load(StudyConfig *c, const char *path, Err *err);
void study_config_release(StudyConfig *c);

#endif
