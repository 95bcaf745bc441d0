/* config: the TOML file of `tare precision` as models and what is asked of each.
 *
 * A piece of work on a model has a name: "big/time/b8s128", "big/accuracy", "big/perplexity". The
 * keys are in config.c, and in Markdown in configs/README.md. Nothing here looks at a model. */
#pragma once

#include "bench/compare/config.h"
#include "model/precision.h"

typedef struct StudyTime {
    size_t batch, seq_len;
} StudyTime;

typedef struct StudyModel {
    CompareModel source; /* the first member, for MODEL_KEYS */
    char *made_by;
    ConfigInts batch_size, seq_len;
    StudyTime *times; /* every batch size with every length */
    size_t num_times;
    int64_t rounds, max_length;
    char *test, *text; /* NULL where nothing is asked */
    int64_t context;   /* 0: as the model */
    double held_out;
} StudyModel;

typedef struct StudyConfig {
    char *path, *name;
    int64_t rounds, threads, seed;
    ConfigInts listed; /* formats in the file */
    Precision formats[NUM_PRECISIONS];
    size_t num_formats;
    StudyModel *models;
    size_t num_models;
} StudyConfig;

/* For config_load. Release with config_release. */
extern const ConfigFile study_config_file;

/* Keeps the work whose name matches the regular expression (NULL = all), and the models that then
 * have some. -1 when none is left. */
int study_config_filter(StudyConfig *c, const char *regex, Err *err);
