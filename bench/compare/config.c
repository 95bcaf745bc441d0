/* config: see config.h. */
#include "bench/compare/config.h"

#include <stdlib.h>
#include <string.h>

#include "bench/machine/threads.h"

enum { MAX_ROUNDS = 100000, MAX_SIZE = 1 << 20, MAX_NAME = 63 };

/* ---- models ---- */

int compare_check_make(const ConfigAt *at, Err *err)
{
    const char *make = at->value->text;
    return strspn(make, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(make)
               ? 0
               : err_set(err, "make = '%s' is no name of bench/peers/make_models.py", make);
}

int compare_check_model(const ConfigAt *at, Err *err)
{
    const CompareModel *m = at->table;
    const char *other = *(char *const *)(void *)((char *)at->out + at->section->offset);
    for (; other < (const char *)m; other += at->section->size)
        if (strcmp(((const CompareModel *)(const void *)other)->name, m->name) == 0)
            return err_set(err, "model '%s' is defined twice", m->name);
    if (strlen(m->name) > MAX_NAME)
        return err_set(err, "a model's name has at most %d bytes", MAX_NAME);
    return !m->make != !m->dir ? 0 : err_set(err, "a [[model]] has either make or dir");
}

/* ---- choices ---- */

static const char *peer_name(const void *out, size_t i)
{
    (void)out;
    return i + 1 < NUM_IMPLEMENTATIONS ? implementation_names[i + 1] : NULL;
}

static const char *component_name(const void *out, size_t i)
{
    (void)out;
    return i < num_components ? components[i].name : NULL;
}

static const char *model_name(const void *out, size_t i)
{
    const CompareConfig *c = out;
    return c && i < c->num_models ? c->models[i].name : NULL;
}

/* ---- keys ---- */

/* When the command line sets the rounds, all cells are there, and have to follow. */
static int set_rounds_of_cells(const ConfigAt *at, Err *err)
{
    (void)err;
    CompareConfig *c = at->out;
    for (size_t i = 0; i < c->num_cells; i++)
        c->cells[i].rounds = 0;
    return 0;
}

static int expand(const ConfigAt *at, Err *err)
{
    return compare_expand(at->out, at->table, err);
}

#define TOP_KEY(kind, name, ...)  CONFIG_KEY(kind, CompareConfig, name, __VA_ARGS__)
#define CELL_KEY(kind, name, ...) CONFIG_KEY(kind, CellLists, name, __VA_ARGS__)

static const ConfigKey top_keys[] = {
    TURN_KEYS(CompareConfig, "compare"),
    TOP_KEY(INT, rounds, .min = 1, .max = MAX_ROUNDS, .fallback = "20",
            .check = set_rounds_of_cells, .doc = "of turns; every implementation has one in each"),
    TOP_KEY(CHOICE, peers, .count = CONFIG_ANY, .choice = peer_name,
            .fallback = "['pytorch', 'onnxruntime', 'tokenizers']", .doc = "beside tare"),
    MAX_WAIT_KEY(CompareConfig),
};

static const ConfigKey model_keys[] = {MODEL_KEYS};

static const ConfigKey cell_keys[] = {
    CELL_KEY(CHOICE, component, .count = CONFIG_SOME, .required = true, .choice = component_name,
             .doc = "what is measured"),
    CELL_KEY(CHOICE, model, .count = CONFIG_SOME, .required = true, .choice = model_name,
             .doc = "name of a [[model]]"),
    CELL_KEY(INT, batch_size, .count = CONFIG_SOME, .min = 1, .max = MAX_SIZE,
             .doc = "sequences or texts at a time; not of `corpus`"),
    CELL_KEY(INT, seq_len, .count = CONFIG_SOME, .min = 1, .max = MAX_SIZE,
             .doc = "tokens of a sequence; not of a tokenizer"),
    CELL_KEY(TEXT, texts, .doc = "of `corpus`: JSON lines, of each the \"text\""),
    CELL_KEY(INT, rounds, .min = 1, .max = MAX_ROUNDS, .doc = "instead of those at the top"),
    CELL_KEY(BOOL, fresh_process, .fallback = "false",
             .doc = "each turn in a new process, one model at a time in memory"),
};

static const ConfigSection sections[] = {
    CONFIG_SECTION(NULL, top_keys),
    CONFIG_SECTION("model", model_keys, .size = sizeof(CompareModel),
                   .offset = offsetof(CompareConfig, models),
                   .count = offsetof(CompareConfig, num_models), .check = compare_check_model),
    CONFIG_SECTION("cell", cell_keys, .size = sizeof(CellLists),
                   .offset = offsetof(CompareConfig, lists),
                   .count = offsetof(CompareConfig, num_lists), .check = expand),
};

static int finish(void *out, Err *err)
{
    (void)err;
    CompareConfig *c = out;
    if (c->threads == 0)
        c->threads = threads_default();
    c->wanted[IMPL_TARE] = true;
    for (size_t i = 0; i < c->peers.count; i++)
        c->wanted[c->peers.at[i] + 1] = true;
    for (size_t i = 0; i < c->num_cells; i++)
        if (c->cells[i].rounds == 0)
            c->cells[i].rounds = (size_t)c->rounds;
    return 0;
}

static void release_cells(void *out)
{
    free(((CompareConfig *)out)->cells);
}

const ConfigFile compare_config_file =
    CONFIG_FILE(sections, CompareConfig, .title = "`tare compare`: cells", .check = finish,
                .release = release_cells);
