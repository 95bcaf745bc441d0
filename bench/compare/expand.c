/* expand: from the lists of a [[cell]] to cells, and which of them are wanted; see config.h. */
#include "bench/compare/config.h"

#include <stdio.h>

#include "bench/util/filter.h"

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

int compare_expand(CompareConfig *c, CellLists *l, Err *err)
{
    if (check_components(l, err) != 0 || settle_batch(l, err) != 0 || settle_lengths(l, err) != 0)
        return -1;
    multiply_out(c, l);
    return 0;
}

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
