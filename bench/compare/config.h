/* config: the TOML file of `tare compare` as models and cells.
 *
 * A [[cell]]'s lists multiply out into cells, the model slowest, the batch size fastest; cells
 * borrow the lists' texts. The keys are in config.c, and in Markdown in
 * configs/README.md. Nothing here looks at a model. */
#pragma once

#include "bench/compare/component.h"
#include "bench/util/config.h"

typedef struct CompareModel {
    char *name;
    char *make, *dir; /* at most one of them is not NULL */
    /* One attention layer instead of a model; 0 = it is a model. */
    int64_t num_heads, head_dim;
    bool causal;
} CompareModel;

typedef struct CompareCell {
    const Component *component;
    size_t model;      /* index */
    size_t batch_size; /* 0 = all texts of the file */
    size_t seq_len;    /* 0 = none */
    size_t n_gen;      /* tokens that a decoder writes behind seq_len ones; else 0 */
    const char *texts; /* the file, or NULL */
    size_t rounds;
    bool fresh_process;
} CompareCell;

/* A [[cell]] before it is multiplied out. */
typedef struct CellLists {
    ConfigInts component, model, batch_size, seq_len;
    int64_t rounds; /* 0 = as the file says */
    int64_t n_gen;
    char *texts;
    bool fresh_process;
} CellLists;

typedef struct CompareConfig {
    char *path, *name;
    int64_t rounds, threads, seed;
    double max_wait; /* seconds */
    ConfigInts peers;
    bool wanted[NUM_IMPLEMENTATIONS]; /* tare and the peers */
    CompareModel *models;
    CellLists *lists;
    CompareCell *cells; /* in the order of the file */
    size_t num_models, num_lists, num_cells;
} CompareConfig;

enum { COMPARE_CELL_NAME = 160 };

/* For config_load; rounds= of the command line wins over the rounds of cells. Release with
 * config_release. */
extern const ConfigFile compare_config_file;

/* Keeps the cells whose name matches the regular expression (NULL = all); -1 when none is left. */
int compare_config_filter(CompareConfig *c, const char *regex, Err *err);

/* "big/model/b8s128", "small/tokenizer/b1", "big/corpus". */
void compare_cell_name(const CompareConfig *c, const CompareCell *cell,
                       char name[COMPARE_CELL_NAME]);

/* ---- for other files of turns ---- */

/* Keys of the top that all of them have, with members of these names in Struct. */
#define TURN_KEYS(Struct, name_)                                                                   \
    CONFIG_KEY(TEXT, Struct, name, .fallback = name_, .doc = "in reports"),                        \
        CONFIG_KEY(INT, Struct, seed, .min = 0, .max = 0x1p63, .fallback = "1",                    \
                   .doc = "of inputs and of the order of turns"),                                  \
        CONFIG_KEY(INT, Struct, threads, .min = 1, .max = 4096,                                    \
                   .doc = "`OMP_NUM_THREADS`, else the CPUs that the process may use")

#define MAX_WAIT_KEY(Struct)                                                                       \
    CONFIG_KEY(TIME, Struct, max_wait, .fallback = "10m", .doc = "for one answer of a worker")

/* Keys of a [[model]] whose struct begins with a CompareModel, and the check of its section. */
#define MODEL_KEYS                                                                                 \
    CONFIG_KEY(TEXT, CompareModel, name, .required = true, .doc = "in reports; at most 63 bytes"), \
        CONFIG_KEY(TEXT, CompareModel, make, .check = compare_check_make,                          \
                   .doc = "a name of bench/peers/make_models.py"),                                 \
        CONFIG_KEY(TEXT, CompareModel, dir,                                                        \
                   .doc = "instead of `make`: a Hugging Face directory or a GGUF file")

int compare_check_make(const ConfigAt *at, Err *err);
int compare_check_model(const ConfigAt *at, Err *err);
