/* config: see config.h. */
#include "bench/compare/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/machine/threads.h"
#include "bench/util/filter.h"

enum { MAX_ROUNDS = 100000, MAX_SIZE = 1 << 20, MAX_LAYER = 1 << 12, MAX_NAME = 63 };

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
    if (m->head_dim > 0)
        return !m->make && !m->dir
                   ? 0
                   : err_set(err, "a [[model]] of head_dim is one attention layer, which has "
                                  "neither make nor dir");
    if (m->num_heads > 0 || m->causal)
        return err_set(err, "num_heads and causal are of an attention layer: give its head_dim");
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

/* ---- from the lists of a [[cell]] to cells ---- */

static const Component *component_at(const CellLists *l, size_t i)
{
    return &components[l->component.at[i]];
}

static void multiply_out(CompareConfig *c, const CellLists *l)
{
    size_t count = l->model.count * l->component.count * l->seq_len.count * l->batch_size.count;
    c->cells = xrealloc(c->cells, (c->num_cells + count) * sizeof *c->cells);
    for (size_t m = 0; m < l->model.count; m++)
        for (size_t k = 0; k < l->component.count; k++)
            for (size_t s = 0; s < l->seq_len.count; s++)
                for (size_t b = 0; b < l->batch_size.count; b++)
                    c->cells[c->num_cells++] =
                        (CompareCell){.component = component_at(l, k),
                                      .model = (size_t)l->model.at[m],
                                      .batch_size = (size_t)l->batch_size.at[b],
                                      .seq_len = (size_t)l->seq_len.at[s],
                                      .n_gen = component_at(l, k)->generates ? (size_t)l->n_gen : 0,
                                      .texts = l->texts,
                                      .rounds = (size_t)l->rounds,
                                      .fresh_process = l->fresh_process};
}

/* What is timed by requests of single texts is no cell. */
static int check_components(const CellLists *l, Err *err)
{
    const Component *first = component_at(l, 0);
    for (size_t k = 0; k < l->component.count; k++) {
        const Component *c = component_at(l, k);
        if (c->kind == COMPONENT_CLASSIFIER)
            return err_set(err, "'%s' is no cell: a file with task = \"sentiment\" measures it",
                           c->name);
        if ((c->kind == COMPONENT_TOKENIZER) != (first->kind == COMPONENT_TOKENIZER))
            return err_set(err, "a tokenizer has no seq_len: give it a [[cell]] of its own");
        if (c->whole_file != first->whole_file)
            return err_set(err, "'%s' has texts, not batch_size: give it a [[cell]] of its own",
                           first->whole_file ? first->name : c->name);
    }
    return 0;
}

/* One that reads a file takes all of it. */
static int settle_batch(CellLists *l, Err *err)
{
    const Component *first = component_at(l, 0);
    if (first->whole_file && (!l->texts || l->batch_size.count > 0))
        return err_set(err, "'%s' has texts = \"a file\", and no batch_size", first->name);
    if (!first->whole_file && l->texts)
        return err_set(err, "'%s' reads no texts", first->name);
    if (!first->whole_file && l->batch_size.count == 0)
        return err_set(err, "a [[cell]] without batch_size");
    if (first->whole_file)
        l->batch_size = (ConfigInts){.count = 1};
    return 0;
}

/* A tokenizer takes whole texts; everything else needs a length. */
static int settle_lengths(CellLists *l, Err *err)
{
    bool tokenizer = component_at(l, 0)->kind == COMPONENT_TOKENIZER;
    if (tokenizer && l->seq_len.count > 0)
        return err_set(err, "a tokenizer has no seq_len");
    if (!tokenizer && l->seq_len.count == 0)
        return err_set(err, "a [[cell]] without seq_len");
    if (tokenizer)
        l->seq_len = (ConfigInts){.count = 1};
    for (size_t s = 0; s < l->seq_len.count; s++)
        if (component_at(l, 0)->from_text && l->seq_len.at[s] == 1)
            return err_set(err, "seq_len = 1 leaves no room for the two special ids of a text");
    return 0;
}

static int expand(const ConfigAt *at, Err *err)
{
    CellLists *l = at->table;
    if (check_components(l, err) != 0 || settle_batch(l, err) != 0 || settle_lengths(l, err) != 0)
        return -1;
    multiply_out(at->out, l);
    return 0;
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

#define LAYER_KEY(kind, name, ...) CONFIG_KEY(kind, CompareModel, name, __VA_ARGS__)

static const ConfigKey model_keys[] = {
    MODEL_KEYS,
    LAYER_KEY(INT, head_dim, .min = 1, .max = MAX_LAYER,
              .doc = "channels of a head: one attention layer instead of a model"),
    LAYER_KEY(INT, num_heads, .min = 1, .max = MAX_LAYER, .doc = "of that layer; 1 by default"),
    LAYER_KEY(BOOL, causal, .fallback = "false",
              .doc = "of that layer: a token sees itself and what is before it"),
};

static const ConfigKey cell_keys[] = {
    CELL_KEY(CHOICE, component, .count = CONFIG_SOME, .required = true, .choice = component_name,
             .doc = "what is measured"),
    CELL_KEY(CHOICE, model, .count = CONFIG_SOME, .required = true, .choice = model_name,
             .doc = "name of a [[model]]"),
    CELL_KEY(INT, batch_size, .count = CONFIG_SOME, .min = 1, .max = MAX_SIZE,
             .doc = "sequences or texts at a time; not of `corpus`"),
    CELL_KEY(INT, seq_len, .count = CONFIG_SOME, .min = 1, .max = MAX_SIZE,
             .doc = "tokens of a sequence; not of a tokenizer"),
    CELL_KEY(INT, n_gen, .min = 1, .max = MAX_SIZE, .fallback = "32",
             .doc = "of `decode`: tokens a call, behind a prompt of seq_len"),
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

/* ---- --filter ---- */

int compare_config_filter(CompareConfig *c, const char *regex, Err *err)
{
    NameFilter filter;
    if (name_filter_open(&filter, regex, err) != 0)
        return -1;
    size_t count = c->num_cells;
    c->num_cells = 0;
    for (size_t i = 0; i < count; i++) {
        char name[COMPARE_CELL_NAME];
        compare_cell_name(c, &c->cells[i], name);
        if (name_filter_keeps(&filter, name))
            c->cells[c->num_cells++] = c->cells[i];
    }
    return name_filter_close(&filter, "cells", err);
}

void compare_cell_name(const CompareConfig *c, const CompareCell *cell,
                       char name[COMPARE_CELL_NAME])
{
    char batch[32] = "", length[32] = "";
    if (cell->batch_size > 0)
        snprintf(batch, sizeof batch, "/b%zu", cell->batch_size);
    if (cell->seq_len > 0)
        snprintf(length, sizeof length, "s%zu", cell->seq_len);
    snprintf(name, COMPARE_CELL_NAME, "%s/%s%s%s", c->models[cell->model].name,
             cell->component->name, batch, length);
}
