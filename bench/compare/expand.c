/* expand: see expand.h. */
#include "bench/compare/expand.h"

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>

static char *copy_of(const char *text)
{
    return text ? xstrdup(text) : NULL;
}

static void multiply_out(CompareConfig *c, const CellLists *l)
{
    size_t count = l->num_models * l->num_components * l->num_seq_lens * l->num_batch_sizes;
    c->cells = xrealloc(c->cells, (c->num_cells + count) * sizeof *c->cells);
    for (size_t m = 0; m < l->num_models; m++)
        for (size_t k = 0; k < l->num_components; k++)
            for (size_t s = 0; s < l->num_seq_lens; s++)
                for (size_t b = 0; b < l->num_batch_sizes; b++)
                    c->cells[c->num_cells++] = (CompareCell){.component = l->components[k],
                                                             .model = l->models[m],
                                                             .batch_size = l->batch_sizes[b],
                                                             .seq_len = l->seq_lens[s],
                                                             .texts = copy_of(l->texts),
                                                             .rounds = (size_t)l->rounds,
                                                             .fresh_process = l->fresh_process};
}

/* What is timed by requests of single texts is no cell. */
static int check_components(const CellLists *l, Err *err)
{
    const Component *first = l->components[0];
    for (size_t k = 0; k < l->num_components; k++) {
        const Component *c = l->components[k];
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
    const char *name = l->components[0]->name;
    bool whole_file = l->components[0]->whole_file;
    if (whole_file && (!l->texts || l->num_batch_sizes > 0))
        return err_set(err, "'%s' has texts = \"a file\", and no batch_size", name);
    if (!whole_file && l->texts)
        return err_set(err, "'%s' reads no texts", name);
    if (whole_file)
        l->batch_sizes[l->num_batch_sizes++] = 0;
    return 0;
}

/* A tokenizer takes whole texts; everything else needs a length. */
static int settle_lengths(CellLists *l, Err *err)
{
    bool tokenizer = l->components[0]->kind == COMPONENT_TOKENIZER;
    if (tokenizer && l->num_seq_lens > 0)
        return err_set(err, "a tokenizer has no seq_len");
    if (!tokenizer && l->num_seq_lens == 0)
        return err_set(err, "a [[cell]] without seq_len");
    if (tokenizer)
        l->seq_lens[l->num_seq_lens++] = 0;
    for (size_t s = 0; s < l->num_seq_lens; s++)
        if (l->components[0]->from_text && l->seq_lens[s] == 1)
            return err_set(err, "seq_len = 1 leaves no room for the two special ids of a text");
    return 0;
}

int compare_expand(CompareConfig *c, CellLists *l, Err *err)
{
    if (l->num_components == 0 || l->num_models == 0 || (l->num_batch_sizes == 0 && !l->texts))
        return err_set(err, "a [[cell]] has component, model and batch_size");
    if (check_components(l, err) != 0 || settle_batch(l, err) != 0 || settle_lengths(l, err) != 0)
        return -1;
    multiply_out(c, l);
    return 0;
}

int compare_filter(CompareConfig *c, const char *filter, Err *err)
{
    regex_t pattern;
    if (regcomp(&pattern, filter, REG_EXTENDED | REG_NOSUB) != 0)
        return err_set(err, "--filter '%s' is no regular expression", filter);
    size_t kept = 0;
    for (size_t i = 0; i < c->num_cells; i++) {
        char name[COMPARE_CELL_NAME];
        compare_cell_name(c, &c->cells[i], name);
        if (regexec(&pattern, name, 0, NULL, 0) == 0)
            c->cells[kept++] = c->cells[i];
        else
            free(c->cells[i].texts);
    }
    c->num_cells = kept;
    regfree(&pattern);
    return kept > 0 ? 0 : err_set(err, "%s: --filter '%s' leaves no cell", c->path, filter);
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
