/* config: the TOML file of `tare compare` that measures a trained sentiment classifier.
 *
 *   task = "sentiment"                 # which makes it such a file
 *   name = "sentiment"
 *   model = "results/sentiment"        # a Hugging Face directory with a classifier
 *   rounds = 20                        # repeats of the benchmark samples
 *   warmups = 100                      # untimed requests before the first round
 *   cold_starts = 3                    # fresh processes whose start, load and first request are timed
 *   max_length = 128                   # ids of a text; what is longer is cut
 *   threads = 2                        # OMP_NUM_THREADS or all CPUs by default
 *   seed = 1                           # of the order of turns and samples
 *   max_wait = "10m"                   # for one answer of a worker
 *   [data]                             # JSON lines (text/jsonl.h)
 *   benchmark = "a.jsonl"              # timed, one request a sample and round
 *   validation = "b.jsonl"             # accuracy only, as is the test set
 *   test = "c.jsonl"                   # left out where the file is missing
 *   [implementations]                  # beside tare
 *   pytorch = true
 *   onnxruntime = false
 *
 * Nothing here looks at a model or a text. */
#ifndef TARE_BENCH_SERVING_CONFIG_H
#define TARE_BENCH_SERVING_CONFIG_H

#include "bench/compare/component.h"
#include "bench/util/options.h"

typedef enum ServingSet { SET_BENCHMARK, SET_VALIDATION, SET_TEST, NUM_SETS } ServingSet;
extern const char *const serving_set_names[NUM_SETS];

typedef struct ServingConfig {
    char *path, *name, *model;
    char *data[NUM_SETS];                             /* only SET_TEST may be NULL */
    int64_t rounds, warmups, cold_starts, max_length; /* max_length 0 = the model's positions */
    int64_t threads, seed;                            /* threads 0 = not given */
    double max_wait;                                  /* seconds */
    bool wanted[NUM_IMPLEMENTATIONS];                 /* [0] is always true */
} ServingConfig;

/* Whether the file has task = "sentiment". -1: it cannot be read, or has another task. */
int serving_config_is(const char *path, bool *is, Err *err);

/* Reads the file, then "key=value" settings of its top-level keys, which win. -1 with file and line:
 * exit 2. */
int serving_config_load(ServingConfig *c, const char *path, const TextList *settings, Err *err);
int serving_config_load_text(ServingConfig *c, const char *text, size_t len, const char *path,
                             const TextList *settings, Err *err);
void serving_config_release(ServingConfig *c);

#endif
