/* config: the TOML file of `tare compare` as models and cells.
 *
 *   name = "distilbert"
 *   rounds = 20                              # of turns; every implementation has one in each
 *   peers = ["pytorch", "onnxruntime"]       # beside tare; all but pytorch_compile by default
 *   threads = 2                              # OMP_NUM_THREADS or all CPUs by default
 *   seed = 1                                 # of inputs and of the order of turns
 *   max_wait = "10m"                         # for one answer of a worker
 *   [[model]]
 *   name = "small"                           # in results
 *   make = "distilbert-small"                # of bench/peers/make_models.py, or dir = "a directory"
 *   [[cell]]                                 # lists multiply
 *   component = ["model", "end_to_end"]      # of component.h
 *   model = "small"
 *   batch_size = [1, 8]
 *   seq_len = [32, 128]                      # not for a tokenizer
 *   texts = "reviews.jsonl"                  # for "corpus" alone: the "text" of every line
 *   rounds = 5                               # instead of the one above
 *   fresh_process = true                     # each turn in a new process, one model at a time in memory
 *
 * Nothing here looks at a model. */
#ifndef TARE_BENCH_COMPARE_CONFIG_H
#define TARE_BENCH_COMPARE_CONFIG_H

#include "bench/compare/component.h"
#include "bench/util/options.h"

typedef struct CompareModel {
    char *name;
    char *make, *dir; /* one of them is NULL */
} CompareModel;

typedef struct CompareCell {
    const Component *component;
    size_t model;      /* index */
    size_t batch_size; /* 0 = all texts of the file */
    size_t seq_len;    /* 0 = none */
    char *texts;       /* the file, or NULL */
    size_t rounds;
    bool fresh_process;
} CompareCell;

typedef struct CompareConfig {
    char *path, *name;
    int64_t rounds, threads, seed;    /* threads 0 = not given */
    double max_wait;                  /* seconds */
    bool wanted[NUM_IMPLEMENTATIONS]; /* [0] is always true */
    CompareModel *models;
    CompareCell *cells; /* in the order of the file */
    size_t num_models, num_cells;
} CompareConfig;

enum { COMPARE_CELL_NAME = 160 };

/* Reads the file, then "key=value" settings of its top-level keys, which win (rounds= also over the
 * rounds of cells), then drops the cells whose name does not match `filter` (NULL = keep all). -1 with
 * file and line: exit 2. */
int compare_config_load(CompareConfig *c, const char *path, const TextList *settings,
                        const char *filter, Err *err);
int compare_config_load_text(CompareConfig *c, const char *text, size_t len, const char *path,
                             const TextList *settings, const char *filter, Err *err);
void compare_config_release(CompareConfig *c);

/* "big/model/b8s128", "small/tokenizer/b1", "big/corpus". */
void compare_cell_name(const CompareConfig *c, const CompareCell *cell,
                       char name[COMPARE_CELL_NAME]);

#endif
