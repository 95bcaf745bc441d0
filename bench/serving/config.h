/* config: the TOML file of `tare compare` that measures a trained sentiment classifier, which task
 * = "sentiment" makes it. The keys are in config.c, and in Markdown in configs/README.md. Nothing
 * here looks at a model or a text. */
#pragma once

#include "bench/compare/config.h"

typedef enum ServingSet { SET_BENCHMARK, SET_VALIDATION, SET_TEST, NUM_SETS } ServingSet;
extern const char *const serving_set_names[NUM_SETS];

typedef struct ServingConfig {
    char *path, *name, *model;
    char *data[NUM_SETS];                             /* only SET_TEST may be NULL */
    int64_t rounds, warmups, cold_starts, max_length; /* max_length 0 = the model's positions */
    int64_t threads, seed;
    double max_wait;                  /* seconds */
    bool wanted[NUM_IMPLEMENTATIONS]; /* tare always */
} ServingConfig;

/* For config_open, which tells it from a file of cells, and config_read. Release with
 * config_release. */
extern const ConfigFile serving_config_file;
